"""`damoos touch`: a masim workload on real memory."""

from __future__ import annotations

from typing import Annotated

import typer

from damoos.errors import InputError

from .options import Catalogue, Workload

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def touch(
    workload: Workload,
    time: Annotated[
        bool, typer.Option("--time", help="A phase lasts its milliseconds, as in masim (default).")
    ] = False,
    work: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="A phase is RATE accesses per ms of its length, however long they take."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Never faster than R accesses per ms; waits busily.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Accesses per choice of a pattern.")] = 131_072,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of random patterns and of choices.")] = 0,
    prefault: Annotated[
        bool, typer.Option("--prefault", help="Fill all memory first, half of each page with random bytes.")
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Wait for a byte on standard input before the first phase, and at the end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Run WORKLOAD's phases on real memory of this machine, without DAMON; prints what each phase took.

    The process that does it is small: what is resident is what the workload touched, plus about 11 MiB.

    Examples:

      damoos touch zigzag                     as masim would run it
      damoos touch zigzag --work 60000        fixed work: measure how long it takes
      damoos touch my.cfg --rate 5000 --json
    """
    if time and work is not None:
        raise InputError("can't be given together with --time", field="--work", value=work)
    for option, value in (("--work", work), ("--rate", rate)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError("out of range", field=option, value=value, allowed="a positive number of accesses per ms")
    from damoos.workload import touch
    from damoos.workload.masim import MasimWorkload
    from damoos.workload.pace import Pace
    from damoos.workload.processes import find_masim

    program = find_masim(workload)
    if not isinstance(program, MasimWorkload):
        names = ", ".join(process.name for process in program.processes)
        raise InputError("several processes", field="workload", value=workload, allowed=f"one of them: {names}")
    pace = Pace(
        timing="time" if work is None else "work",
        accesses_per_ms=work,
        limit_per_ms=rate,
        batch=batch,
        prefault=prefault,
    )
    touch.become(touch.plan(program, pace, seed, sync=sync, as_json=as_json))
