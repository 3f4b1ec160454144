"""`damoos bench`: compares strategies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import InputError

from . import console
from .options import Catalogue

if TYPE_CHECKING:
    from damoos.experiment.figures import Comparison

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    replay: Annotated[
        Path,
        typer.Option(metavar="FILE", dir_okay=False, help="Measured points, JSON or CSV: see docs/strategies.md."),
    ],
    strategies: Annotated[
        str, typer.Option(metavar="A,B", help="Names from `damoos strategies list`.")
    ] = "random,tpe,damoos-polyfit,border",
    budget: Annotated[int, typer.Option(min=1, metavar="N", help="Runs that each strategy has.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Repetitions, each with a seed of its own.")] = 20,
    env: Annotated[
        str, typer.Option(metavar="NAME", help="The env that says where the columns' parameters go.")
    ] = "reclaim",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Compare strategies on landscapes that were measured before: nothing runs.

    After 3, 5, 10, 20 and N runs: the mean of score / best over landscapes and seeds, and the share of pairs that
    reached 95 % of the best; then how probably each is better than the first, with 95 % intervals. Scores of -20 and
    less broke the limit and are worth -20.

    Examples:

      damoos bench --replay landscapes.json
      damoos bench --replay points.csv --strategies tpe,gp --budget 50 --seeds 5 --json
    """
    from damoos.experiment.figures import compare
    from damoos.experiment.replay import read_replay
    from damoos.tune.preset import load_env
    from damoos.tune.strategies import find_strategy

    names = [name.strip() for name in strategies.split(",") if name.strip()]
    if not names:
        raise InputError("names no strategy", field="--strategies", value=strategies)
    chosen = [find_strategy(name) for name in dict.fromkeys(names)]
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
    _print(found)


def _print(found: Comparison) -> None:
    from .run_text import plain_table

    counts = list(dict.fromkeys(figure.runs for figure in found.figures))
    table = plain_table("runs", *(str(count) for count in counts), "ms", left=1)
    for name in found.ask_ms:
        cells = [f"{figure.mean:.2f} ({figure.share:.2f})" for figure in found.figures if figure.strategy == name]
        table.add_row(name, *cells, f"{found.ask_ms[name]:.1f}")
    screen = console.stdout()
    screen.print(table)
    screen.print()
    seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
    half = max((figure.high - figure.low) / 2 for figure in found.figures)
    screen.print(
        f"Mean of score / best (share of pairs that reach 95 %) over {len(found.tasks)} landscapes and {seeds};\n"
        f"means ± {half:.2f} at most (95 % of resampled seeds); ms: real time that a proposal takes.",
        soft_wrap=True,
    )
    for better in found.improvements:
        screen.print(
            f"Probability that {better.strategy} ends better than {better.over}: {better.probability:.2f} "
            f"({better.low:.2f} to {better.high:.2f})",
            soft_wrap=True,
        )
    if found.left_out:
        left_out = ", ".join(found.left_out)
        screen.print(f"Left out, since nothing there is better than no scheme: {left_out}.", soft_wrap=True)
