"""A whole study: baseline, search, verification, and everything that a report shows.

The same request again continues where an earlier call stopped, however it stopped: finished trials and verification
runs are in the journal, and what is proposed next depends on them and on the seed alone.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata

from damoos.backend.base import Backend, Workload
from damoos.backend.registry import open_backend
from damoos.damon.damo_format import from_damo, to_damo
from damoos.damon.features import kernel_version, missing_on
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, ConfigError, InputError, SetUpError
from damoos.workload.processes import AnyMasim

from .attempt import Attempts, Baselines
from .detail import Detail, heat_map
from .effort import SIMULATED, Effort, effort_for
from .journal import Header, Journal
from .meter import Meter, OnProgress
from .metrics import parse_constraint
from .objective import Objective, pareto_front, parse_objective
from .outcome import Outcome, Run, Trial
from .preset import Env, load_env
from .program import deployable, digest, find_workload, speed_of, workload_info
from .request import StudyRequest
from .seeds import Stream, run_seeds, watch_seed
from .strategies import check_strategy, find_strategy
from .strategies.base import Ask, Strategy
from .trial import Bench
from .verify import DOCUMENTED, FOUND, NO_SCHEME, Verdict, nr_runs, verify
from .warm import Start, read_start
from .watching import Watched, monitoring


@dataclass(frozen=True)
class _Setting:
    """What a request comes to once everything it names was found. `env`: with the space of the strategy, where that
    brings one; `documented`: the default of the env itself. `effort`: with the request's own repeats."""

    request: StudyRequest
    workload: Workload
    env: Env
    documented: Kdamonds
    objective: Objective
    backend: Backend
    kernel: str
    effort: Effort
    start: Start | None
    strategy: Strategy
    early_stop: bool
    header: Header = field(repr=False)


def run_study(
    request: StudyRequest, on_progress: OnProgress = lambda progress: None, backend: Backend | None = None
) -> Outcome:
    """Does what is left of the study and returns all of it, on `backend`, or one that is opened for it and closed.

    Raises InputError for what can't be used, StudyError if the journal is another study or in use, DamonInUseError,
    WorkloadError if the workload fails without a scheme, SetUpError if too many runs could not be set up, BackendError
    if the baseline, the default point or the verification can't be run.
    """
    with ExitStack() as stack:
        if backend is None:
            backend = open_backend(request.backend, timing=request.timing)
            stack.callback(backend.close)
        return _run(_resolve(request, backend), on_progress)


def _run(setting: _Setting, on_progress: OnProgress) -> Outcome:
    request, objective, effort = setting.request, setting.objective, setting.effort
    env = setting.env
    bench = Bench.of(
        setting.backend, setting.workload, observes=objective.observes, feed=env.feed, steering=env.steering
    )
    with Journal(request.study, setting.header, max(len(objective.metrics), 1)) as journal:
        first = run_seeds(request.seed, Stream.VERIFY, 1)[0]
        meter = Meter(
            bench,
            journal,
            on_progress,
            repeats=effort.repeats,
            detail_seed=first,
            max_workload_time_s=request.max_workload_time_s,
            follows=setting.early_stop,
        )
        seeds = run_seeds(request.seed, Stream.SEARCH, effort.repeats)
        ladder = setting.strategy.ladder(effort.repeats) if setting.strategy.ladder is not None else None
        baselines = Baselines.measured(meter, seeds, ladder)
        finalists = effort.finalists if setting.early_stop else None
        trials = _search(setting, Attempts(meter, env.space, objective, baselines, ladder, finalists))
        meter.enter("verify", 0, nr_runs(trials, effort))
        unsteered = partial(meter.remembered, steered=False)
        found = meter.remembered if env.steering is not None else None
        verdict = verify(unsteered, objective, trials, setting.documented, request.seed, effort, found)
        # How many runs it takes is known only now.
        meter.enter("verify", meter.done, meter.done)
        return _outcome(setting, meter, baselines.whole, trials, verdict)


def documented_kdamonds(env: Env) -> Kdamonds:
    """The env's default point, trial 0 of each study whose strategy searches the env's own space."""
    return env.space.kdamonds(env.space.defaults())


def _resolve(request: StudyRequest, backend: Backend) -> _Setting:
    workload = request.program if request.program is not None else find_workload(request.workload)
    env = load_env(request.env)
    own = env.objective
    objective = dataclasses.replace(
        own
        if request.objective is None
        else parse_objective(request.objective, own.weight, own.limit_percent, own.constraints),
        weight=own.weight if request.weight is None else request.weight,
        limit_percent=(
            own.limit_percent if request.max_runtime_overhead_percent is None else request.max_runtime_overhead_percent
        ),
        constraints=own.constraints
        if request.constraints is None
        else tuple(parse_constraint(text) for text in request.constraints),
        speed=speed_of(workload),
    )
    if objective.needs & {"truth", "simulator"} and backend.time_kind != "simulated":
        raise InputError(
            "has metrics that only the simulator knows",
            field="objective",
            value=f"{objective.info().description} on {backend.name}",
            allowed="--backend sim:MACHINE",
        )
    check_strategy(request.strategy)
    effort = effort_for(backend.time_kind)
    if request.repeats is not None:
        effort = dataclasses.replace(effort, repeats=request.repeats)
    # Nothing heavy is loaded up to here, so that a machine that can't be used is known at once.
    offered = backend.probe()
    kernel = offered.kernel
    documented = documented_kdamonds(env)
    for scheme in documented.context.schemes:
        why = offered.missing.get(str(scheme.action))
        if why is not None and backend.time_kind == "simulated":
            raise InputError(f"would do nothing, since {why}", field=f"env {env.name}", value=str(scheme.action))
    strategy = find_strategy(request.strategy)
    strategy.check(env.space, max(len(objective.metrics), 1), subject=True)
    if request.trials <= strategy.nr_watched:
        allowed = "2 and more: one is the run that it watches"
        raise InputError(f"too few for strategy {strategy.name}", field="trials", value=request.trials, allowed=allowed)
    env = strategy.env_in(env)
    start = None if request.start_from is None else read_start(request.start_from, request.from_best, env)
    for path, since in missing_on(documented_kdamonds(env), kernel) if strategy.brings is not None else ():
        raise InputError(
            f"needs Linux {since} for {path}", field=f"strategy {strategy.name}", value=f"{kernel} on {backend.name}"
        )
    for parameter in env.space.parameters:
        if parameter.since and kernel_version(parameter.since) > kernel_version(kernel):
            raise ConfigError(
                f"needs Linux {parameter.since}",
                file=env.path,
                field=parameter.name,
                value=f"{kernel} on {backend.name}",
            )
    if backend.time_kind == "simulated" and not isinstance(workload, AnyMasim):
        # It says so before there is a journal.
        backend.start(workload, None, 0).close()
    header = _header(request, workload, env, objective, backend, effort, start)
    usual = backend.time_kind != "simulated"
    early_stop = usual if request.early_stop is None else request.early_stop
    # Said only where it isn't as usual, so that studies from before there was a choice still go on.
    if early_stop != usual:
        header = {**header, "early stop": "on" if early_stop else "off"}
    if strategy.uses_budget:
        header = {**header, "trials": request.trials}
    if env.steering is not None:
        header = {**header, "steering": _digest(repr(env.steering))}
    return _Setting(
        request, workload, env, documented, objective, backend, kernel, effort, start, strategy, early_stop, header
    )


def _header(
    request: StudyRequest,
    workload: Workload,
    env: Env,
    objective: Objective,
    backend: Backend,
    effort: Effort,
    start: Start | None,
) -> Header:
    header: dict[str, str | int | float] = {
        "workload": f"{workload.name} ({digest(workload)[:12]})",
        "objective": objective.info().description,
        # Backends are values: machine model and pace are in their text.
        "backend": f"{backend.name} ({_digest(repr(backend))})",
        "timing": request.timing,
        "strategy": request.strategy,
        "seed": request.seed,
        "repeats": effort.repeats,
        "fixed kdamonds": _digest(repr(env.space.base)),
    }
    # What the first studies had goes without saying, so that they still go on.
    if dataclasses.replace(effort, repeats=SIMULATED.repeats) != SIMULATED:
        header["effort"] = effort.text
    if start is not None:
        header["start"] = start.key
    for parameter in env.space.parameters:
        condition = f", when {parameter.when.name} in {parameter.when.values}" if parameter.when else ""
        header[f"parameter {parameter.name}"] = (
            f"{parameter.range_text}, {parameter.info().scale}, default {parameter.text(parameter.default)}, "
            f"at {parameter.place}{condition}"
        )
    return header


def _search(setting: _Setting, attempts: Attempts) -> tuple[Trial, ...]:
    request, meter, space, repeats = setting.request, attempts.meter, setting.env.space, setting.effort.repeats
    journal, start = meter.journal, () if setting.start is None else setting.start.points
    trials = list(journal.trials())
    for trial in trials:
        meter.saw(trial)
    wanted = request.trials - setting.strategy.nr_watched
    subject = _subject(setting, meter) if setting.strategy.watches else None
    meter.enter("search", len(trials), max(wanted, len(trials)))
    # The default is always run, since the verification compares with it.
    while len(trials) < wanted and not (trials and meter.used_up):
        number = len(trials)
        sampler = setting.strategy.make_sampler(Ask(space, request.seed, number, wanted, subject, repeats))
        proposal = journal.propose(space, sampler, start)
        trial = attempts.run(number, proposal.values, trials)
        failed = trial.state == "failed"
        # Where the default can't run nothing can; a workload that fails under it may do well under others.
        if number == 0 and failed and trial.error_kind != "workload":
            kind = SetUpError if trial.error_kind == "setup" else BackendError
            raise kind(f"the env's default can't be run: {trial.error}")
        meter.check_set_up(trial)
        journal.add(proposal, trial, setting.objective)
        trials.append(trial)
        meter.saw(trial)
        meter.report(1)
    return tuple(trials)


def _subject(setting: _Setting, meter: Meter) -> Watched:
    # Recorded here and now, so that whoever looks on sees what takes so long.
    env, seed = setting.env, watch_seed(setting.request.seed)
    meter.enter("watch", 0, 1)
    subject = Watched(setting.objective, env.feed, setting.backend, lambda: meter.watched(monitoring(env.space), seed))
    subject.recording()
    return subject


def _outcome(
    setting: _Setting, meter: Meter, baseline: tuple[Run, ...], trials: tuple[Trial, ...], verdict: Verdict
) -> Outcome:
    request, workload, env = setting.request, setting.workload, setting.env
    shown = _shown(setting.documented, trials, verdict)
    details = {label: meter.detail(kdamonds, steered=label == FOUND) for label, kdamonds in shown.items()}
    plain = details[NO_SCHEME]
    allowed = [t for t in trials if t.state == "complete" and t.feasible]
    points = [(-_known(t.runtime_overhead_percent), -_known(t.rss_overhead_percent)) for t in allowed]
    without = env.space.base.with_schemes(())
    recommended = shown[verdict.recommended] if verdict.recommended != NO_SCHEME else None
    access = heat_map(workload, plain.accesses_per_ms) if isinstance(workload, AnyMasim) else None
    return Outcome(
        workload=workload_info(workload, request.workload, baseline),
        env=env.info(),
        objective=setting.objective.info(),
        backend=setting.backend.name,
        machine=plain.machine,
        time_kind=setting.backend.time_kind,
        timing=request.timing,
        strategy=request.strategy,
        seed=request.seed,
        search_seeds=tuple(run.seed for run in baseline),
        command_line=request.command_line,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        versions=_versions(plain, setting.kernel),
        workload_time_s=meter.charged_s,
        baseline=baseline,
        trials=trials,
        best=verdict.best,
        front=tuple(allowed[i].number for i in pareto_front(points)),
        verification=verdict.verification,
        recommended=to_damo(deployable(workload, recommended if recommended is not None else without)),
        series=tuple(detail.series(label) for label, detail in details.items()),
        access=access,
        start=None if setting.start is None else setting.start.text,
        steered=request.strategy if env.steering is not None and verdict.recommended == FOUND else None,
    )


def _shown(documented: Kdamonds, trials: Sequence[Trial], verdict: Verdict) -> dict[str, Kdamonds | None]:
    """What was verified, by label; without a scheme under which the workload failed then."""
    verified = {scheme.label for scheme in verdict.verification.schemes}
    shown: dict[str, Kdamonds | None] = {NO_SCHEME: None}
    if DOCUMENTED in verified:
        shown[DOCUMENTED] = documented
    if FOUND in verified and verdict.best is not None:
        shown[FOUND] = from_damo(trials[verdict.best].kdamonds)
    return shown


def _known(number: float | None) -> float:
    assert number is not None
    return number


def _versions(plain: Detail, kernel: str) -> dict[str, str]:
    own = {name: metadata.version(name) for name in ("optuna", "numpy")}
    return {"python": platform.python_version(), "kernel": kernel, **own, **plain.versions}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
