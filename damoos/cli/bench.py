"""`damoos bench`: compares strategies."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import InputError

from . import console
from .options import Catalogue

if TYPE_CHECKING:
    from damoos.experiment.engine import Engine
    from damoos.experiment.figures import Comparison
    from damoos.experiment.leaderboard import Results
    from damoos.experiment.matrix import Matrix

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

OUT = Path("damoos-out")
HTML = "leaderboard.html"
REPLAYED = "random,tpe,damoos-polyfit,border"
REPLAY_BUDGET, REPLAY_SEEDS = 20, 20


@app.command()
def bench(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="A file that says what is compared, or its folder: see docs/experiments.md.",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Instead: measured points, JSON or CSV; nothing runs."),
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help=f"Names from `damoos strategies list`; else the experiment's, or {REPLAYED}.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --replay: runs that each strategy has (20).", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Repetitions, each with a seed of its own; else the experiment's, or 20.",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        str, typer.Option(metavar="NAME", help="With --replay: the env that says where the parameters go.")
    ] = "reclaim",
    best: Annotated[
        bool, typer.Option("--best", help="Search the best known points that scores refer to, and stop.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Folder for the results; else damoos-out/bench-NAME."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, metavar="N", help="Processes; 1: this one. Else one a CPU.", show_default=False
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Run on Ray: local, or the address of a cluster; needs the extra sweep."),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Put leaderboard.md and results.json beside the experiment, too.")
    ] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write the rows as Parquet instead of CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Compare strategies: the courses of an experiment's file, or a replay of landscapes that were measured before.

    An experiment is each strategy on each task with each seed, with the same budget. Left in the folder: leaderboard.md
    and leaderboard.html, rows.csv (each trial), results.json (the figures). The same command again goes on where the
    last one ended, also after an interrupt; `damoos validate rows.csv` runs rows again.

    A replay prints the mean of score / best after 3, 5, 10, 20 and N runs, and the share of pairs of landscape and seed
    that reached 95 % of the best. Scores of -20 and less broke the limit and are worth -20.

    Examples:

      damoos bench experiments/strategies-sim
      damoos bench experiments/strategies-sim --seeds 2 --strategies random,tpe --out trial
      damoos bench experiments/strategies-sim --ray local
      damoos bench experiments/mine.toml --best          first: what scores refer to
      damoos bench --replay landscapes.json
      damoos bench --replay points.csv --strategies tpe,gp --budget 50 --seeds 5 --json
    """
    if (experiment is None) == (replay is None):
        allowed = "one of EXPERIMENT and --replay FILE"
        value = None if replay is None else f"{experiment} and --replay {replay}"
        raise InputError("what is to be compared?", field="bench", value=value, allowed=allowed)
    if replay is not None:
        _replay(replay, strategies or REPLAYED, budget or REPLAY_BUDGET, seeds or REPLAY_SEEDS, env, as_json)
        return
    assert experiment is not None
    if budget is not None:
        raise InputError("is the experiment's own", field="--budget", value=budget, allowed=f"budget in {experiment}")
    from damoos.experiment.matrix import load_matrix

    # The search of best points compares nothing.
    matrix = load_matrix(experiment, [] if best else None if strategies is None else _names(strategies))
    wanted = matrix.seeds
    if seeds is not None:
        matrix = replace(matrix, seeds=seeds)
    engine = _engine(matrix, jobs, ray)
    if best:
        _search_best(matrix, engine)
        return
    results, files = _run(matrix, engine, wanted, out if out is not None else OUT / f"bench-{matrix.name}", parquet)
    if publish:
        from damoos.experiment.outputs import write_summary

        files += write_summary(results, matrix.path.parent)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        _print(results, files)


def _engine(matrix: Matrix, jobs: int | None, ray: str | None) -> Engine:
    from damoos.backend.registry import open_backend
    from damoos.experiment.engine import HereEngine, PoolEngine, default_processes
    from damoos.experiment.on_ray import RayEngine

    processes = jobs if jobs is not None else default_processes()
    if ray is not None:
        return RayEngine(ray, processes, on_kernels=not matrix.simulated)
    if matrix.simulated:
        return HereEngine() if processes == 1 else PoolEngine(processes)
    # What is connected to one machine stays in one process.
    slots = open_backend(matrix.backends[0], timing=matrix.timing).slots
    return HereEngine(min(slots, jobs or slots))


def _search_best(matrix: Matrix, engine: Engine) -> None:
    from damoos.experiment.best import search_best
    from damoos.experiment.clairvoyant import search_clairvoyant
    from damoos.experiment.known import clairvoyant_path

    from .courses import CoursesScreen

    try:
        with CoursesScreen(console.stderr(), "tasks") as screen:
            found = search_best(matrix, engine, screen)
        if matrix.scheduled:
            with CoursesScreen(console.stderr(), "schedules") as screen:
                schedules = search_clairvoyant(matrix, found, engine, screen)
    except KeyboardInterrupt:
        _say_how_to_go_on()
        raise typer.Exit(130) from None
    for spec in matrix.tasks:
        texts = spec.env.space.texts(found[spec.name].params)
        typer.echo(f"{spec.name}: {found[spec.name].score:.2f} at {', '.join(f'{k} {v}' for k, v in texts.items())}")
    typer.echo(f"{matrix.best}: best known points of {len(found)} tasks")
    if matrix.scheduled:
        for spec in matrix.tasks:
            worth = schedules[spec.name].score
            typer.echo(f"{spec.name}: {worth:.2f} by phases, {worth - found[spec.name].score:+.2f}")
        typer.echo(f"{clairvoyant_path(matrix)}: best known points of their phases")


def _run(matrix: Matrix, engine: Engine, wanted: int, folder: Path, parquet: bool) -> tuple[Results, list[Path]]:
    from damoos.experiment.known import load_best
    from damoos.experiment.leaderboard import results_of
    from damoos.experiment.outputs import write_outputs
    from damoos.experiment.run import run_matrix
    from damoos.report.leaderboard import write_leaderboard

    from .courses import CoursesScreen

    known = load_best(matrix)
    if missing := [spec.name for spec in matrix.tasks if spec.name not in known and matrix.simulated]:
        allowed = f"`damoos bench --best {matrix.path}` finds them"
        raise InputError("has no best known points", file=matrix.best, value=", ".join(missing), allowed=allowed)
    screen = console.stderr()
    screen.print(
        f"{matrix.title}: {len(matrix.strategies)} strategies, {len(matrix.tasks)} tasks, {matrix.seeds} seeds, "
        f"{matrix.budget} runs each; {', '.join(matrix.backends)}, {matrix.time_kind}, {engine.text}",
        soft_wrap=True,
    )
    with CoursesScreen(screen, "courses") as progress:
        try:
            courses = run_matrix(matrix, folder, engine, progress)
        except KeyboardInterrupt:
            _say_how_to_go_on()
            raise typer.Exit(130) from None
    results = results_of(matrix, courses, known, wanted)
    files = write_outputs(results, courses, folder, parquet)
    write_leaderboard(results, folder / HTML)
    return results, [*files, folder / HTML]


def _print(results: Results, files: list[Path]) -> None:
    from damoos.experiment.leaderboard import caption, overview
    from damoos.experiment.outputs import LEADERBOARD

    from .run_text import print_fitting

    head, rows = overview(results)
    screen = console.stdout()
    last = len(results.counts)
    # From the right, but what was reached in the end, and the strategies.
    left_out = print_fitting(screen, head, rows, [*range(len(head) - 1, last, -1), *range(1, last)])
    screen.print()
    if left_out:
        screen.print(f"Not in {screen.width} columns, but in {LEADERBOARD}: {', '.join(left_out)}.")
    screen.print(caption(results))
    screen.print("\n".join(map(str, files)), soft_wrap=True)


def _say_how_to_go_on() -> None:
    typer.echo("damoos: interrupted; what was done is kept, the same command goes on:", err=True)
    typer.echo(f"  {shlex.join(['damoos', *sys.argv[1:]])}", err=True)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("names no strategy", field="--strategies", value=text)
    return list(dict.fromkeys(names))


def _replay(replay: Path, strategies: str, budget: int, seeds: int, env: str, as_json: bool) -> None:
    from damoos.experiment.figures import compare
    from damoos.experiment.replay import read_replay
    from damoos.tune.preset import load_env
    from damoos.tune.strategies import find_strategy

    chosen = [find_strategy(name) for name in _names(strategies)]
    tasks = read_replay(replay, load_env(env))
    if not any(task.best > 0 for task in tasks):
        raise InputError("no landscape has a score above 0", field="--replay", value=str(replay))
    for strategy in chosen:
        for task in tasks:
            task.under(strategy)
    screen = console.stderr()
    found = compare(tasks, chosen, budget, seeds, lambda name: screen.print(f"{name} …"))
    if as_json:
        typer.echo(json.dumps({"format": 1, "replay": str(replay), "budget": budget, **dataclasses.asdict(found)}))
        return
    _print_replay(found)


def _print_replay(found: Comparison) -> None:
    from .run_text import print_fitting

    counts = list(dict.fromkeys(figure.runs for figure in found.figures))
    rows = []
    for speed in found.speeds:
        cells = [f"{f.mean:.2f} ({f.share:.2f})" for f in found.figures if f.strategy == speed.strategy]
        rows.append([speed.strategy, *cells, f"{speed.ask_last_ms:.1f}"])
    screen = console.stdout()
    last = len(counts)
    left_out = print_fitting(screen, ["runs", *map(str, counts), "ms"], rows, [last + 1, *range(1, last)])
    screen.print()
    if left_out:
        screen.print(f"Not in {screen.width} columns, but with --json: {', '.join(left_out)}.")
    seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
    half = max((figure.high - figure.low) / 2 for figure in found.figures)
    screen.print(
        f"Mean of score / best (share of pairs that reach 95 %) over {len(found.tasks)} landscapes and {seeds};\n"
        f"means ± {half:.2f} at most (95 % of resampled seeds); ms: real time that a proposal takes.",
        soft_wrap=True,
    )
    for better in found.improvements:
        if better.runs == counts[-1]:
            screen.print(
                f"Probability that {better.strategy} ends better than {better.over}: {better.probability:.2f} "
                f"({better.low:.2f} to {better.high:.2f})",
                soft_wrap=True,
            )
    if found.left_out:
        tasks = ", ".join(found.left_out)
        screen.print(f"Left out, since nothing there is better than no scheme: {tasks}.", soft_wrap=True)
