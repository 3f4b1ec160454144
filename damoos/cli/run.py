"""`damoos run`: one run of one workload, and what it did."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from damoos.errors import BackendError, InputError

from . import console
from .options import Backend, Catalogue, Machine, Timing, TimingOption, Verbose, Workload, backend_spec

if TYPE_CHECKING:
    from damoos.backend.base import Session
    from damoos.backend.result import Result
    from damoos.damon.kdamonds import Kdamonds
    from damoos.damon.snapshot import Snapshot
    from damoos.workload.masim import MasimWorkload

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

STEPS = 100


@app.command()
def run(
    workload: Workload,
    kdamonds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="DAMON's configuration, JSON or YAML as damo reads it. Without: monitoring only."
        ),
    ] = None,
    damon: Annotated[bool, typer.Option("--damon/--no-damon", help="Run with or without DAMON.")] = True,
    backend: Backend = None,
    machine: Machine = None,
    timing: TimingOption = Timing.WORK,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of everything random.")] = 0,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every aggregation to FILE (.json.gz), in the recordings' format."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    catalogue: Catalogue = None,
    verbose: Verbose = False,
) -> None:
    """Run WORKLOAD once and show runtime, memory, DAMON's regions and the schemes' counters.

    Examples:

      damoos run zigzag                           monitor only
      damoos run zigzag --no-damon                the baseline
      damoos run zigzag --kdamonds best.json      under a scheme
      damoos run my.cfg --machine nvme-swap --json | jq .runtime_s
      damoos run stairs --record stairs.json.gz
    """
    from damoos.backend.registry import open_backend
    from damoos.catalogue import find
    from damoos.workload import masim

    program = masim.load(find("workloads", workload))
    asked = _configuration(kdamonds, damon)
    place = open_backend(backend_spec(backend, machine), timing=timing.value, trace=record is not None)
    with place.start(program, asked, seed) as session:
        seen = _advance(session, program, damon)
        result = session.finish()
    if record is not None:
        _record(record, result, program, timing, place.probe().kernel)
    if as_json:
        typer.echo(json.dumps(as_tree(result), indent=1))
    else:
        from .run_text import print_result

        print_result(console.stdout(), result, program, seen, verbose=verbose)
        if record is not None:
            console.stderr().print(f"recording: {record}")


def _configuration(file: Path | None, damon: bool) -> Kdamonds | None:
    if file is None:
        from damoos.damon.kdamonds import Kdamonds

        return Kdamonds() if damon else None
    if not damon:
        raise InputError("can't be given together with --no-damon", field="--kdamonds", value=str(file))
    from damoos.damon.damo_format import load_kdamonds

    return load_kdamonds(file)


def as_tree(result: Result) -> dict[str, Any]:
    """The result as JSON values, with a format version; without the trace, which `--record` writes."""
    from damoos.damon.damo_format import to_damo

    tree: dict[str, Any] = {"format": 1}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if field.name == "trace":
            continue
        if field.name in ("asked", "applied"):
            tree[field.name] = None if value is None else to_damo(value)
        elif field.name == "samples":
            tree["samples"] = {f.name: getattr(value, f.name).tolist() for f in dataclasses.fields(value)}
        elif field.name in ("scheme_stats", "phases"):
            tree[field.name] = [dataclasses.asdict(entry) for entry in value]
        else:
            tree[field.name] = value
    return tree


def _advance(session: Session, program: MasimWorkload, damon: bool) -> list[Snapshot]:
    # a snapshot a step: enough for the picture of what DAMON saw, whatever the aggregation interval
    nominal_s = sum(phase.ms for phase in program.phases) / 1000
    seen: list[Snapshot] = []
    with _progress(program.name, nominal_s) as step:
        while not session.done:
            session.advance(max(nominal_s / STEPS, 0.001))
            if damon and (snapshot := _snapshot(session)) is not None:
                seen.append(snapshot)
            step(nominal_s / STEPS)
    return seen


def _snapshot(session: Session) -> Snapshot | None:
    try:
        return session.snapshot()
    except BackendError:
        return None  # before the first aggregation has ended


@contextmanager
def _progress(name: str, total_s: float) -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console.stderr()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns, TimeRemainingColumn(), console=screen, transient=True, disable=not screen.is_terminal
    ) as bar:
        task = bar.add_task(name, total=total_s)
        yield lambda seconds: bar.advance(task, seconds)


def _record(path: Path, result: Result, program: MasimWorkload, timing: Timing, kernel: str) -> None:
    from damoos.ops.record import to_recording, write_recording
    from damoos.workload.pace import Pace

    pace = Pace(timing=timing.value)
    write_recording(to_recording(result, workload=program, pace=pace, kernel=kernel, name=program.name), path)
