"""`damoos run`: one run of one workload, and what it did."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from damoos.errors import InputError

from . import console, program
from .options import Backend, Catalogue, DryRun, Machine, Timing, TimingOption, Verbose, backend_spec

if TYPE_CHECKING:
    from damoos.backend.base import Backend as AnyBackend
    from damoos.backend.base import Session, Workload
    from damoos.backend.result import Result
    from damoos.damon.kdamonds import Kdamonds
    from damoos.damon.snapshot import Snapshot

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

STEPS = 100
STEP_S = 0.1
"""First step, s, where nobody knows how long the workload takes; doubled as often as there are `STEPS` snapshots."""


@app.command(cls=program.ProgramCommand)
def run(
    ctx: typer.Context,
    workload: program.WorkloadOption = None,
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
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Keep what the command prints here; else it is dropped."),
    ] = None,
    dry_run: DryRun = False,
    catalogue: Catalogue = None,
    verbose: Verbose = False,
    cwd: program.Cwd = None,
    setenv: program.SetEnv = None,
    timeout: program.Timeout = None,
    user: program.User = None,
    metric: program.MetricOption = None,
    metric_pattern: program.MetricPattern = None,
    better: program.BetterOption = None,
    pid: program.Pid = None,
    cgroup: program.Cgroup = None,
    paddr: program.Paddr = False,
    duration: program.Duration = None,
) -> None:
    """Run WORKLOAD once and show runtime, memory, DAMON's regions and the schemes' counters.

    Examples:

      damoos run zigzag                           monitor only
      damoos run zigzag --no-damon                the baseline
      damoos run zigzag --kdamonds best.json      under a scheme
      damoos run my.cfg --machine nvme-swap --json | jq .runtime_s
      damoos run stairs --record stairs.json.gz
      damoos run --backend host -- ./program args any program, on this kernel
      damoos run --backend host --pid 4321 --duration "30 s"
    """
    from damoos.backend.looking import with_observed
    from damoos.backend.registry import open_backend

    wanted = program.find_program(
        program.ProgramOptions(
            workload,
            program.argv_of(ctx),
            cwd=cwd,
            setenv=setenv,
            timeout=timeout,
            user=user,
            metric=metric,
            metric_pattern=metric_pattern,
            better=better,
            pid=pid,
            cgroup=cgroup,
            paddr=paddr,
            duration=duration,
        )
    ).workload
    asked = _configuration(kdamonds, damon)
    spec = backend_spec(backend, machine)
    place = open_backend(spec, timing=timing.value, trace=record is not None, outputs=output)
    try:
        if record is not None:
            _check_recordable(place, wanted)
        if dry_run:
            if asked is None:
                raise InputError("nothing is written without DAMON", field="--dry-run", value="--no-damon")
            typer.echo(place.preview(asked))
            return
        with place.start(wanted, asked, seed) as session:
            seen = _advance(session, wanted, damon)
            result = with_observed(session.finish(), session, wanted, seen)
        if record is not None:
            _record(record, result, wanted, timing, place.probe().kernel)
    finally:
        place.close()
    if as_json:
        typer.echo(json.dumps(as_tree(result), indent=1))
    else:
        from .run_text import print_result

        print_result(console.stdout(), result, seen, verbose=verbose)
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
    from damoos.damon.observed import PERCENTILES

    tree: dict[str, Any] = {"format": 1}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if field.name == "trace":
            continue
        if field.name in ("asked", "applied"):
            tree[field.name] = None if value is None else to_damo(value)
        elif field.name == "samples":
            columns = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            tree["samples"] = {name: None if c is None else c.tolist() for name, c in columns.items()}
        elif field.name == "observed":
            tree["observed"] = None if value is None else {"percentiles": PERCENTILES, **dataclasses.asdict(value)}
        elif field.name in ("scheme_stats", "phases"):
            tree[field.name] = [dataclasses.asdict(entry) for entry in value]
        else:
            tree[field.name] = value
    return tree


def _advance(session: Session, workload: Workload, damon: bool) -> list[Snapshot]:
    from damoos.backend.looking import look

    # a snapshot a step: enough for the picture of what DAMON saw, whatever the aggregation interval
    nominal_s = _length_s(workload)
    step_s = STEP_S if nominal_s is None else max(nominal_s / STEPS, 0.001)
    seen: list[Snapshot] = []
    with _progress(workload.name, nominal_s) as step:
        while not session.done:
            session.advance(step_s)
            if damon and (snapshot := look(session)) is not None:
                seen.append(snapshot)
            step(step_s)
            if len(seen) >= 2 * STEPS and nominal_s is None:
                seen, step_s = seen[::2], 2 * step_s
    return seen


def _length_s(workload: Workload) -> float | None:
    """How long a run takes, about, s; None if nobody knows."""
    from damoos.workload.command import CommandWorkload
    from damoos.workload.processes import AnyMasim

    if isinstance(workload, AnyMasim):
        return workload.duration_ms / 1000
    return None if isinstance(workload, CommandWorkload) else workload.duration_s


@contextmanager
def _progress(name: str, total_s: float | None) -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    screen = console.stderr()
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    if total_s is None:
        columns.append(TimeElapsedColumn())
    else:
        columns += [TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn()]
    # Rich forgets what is older than that period, and a step may take longer than its default.
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal, speed_estimate_period=3600
    ) as bar:
        task = bar.add_task(name, total=total_s)
        yield lambda seconds: bar.advance(task, seconds)


def _check_recordable(backend: AnyBackend, workload: Workload) -> None:
    from damoos.workload.processes import ProcessesWorkload

    if backend.time_kind != "simulated":
        # Kernels tell each aggregation only by a tracepoint, which the agent does not read.
        raise InputError("only simulated runs are recorded", field="--record", value=backend.name, allowed="sim")
    if isinstance(workload, ProcessesWorkload):
        raise InputError("only runs of one process are recorded", field="--record", value=workload.name)


def _record(path: Path, result: Result, workload: Workload, timing: Timing, kernel: str) -> None:
    from damoos.ops.record import to_recording, write_recording
    from damoos.workload.masim import MasimWorkload
    from damoos.workload.pace import Pace

    assert isinstance(workload, MasimWorkload)  # else it was refused before the run
    pace = Pace(timing=timing.value)
    write_recording(to_recording(result, workload=workload, pace=pace, kernel=kernel, name=workload.name), path)
