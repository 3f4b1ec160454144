"""`damoos tune`: searches for the scheme that suits a workload, checks it, writes what was found."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos.errors import HostError, SetUpError, StudyError
from damoos.tune.effort import REAL, SIMULATED, VIRTUAL, effort_for
from damoos.tune.request import DEFAULT_FROM_BEST, DEFAULT_TRIALS, StudyRequest

from . import console, program
from .options import Backend, Catalogue, DryRun, Machine, Timing, TimingOption, Verbose, backend_spec

if TYPE_CHECKING:
    from damoos.backend.base import Backend as Place
    from damoos.tune.outcome import Outcome

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

OUT = Path("damoos-out")
JOURNAL = "study.journal"
OUTPUT = "output"


@app.command(cls=program.ProgramCommand)
def tune(
    ctx: typer.Context,
    workload: program.WorkloadOption = None,
    env: Annotated[
        str, typer.Option(metavar="NAME", help="What may be changed: a name from `damoos envs list`, or a file.")
    ] = "reclaim",
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trials in all, those of earlier calls included.")
    ] = DEFAULT_TRIALS,
    max_workload_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Begin no further trial after that much workload time, such as 600s or '10 min'; "
            "the verification comes on top.",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Runs a trial, each with a seed of its own: {SIMULATED.repeats} in simulated, "
            f"{VIRTUAL.repeats} in virtual, {REAL.repeats} in real time.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the whole study; the same seed finds the same.")
    ] = 0,
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="How to search: a name from `damoos strategies list`.")
    ] = "tpe",
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
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help='Reject what does not keep "NAME <= NUMBER", of a metric; the env\'s own if not given.',
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="STUDY", help="Begin with the best points of another study: its folder or result.json."
        ),
    ] = None,
    from_best: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many points to take from there.")
    ] = DEFAULT_FROM_BEST,
    early_stop: Annotated[
        bool | None,
        typer.Option(
            "--early-stop/--no-early-stop",
            help="End runs early that are too slow or can't reach the final; the rule where they aren't simulated.",
            show_default=False,
        ),
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
    """Find the scheme that suits WORKLOAD best, compare it with no scheme and the documented example, write a report.

    The same command again goes on where the last one ended, also after an interrupt.

    Examples:

      damoos tune zigzag                                50 trials on the simulator
      damoos tune my.cfg --trials 200 --seed 3 --out mine
      damoos tune stairs --machine nvme-swap --runtime-limit 2
      damoos tune zigzag --backend vm                   on a real kernel
      damoos tune --backend host -- ./program args      any program
      damoos show damoos-out/zigzag-reclaim             see the result again

    Left in the folder: best.json and best.yaml (for damo), trials.csv, result.json, report.html.
    """
    asked = program.find_program(
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
    )
    folder = out if out is not None else OUT / f"{asked.workload.name}-{Path(env).stem}"
    request = StudyRequest(
        workload=asked.text,
        program=asked.program,
        study=study if study is not None else folder / JOURNAL,
        env=env,
        backend=backend_spec(backend, machine),
        timing=timing.value,
        strategy=strategy,
        trials=trials,
        max_workload_time_s=None
        if max_workload_time is None
        else program.seconds_of(max_workload_time, "--max-workload-time"),
        repeats=repeats,
        seed=seed,
        objective=objective,
        weight=weight,
        max_runtime_overhead_percent=runtime_limit,
        constraints=None if constraint is None else tuple(constraint),
        command_line=_command_line(),
        start_from=start_from,
        from_best=from_best,
        early_stop=early_stop,
    )
    from damoos.backend.registry import open_backend

    place = open_backend(request.backend, timing=request.timing, outputs=folder / OUTPUT)
    try:
        if dry_run:
            typer.echo(_preview(place, request))
            return
        _refuse_another_study(folder, request, asked, place)
        _announce(request, asked, place, folder)
        outcome = _search(request, place)
    finally:
        place.close()
    _write(outcome, folder)

    from .summary import print_summary

    console.stderr().print()
    print_summary(console.stdout(), outcome, folder, verbose=verbose)


def _preview(place: Place, request: StudyRequest) -> str:
    from damoos.tune.preset import load_env

    space = load_env(request.env).space
    return place.preview(space.kdamonds(space.defaults()))


def _search(request: StudyRequest, place: Place) -> Outcome:
    from damoos.tune.study import run_study

    from .progress import StudyScreen

    try:
        with StudyScreen(console.stderr(), place.time_kind) as screen:
            return run_study(request, screen, place)
    except KeyboardInterrupt:
        _say_how_to_go_on("interrupted", request)
        raise typer.Exit(130) from None
    except (SetUpError, HostError):
        if request.study.exists():
            _say_how_to_go_on("stopped", request)
        raise


def _say_how_to_go_on(why: str, request: StudyRequest) -> None:
    typer.echo(f"damoos: {why}; what was done is kept, the same command goes on:", err=True)
    typer.echo(f"  {request.command_line}", err=True)


def _write(outcome: Outcome, folder: Path) -> None:
    from damoos.report.html import write_report
    from damoos.tune.outputs import write_outputs

    write_outputs(outcome, folder)
    write_report(outcome, folder / "report.html")


def _command_line() -> str:
    return shlex.join(["damoos", *sys.argv[1:]])


def _announce(request: StudyRequest, asked: program.Asked, place: Place, folder: Path) -> None:
    from damoos.catalogue import find
    from damoos.tune.strategies import find_strategy

    preset = find("envs", request.env)
    repeats = request.repeats if request.repeats is not None else effort_for(place.time_kind).repeats
    trials = f"{_trials_in_words(request, place)} of {repeats}"
    resumed = " (goes on)" if request.study.exists() else ""
    timing = f", timing {request.timing}" if asked.program is None else ""
    watches = ", the first one monitored run to learn from" if find_strategy(request.strategy).watches else ""
    rows = (
        ("workload", _in_words(asked)),
        ("env", f"{preset.stem}, strategy {request.strategy}, seed {request.seed}"),
        ("backend", f"{place.name}, {place.time_kind}{timing}"),
        ("trials", f"{trials} runs each{watches}, then verification with fresh seeds"),
        ("results", f"{folder}/{resumed}"),
    )
    screen = console.stderr()
    for name, value in rows:
        screen.print(f"{name:<9} {value}", soft_wrap=True, markup=False)


def _trials_in_words(request: StudyRequest, place: Place) -> str:
    from damoos.report import numbers

    limit_s = request.max_workload_time_s
    if limit_s is None:
        return str(request.trials)
    return f"{request.trials} in at most {numbers.duration(limit_s)} ({place.time_kind}),"


def _in_words(asked: program.Asked) -> str:
    from damoos.report import numbers
    from damoos.workload.attached import AttachedWorkload
    from damoos.workload.processes import AnyMasim

    workload = asked.workload
    if isinstance(workload, AnyMasim):
        length = numbers.seconds(workload.duration_ms / 1000)
        return f"{workload.name}, {numbers.size(workload.footprint_bytes)}, {length} a run"
    if isinstance(workload, AttachedWorkload):
        return f"{asked.text}, {numbers.seconds(workload.duration_s)} a run"
    return f"{workload.name}: {shlex.join(workload.argv)}"


def _refuse_another_study(folder: Path, request: StudyRequest, asked: program.Asked, place: Place) -> None:
    # a study that continues its own journal is checked by the journal; this is about results beside another one
    from damoos.tune.outputs import RESULT, read_outcome

    file = folder / RESULT
    if not file.exists():
        return
    there = read_outcome(file)
    wanted = {
        "workload": (there.workload.name, asked.workload.name),
        "env": (there.env.name, Path(request.env).stem),
        "backend": (there.backend, place.name),
        "timing": (there.timing, request.timing),
        "strategy": (there.strategy, request.strategy),
        "seed": (there.seed, request.seed),
    }
    for name, (old, new) in wanted.items():
        if old != new:
            raise StudyError(
                f"{folder} holds another study: {name} {old} there, {new} asked; give another --out, or remove it"
            )
