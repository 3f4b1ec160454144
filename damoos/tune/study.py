"""A whole study: baseline, search, verification, and everything that a report shows.

The same request again continues where an earlier call stopped, however it stopped: finished trials and verification
runs are in the journal, and what is proposed next depends on them and on the seed alone.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.backend.result import Result
from damoos.catalogue import find
from damoos.damon.damo_format import from_damo, to_damo
from damoos.damon.features import kernel_version
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, ConfigError
from damoos.workload import masim
from damoos.workload.access import WINDOW_MS, expected_heat
from damoos.workload.masim import MasimWorkload

from .journal import Header, Journal
from .objective import Objective, pareto_front, parse_objective
from .outcome import HeatMap, Outcome, Run, Series, Trial, WorkloadInfo
from .preset import Env, load_env
from .request import Progress, StudyRequest
from .seeds import Stream, run_seeds, sampler_seed
from .strategies import find_strategy
from .trial import Bench, evaluate
from .verify import DOCUMENTED, FOUND, NO_SCHEME, Verdict, nr_runs, verify

OnProgress = Callable[[Progress], None]

HEAT_TIMES, HEAT_ADDRESSES = 240, 160
SERIES_POINTS = 600


@dataclass
class _Meter:
    """Runs on the bench through the journal's memory. `workload_time_s`: what this call has really run, s;
    `charged_s`: the same with what earlier calls ran and the journal remembered."""

    bench: Bench
    journal: Journal
    tell: OnProgress
    phase: Literal["baseline", "search", "verify"] = "baseline"
    done: int = 0
    total: int = 0
    best_score: float | None = None
    workload_time_s: float = 0.0
    charged_s: float = 0.0

    def enter(self, phase: Literal["baseline", "search", "verify"], done: int, total: int) -> None:
        self.phase, self.done, self.total = phase, done, total
        self.report(0)

    def report(self, more: int) -> None:
        self.done += more
        self.total = max(self.total, self.done)
        self.tell(Progress(self.phase, self.done, self.total, self.best_score, self.workload_time_s))

    def run(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        runs = self.bench.runs(kdamonds, seeds)
        self.workload_time_s += sum(run.runtime_s for run in runs)
        return runs

    def remembered(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        runs = self.journal.runs(kdamonds, seeds)
        if runs is None:
            runs = self.run(kdamonds, seeds)
            self.journal.remember(kdamonds, seeds, runs)
        self.charged_s += sum(run.runtime_s for run in runs)
        self.report(len(runs))
        return runs

    def saw(self, trial: Trial) -> None:
        self.charged_s += sum(repeat.run.runtime_s for repeat in trial.repeats)
        if trial.feasible and trial.score is not None:
            self.best_score = trial.score if self.best_score is None else max(self.best_score, trial.score)


@dataclass(frozen=True)
class _Setting:
    """What a request comes to once everything it names was found."""

    request: StudyRequest
    workload: MasimWorkload
    env: Env
    objective: Objective
    backend: Backend
    header: Header = field(repr=False)


def run_study(request: StudyRequest, on_progress: OnProgress = lambda progress: None) -> Outcome:
    """Does what is left of the study and returns all of it.

    Raises InputError for what can't be used, StudyError if the journal is another study or in use, BackendError if
    the baseline, the default point or the verification can't be run.
    """
    setting = _resolve(request)
    objective = setting.objective
    bench = Bench.of(setting.backend, setting.workload)
    with Journal(request.study, setting.header, max(len(objective.metrics), 1)) as journal:
        meter = _Meter(bench, journal, on_progress)
        seeds = run_seeds(request.seed, Stream.SEARCH, request.repeats)
        meter.enter("baseline", 0, len(seeds))
        baseline = meter.remembered(None, seeds)
        trials = _search(setting, meter, baseline)
        meter.enter("verify", 0, nr_runs(trials))
        verdict = verify(meter.remembered, objective, trials, _documented(setting.env), request.seed)
        # How many runs it takes is known only now.
        meter.enter("verify", meter.done, meter.done)
        return _outcome(setting, meter, baseline, trials, verdict)


def _resolve(request: StudyRequest) -> _Setting:
    workload = masim.load(find("workloads", request.workload))
    env = load_env(request.env)
    own = env.objective
    objective = dataclasses.replace(
        own if request.objective is None else parse_objective(request.objective, own.weight, own.limit_percent),
        weight=own.weight if request.weight is None else request.weight,
        limit_percent=(
            own.limit_percent if request.max_runtime_overhead_percent is None else request.max_runtime_overhead_percent
        ),
    )
    find_strategy(request.strategy)
    backend = open_backend(request.backend, timing=request.timing)
    kernel = backend.probe().kernel
    for parameter in env.space.parameters:
        if parameter.since and kernel_version(parameter.since) > kernel_version(kernel):
            raise ConfigError(
                f"needs Linux {parameter.since}",
                file=env.path,
                field=parameter.name,
                value=f"{kernel} on {backend.name}",
            )
    header: dict[str, str | int | float] = {
        "workload": f"{workload.name} ({_digest(masim.dumps(workload))})",
        "objective": objective.info().description,
        # Backends are values: machine model and pace are in their text.
        "backend": f"{backend.name} ({_digest(repr(backend))})",
        "timing": request.timing,
        "strategy": request.strategy,
        "seed": request.seed,
        "repeats": request.repeats,
        "fixed kdamonds": _digest(repr(env.space.base)),
    }
    for parameter in env.space.parameters:
        condition = f", when {parameter.when.name} in {parameter.when.values}" if parameter.when else ""
        header[f"parameter {parameter.name}"] = (
            f"{parameter.range_text}, {parameter.info().scale}, default {parameter.text(parameter.default)}, "
            f"at {parameter.place}{condition}"
        )
    return _Setting(request, workload, env, objective, backend, header)


def _search(setting: _Setting, meter: _Meter, baseline: Sequence[Run]) -> tuple[Trial, ...]:
    request, journal = setting.request, meter.journal
    make_sampler = find_strategy(request.strategy)
    trials = list(journal.trials())
    for trial in trials:
        meter.saw(trial)
    meter.enter("search", len(trials), max(request.trials, len(trials)))
    while len(trials) < request.trials:
        number = len(trials)
        proposal = journal.propose(setting.env.space, make_sampler, sampler_seed(request.seed, number))
        trial = evaluate(meter.run, setting.env.space, setting.objective, number, proposal.values, baseline)
        if number == 0 and trial.state == "failed":
            raise BackendError(f"the env's default can't be run: {trial.error}")
        failed = trial.state == "failed"
        journal.add(proposal, trial, None if failed else setting.objective.excess_percent(trial.repeats))
        trials.append(trial)
        meter.saw(trial)
        meter.report(1)
    return tuple(trials)


def _documented(env: Env) -> Kdamonds:
    return env.space.kdamonds(env.space.defaults())


def _outcome(
    setting: _Setting, meter: _Meter, baseline: tuple[Run, ...], trials: tuple[Trial, ...], verdict: Verdict
) -> Outcome:
    request, workload, env = setting.request, setting.workload, setting.env
    documented = _documented(env)
    shown: dict[str, Kdamonds | None] = {NO_SCHEME: None, DOCUMENTED: documented}
    if verdict.best is not None and trials[verdict.best].kdamonds != to_damo(documented):
        shown[FOUND] = from_damo(trials[verdict.best].kdamonds)
    seed = run_seeds(request.seed, Stream.VERIFY, 1)[0]
    results = {label: meter.bench.result(kdamonds, seed) for label, kdamonds in shown.items()}
    plain = results[NO_SCHEME]
    allowed = [t for t in trials if t.state == "complete" and t.feasible]
    points = [(-_known(t.runtime_overhead_percent), -_known(t.rss_overhead_percent)) for t in allowed]
    without = env.space.base.with_schemes(())
    recommended = shown[verdict.recommended] if verdict.recommended != NO_SCHEME else None
    return Outcome(
        workload=WorkloadInfo(
            name=workload.name,
            path=request.workload,
            sha256=hashlib.sha256(masim.dumps(workload).encode()).hexdigest(),
            footprint_bytes=workload.footprint_bytes,
            duration_s=workload.duration_ms / 1000,
        ),
        env=env.info(),
        objective=setting.objective.info(),
        backend=setting.backend.name,
        machine=plain.machine,
        time_kind=plain.time_kind,
        timing=request.timing,
        strategy=request.strategy,
        seed=request.seed,
        search_seeds=tuple(run.seed for run in baseline),
        command_line=request.command_line,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        versions=_versions(plain, meter.bench.backend.probe().kernel),
        workload_time_s=meter.charged_s,
        baseline=baseline,
        trials=trials,
        best=verdict.best,
        front=tuple(allowed[i].number for i in pareto_front(points)),
        verification=verdict.verification,
        recommended=to_damo(recommended if recommended is not None else without),
        series=tuple(_series(label, result) for label, result in results.items()),
        access=_heat(workload, plain),
    )


def _known(number: float | None) -> float:
    assert number is not None
    return number


def _series(label: str, result: Result) -> Series:
    samples = result.samples
    step = max(-(-samples.t_s.size // SERIES_POINTS), 1)
    return Series(
        label=label,
        seed=result.seed,
        t_s=tuple(samples.t_s[::step].tolist()),
        rss_bytes=tuple(samples.rss_bytes[::step].tolist()),
        swap_bytes=tuple(samples.swap_bytes[::step].tolist()),
    )


def _heat(workload: MasimWorkload, plain: Result) -> HeatMap:
    # The rate that the undisturbed run had, so that this holds on any backend.
    elapsed_ms = sum(phase.elapsed_ms for phase in plain.phases)
    rate = sum(phase.accesses for phase in plain.phases) / max(elapsed_ms, 1.0)
    heat = expected_heat(workload, rate, HEAT_TIMES, HEAT_ADDRESSES)
    regions, first = [], 0
    for region in workload.regions:
        regions.append((region.name, first, region.sz))
        first += region.sz
    return HeatMap(
        heat=tuple(tuple(round(float(x), 4) for x in row) for row in heat),
        window_ms=WINDOW_MS,
        end_s=workload.duration_ms / 1000,
        total_bytes=workload.footprint_bytes,
        regions=tuple(regions),
    )


def _versions(result: Result, kernel: str) -> dict[str, str]:
    own = {name: metadata.version(name) for name in ("optuna", "numpy")}
    return {"python": platform.python_version(), "kernel": kernel, **own, **result.versions}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
