"""`damoos validate`: runs rows of an experiment again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import InputError

from . import console
from .options import Catalogue

if TYPE_CHECKING:
    from damoos.experiment.validate import Checked

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SHOWN = 20
SAMPLE, SAMPLE_COURSES = 50, 3


@app.command()
def validate(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The rows.csv of an experiment.", dir_okay=False, show_default=False)
    ],
    experiment: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The experiment; else what results.json beside FILE says."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help=f"How many to run, drawn at random ({SAMPLE} rows, or {SAMPLE_COURSES} courses)."
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    courses: Annotated[
        bool, typer.Option("--courses", help="Whole courses, what their strategies propose included.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the draw.")] = 0,
    catalogue: Catalogue = None,
) -> None:
    """Run rows of an experiment again and print what agrees.

    A row agrees if the same point and seed give the same score and, where the course had reached something new, the
    same worth. Exit code 1 if a simulated one doesn't; on real kernels it is told how far scores are apart.

    Examples:

      damoos validate damoos-out/bench-strategies-sim/rows.csv
      damoos validate damoos-out/bench-strategies-sim/rows.csv --courses --sample 10
      damoos validate rows.csv --experiment experiments/strategies-sim --all
    """
    from damoos.backend.registry import open_backend
    from damoos.experiment.leaderboard import read_results
    from damoos.experiment.matrix import load_matrix
    from damoos.experiment.outputs import RESULTS
    from damoos.experiment.validate import check_courses, check_rows, read_rows
    from damoos.experiment.validate import sample as drawn

    if whole and sample is not None:
        raise InputError("one of --sample and --all", field="--all", value=f"--sample {sample}")
    found = read_rows(file)
    path = experiment if experiment is not None else Path(read_results(file.parent / RESULTS).path)
    matrix = load_matrix(path, list(dict.fromkeys(strategy for _, strategy, _, _ in found)))
    backends = {name: open_backend(name, timing=matrix.timing) for name in matrix.backends}
    checked: list[Checked] = []
    try:
        if courses:
            count = None if whole else sample or SAMPLE_COURSES
            keys = list(dict.fromkeys(key for key, _ in drawn(found, None, seed)))
            picked = drawn({key: found[key][-1:] for key in keys}, count, seed)
            for one in check_courses(matrix, backends, found, [key for key, _ in picked]):
                checked += one
            what = f"{len(picked)} of {len(keys)} courses"
        else:
            places = drawn(found, None if whole else sample or SAMPLE, seed)
            for one in check_rows(matrix, backends, found, places):
                checked += one
            what = f"{len(places)} of {sum(row.number >= 0 for rows in found.values() for row in rows)} trials"
    finally:
        for backend in backends.values():
            backend.close()
    _print(f"{what} of {matrix.name} ran again ({matrix.time_kind})", checked)
    if matrix.simulated and not all(one.agrees for one in checked):
        raise typer.Exit(1)


def _print(title: str, checked: list[Checked]) -> None:
    from damoos.experiment.validate import POINT

    from .run_text import plain_table

    screen = console.stdout()
    screen.print(title)
    table = plain_table("", "agree", "of", "largest difference")
    for what in dict.fromkeys(one.what for one in checked):
        own = [one for one in checked if one.what == what]
        apart = "" if what == POINT else f"{max(one.apart for one in own):.3g}"
        table.add_row(what, str(sum(one.agrees for one in own)), str(len(own)), apart)
    screen.print(table)
    different = [one for one in checked if not one.agrees]
    for one in different[:SHOWN]:
        row = one.row
        where = f"{row.task}, {row.strategy}, seed {row.seed}, budget {row.budget}, trial {row.number}"
        screen.print(f"{where}: {one.what} was {one.before}, is {one.now}", soft_wrap=True)
    if len(different) > SHOWN:
        screen.print(f"… and {len(different) - SHOWN} more")
