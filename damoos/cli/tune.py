"""`damoos tune`: searches for the scheme that suits a workload, checks it, writes what was found."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import StudyError
from damoos.tune.request import DEFAULT_REPEATS, DEFAULT_TRIALS, StudyRequest

from . import console
from .options import Backend, Catalogue, Machine, Timing, TimingOption, Verbose, Workload, backend_spec

if TYPE_CHECKING:
    from damoos.tune.outcome import Outcome

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

OUT = Path("damoos-out")
JOURNAL = "study.journal"


@app.command()
def tune(
    workload: Workload,
    env: Annotated[
        str, typer.Option(metavar="NAME", help="What may be changed: a name from `damoos envs list`, or a file.")
    ] = "reclaim",
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trials in all, those of earlier calls included.")
    ] = DEFAULT_TRIALS,
    repeats: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs a trial, each with a seed of its own.")
    ] = DEFAULT_REPEATS,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the whole study; the same seed finds the same.")
    ] = 0,
    strategy: Annotated[str, typer.Option(metavar="NAME", help="How to search: tpe, random.")] = "tpe",
    objective: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="damoos, metric:NAME or pareto:NAME,NAME; the env's own if not given."),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="W", help="Share of runtime in the DAMOOS score; the rest is RSS."),
    ] = None,
    runtime_limit: Annotated[
        float | None, typer.Option(min=0, metavar="P", help="Reject what slows the workload by more than P percent.")
    ] = None,
    backend: Backend = None,
    machine: Machine = None,
    timing: TimingOption = Timing.WORK,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Folder for the results; else damoos-out/WORKLOAD-ENV in this one."
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help=f"The study's journal ({JOURNAL} in the results' folder)."),
    ] = None,
    catalogue: Catalogue = None,
    verbose: Verbose = False,
) -> None:
    """Find the scheme that suits WORKLOAD best, compare it with no scheme and the documented example, write a report.

    The same command again goes on where the last one ended, also after an interrupt.

    Examples:

      damoos tune zigzag                                50 trials on the simulator
      damoos tune my.cfg --trials 200 --seed 3 --out mine
      damoos tune stairs --machine nvme-swap --runtime-limit 2
      damoos tune hotcold --weight 0.8                  runtime first
      damoos show damoos-out/zigzag-reclaim             see the result again

    Left in the folder: best.json and best.yaml (for damo), trials.csv, result.json, report.html.
    """
    folder = out if out is not None else OUT / f"{Path(workload).stem}-{Path(env).stem}"
    request = StudyRequest(
        workload=workload,
        study=study if study is not None else folder / JOURNAL,
        env=env,
        backend=backend_spec(backend, machine),
        timing=timing.value,
        strategy=strategy,
        trials=trials,
        repeats=repeats,
        seed=seed,
        objective=objective,
        weight=weight,
        max_runtime_overhead_percent=runtime_limit,
        command_line=_command_line(),
    )
    _refuse_another_study(folder, request)
    _announce(request, folder)
    outcome = _search(request)
    _write(outcome, folder)

    from .summary import print_summary

    console.stderr().print()
    print_summary(console.stdout(), outcome, folder, verbose=verbose)


def _search(request: StudyRequest) -> Outcome:
    from damoos.tune.study import run_study

    from .progress import StudyScreen

    try:
        with StudyScreen(console.stderr()) as screen:
            return run_study(request, screen)
    except KeyboardInterrupt:
        typer.echo("damoos: interrupted; what was done is kept, the same command goes on:", err=True)
        typer.echo(f"  {request.command_line}", err=True)
        raise typer.Exit(130) from None


def _write(outcome: Outcome, folder: Path) -> None:
    from damoos.report.html import write_report
    from damoos.tune.outputs import write_outputs

    write_outputs(outcome, folder)
    write_report(outcome, folder / "report.html")


def _command_line() -> str:
    return shlex.join(["damoos", *sys.argv[1:]])


def _announce(request: StudyRequest, folder: Path) -> None:
    from damoos.backend.registry import open_backend
    from damoos.catalogue import find
    from damoos.report import numbers
    from damoos.workload import masim

    program = masim.load(find("workloads", request.workload))
    preset = find("envs", request.env)
    place = open_backend(request.backend, timing=request.timing)
    resumed = " (goes on)" if request.study.exists() else ""
    length = numbers.seconds(program.duration_ms / 1000)
    rows = (
        ("workload", f"{program.name}, {numbers.size(program.footprint_bytes)}, {length} a run"),
        ("env", f"{preset.stem}, strategy {request.strategy}, seed {request.seed}"),
        ("backend", f"{place.name}, {place.probe().time_kind}, timing {request.timing}"),
        ("trials", f"{request.trials} of {request.repeats} runs each, then verification with fresh seeds"),
        ("results", f"{folder}/{resumed}"),
    )
    screen = console.stderr()
    for name, value in rows:
        screen.print(f"{name:<9} {value}", soft_wrap=True)


def _refuse_another_study(folder: Path, request: StudyRequest) -> None:
    # a study that continues its own journal is checked by the journal; this is about results beside another one
    from damoos.tune.outputs import RESULT, read_outcome

    file = folder / RESULT
    if not file.exists():
        return
    there = read_outcome(file)
    asked = {
        "workload": (there.workload.name, Path(request.workload).stem),
        "env": (there.env.name, Path(request.env).stem),
        "backend": (there.backend, request.backend),
        "timing": (there.timing, request.timing),
        "strategy": (there.strategy, request.strategy),
        "seed": (there.seed, request.seed),
    }
    for name, (old, new) in asked.items():
        if old != new:
            raise StudyError(
                f"{folder} holds another study: {name} {old} there, {new} asked; give another --out, or remove it"
            )
