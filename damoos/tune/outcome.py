"""What a study found, as one immutable value: everything that reports show and files keep.

`Outcome.to_json()` is the content of `result.json`, `Outcome.from_json()` reads it back to an equal value.
Kdamonds are kept as damo's JSON tree (`damoos.damon.damo_format.to_damo`), numbers as plain Python numbers.
Overheads are percent of the baseline, the same workload and seed without DAMON: +10 runtime is 10 % slower, -30 RSS is
30 % less memory. Scores are better when larger; 0 is "no scheme" for the DAMOOS objective.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Self

from damoos.backend.result import Course
from damoos.damon.observed import Observed
from damoos.errors import ConfigError

FORMAT_VERSION = 1
_LATER = "later"


def _later(default: Any) -> Any:
    """A field that earlier files lack: left out where it has its default, so that what they can say looks as it did."""
    return field(default=default, metadata={_LATER: True})


@dataclass(frozen=True)
class WorkloadInfo:
    """The workload that was tuned for. `kind`: "masim", "command", "pid", "cgroup" or "paddr".

    Of masim workloads `path` is the file, `footprint_bytes` and `duration_s` are nominal (`duration_s` the sum of the
    phases); of others `path` is the command or what was attached to, and these two are the baseline's peak RSS and mean
    runtime. `metric`: where the workload's own number comes from, in words.
    """

    name: str
    path: str
    sha256: str
    footprint_bytes: int
    duration_s: float
    kind: str = _later("masim")
    metric: str | None = _later(None)


@dataclass(frozen=True)
class ParameterInfo:
    """One tunable parameter as shown: range and default are texts with units, `where` is its place in kdamonds."""

    name: str
    title: str
    unit: str
    scale: str
    low: str
    high: str
    choices: tuple[str, ...]
    default: str
    where: str
    since: str


@dataclass(frozen=True)
class EnvInfo:
    """The env preset: a space of parameters around fixed kdamonds."""

    name: str
    title: str
    path: str
    sha256: str
    parameters: tuple[ParameterInfo, ...]


@dataclass(frozen=True)
class ObjectiveInfo:
    """How a score was computed. `kind`: "damoos", "metric" or "pareto"; `weight` is runtime's share of the DAMOOS
    score, 0..1; slower than `max_runtime_overhead_percent` is infeasible; `metrics` are those of a Pareto front;
    `constraints`: what else must hold, such as "kdamond-cpu <= 0.5".

    `speed`: what slower means, see `damoos.tune.objective.Speed`. Where it isn't "runtime", all that is called runtime
    overhead is of the workload's metric ("lower", "higher" is better), or 0 since nothing measures it ("none").
    """

    kind: str
    description: str
    weight: float | None
    max_runtime_overhead_percent: float
    metrics: tuple[str, ...]
    speed: str = _later("runtime")
    constraints: tuple[str, ...] = _later(())


@dataclass(frozen=True)
class Run:
    """What one run measured; times in s of the outcome's `time_kind`. `metric`: the workload's own number; `observed`:
    what DAMON's snapshots came to, where the objective asks for that; `stall_s`: stalled for memory; `huge_mean_bytes`,
    `far_mean_bytes`: in huge mappings and on NUMA nodes other than 0, means of the samples; `course`: how it came
    along, of baselines that others are watched against; None: not measured."""

    seed: int
    runtime_s: float
    rss_mean_bytes: float
    rss_peak_bytes: int
    major_faults: int
    swap_in_bytes: int
    swap_out_bytes: int
    kdamond_cpu_s: float
    metric: float | None = _later(None)
    rss_last_bytes: int | None = _later(None)
    observed: Observed | None = _later(None)
    stall_s: float | None = _later(None)
    huge_mean_bytes: float | None = _later(None)
    far_mean_bytes: float | None = _later(None)
    course: Course | None = _later(None)


@dataclass(frozen=True)
class Repeat:
    """One run of a trial against the baseline run of the same seed; `score` of this pair alone. `constrained`: the
    value of each of the objective's constraints."""

    run: Run
    runtime_overhead_percent: float
    rss_overhead_percent: float
    score: float
    constrained: tuple[float, ...] = _later(())


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided confidence interval; low == mean == high for a single value."""

    mean: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Stopped:
    """A trial that was ended because it had no hope. `why`: "too slow" (it breaks the runtime limit) or "no final" (its
    score can't be among the best that go to the final). That was known `at_s` s into its run with `seed`; runs that did
    not end took `spent_s` s in all. Of the mean over all its runs: `runtime_overhead_at_least_percent`;
    `score_at_most`, None where the score can't be bounded."""

    why: str
    seed: int
    at_s: float
    spent_s: float
    runtime_overhead_at_least_percent: float
    score_at_most: float | None

    @property
    def text(self) -> str:
        """The same in words."""
        reason = (
            f"runtime overhead at least {self.runtime_overhead_at_least_percent:.1f} %"
            if self.why == "too slow"
            else f"score at most {self.score_at_most:.2f}"
        )
        return f"stopped {self.at_s:.1f} s into the run with seed {self.seed}: {reason}"


@dataclass(frozen=True)
class Trial:
    """One point evaluated. `state`: "complete", "failed" (then `error` says why and there are no numbers), "stopped"
    (then `stopped` says why and there are no numbers but those of `repeats`, the runs that had ended before), "partial"
    (all numbers are there, but of fewer runs than other trials have, or of the beginning of the workload: the `share`
    of its time). `reused`: seeds of the runs that an earlier trial at this point had made.

    `error_kind`: "refused" by the kernel, "setup" of the run, "workload", or "backend" for whatever else.

    `steered`: something changed the kdamonds while the workload ran; `params` and `kdamonds` are what it began with.

    `params`: parameter name to value in its unit (only those active); `params_text` the same as text with unit.
    `score` is the mean over `repeats`, `values` what the objective optimises (one value, or one a Pareto metric).
    """

    number: int
    state: str
    params: dict[str, float | int | str | bool]
    params_text: dict[str, str]
    kdamonds: dict[str, Any]
    score: float | None
    values: tuple[float, ...]
    feasible: bool
    runtime_overhead_percent: float | None
    rss_overhead_percent: float | None
    repeats: tuple[Repeat, ...]
    error: str | None = None
    error_kind: str | None = _later(None)
    stopped: Stopped | None = _later(None)
    share: float = _later(1.0)
    reused: tuple[int, ...] = _later(())
    steered: bool = _later(False)

    @property
    def workload_time_s(self) -> float:
        """What it cost, s of the outcome's `time_kind`."""
        ended_s = sum(repeat.run.runtime_s for repeat in self.repeats if repeat.run.seed not in self.reused)
        return ended_s if self.stopped is None else ended_s + self.stopped.spent_s


@dataclass(frozen=True)
class VerifiedScheme:
    """One configuration run with the fresh seeds. `label`: "documented" (the env's default), "found" (the winner,
    unless that is the documented one); "no scheme" is the baseline and has no entry, nor has one whose workload failed
    under it. `trial`: where it comes from. `metric`: of the workload's own number."""

    label: str
    trial: int | None
    kdamonds: dict[str, Any]
    score: Interval
    runtime_overhead_percent: Interval
    rss_overhead_percent: Interval
    runtime_s: Interval
    rss_mean_bytes: Interval
    feasible: bool
    repeats: tuple[Repeat, ...]
    metric: Interval | None = _later(None)


@dataclass(frozen=True)
class Comparison:
    """A paired difference of scores with the same seeds: `found` minus `against`; `better` with confidence."""

    found: str
    against: str
    difference: Interval
    better: bool


@dataclass(frozen=True)
class Verification:
    """The second look with seeds that the search never saw.

    `finalists`: trial number to mean score in the round that chose the winner (seeds of its own). `helps`: the winner
    beats no scheme and isn't beaten by the documented one. `verdict`: the same in one or two sentences.
    """

    finalist_seeds: tuple[int, ...]
    finalists: dict[str, float]
    seeds: tuple[int, ...]
    baseline_runtime_s: Interval
    baseline_rss_mean_bytes: Interval
    schemes: tuple[VerifiedScheme, ...]
    comparisons: tuple[Comparison, ...]
    helps: bool
    verdict: str
    baseline_metric: Interval | None = _later(None)


@dataclass(frozen=True)
class Series:
    """Memory over time of one run; `label`: "no scheme", "documented" or "found"."""

    label: str
    seed: int
    t_s: tuple[float, ...]
    rss_bytes: tuple[int, ...]
    swap_bytes: tuple[int, ...]


@dataclass(frozen=True)
class HeatMap:
    """The workload's own access pattern: `heat[time][address]`, the probability, 0..1, that a page is touched in a
    window of `window_ms`. `regions`: (name, first byte, bytes) in the address range 0..`total_bytes`."""

    heat: tuple[tuple[float, ...], ...]
    window_ms: float
    end_s: float
    total_bytes: int
    regions: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Outcome:
    """A whole study. `best` is the number of the trial named winner (None: no trial was feasible), also when
    verification says that it does not help; `recommended` is what to deploy: the winner's kdamonds if it helps, else
    kdamonds without a scheme. `front`: feasible trials on the Pareto front (runtime overhead, RSS overhead), fastest
    first. `created`: local time, ISO 8601. `workload_time_s`: what the study charged, s of `time_kind`. `access`: None
    where the workload's own pattern isn't known. `start`: the study whose best points came first, in words.
    `steered`: the strategy that changes the kdamonds while the workload runs, where that is what to deploy: then there
    is no configuration to deploy, and `recommended` is what such runs begin with."""

    workload: WorkloadInfo
    env: EnvInfo
    objective: ObjectiveInfo
    backend: str
    machine: str
    time_kind: str
    timing: str
    strategy: str
    seed: int
    search_seeds: tuple[int, ...]
    command_line: str
    created: str
    versions: dict[str, str]
    workload_time_s: float
    baseline: tuple[Run, ...]
    trials: tuple[Trial, ...]
    best: int | None
    front: tuple[int, ...]
    verification: Verification | None
    recommended: dict[str, Any]
    series: tuple[Series, ...]
    access: HeatMap | None = _later(None)
    start: str | None = _later(None)
    steered: str | None = _later(None)

    @property
    def best_trial(self) -> Trial | None:
        """The trial that `best` names."""
        return None if self.best is None else self.trials[self.best]

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON values, with `format`, the version of the layout."""
        tree = typing.cast("dict[str, Any]", to_plain(self))
        return {"format": FORMAT_VERSION, **tree}

    @classmethod
    def from_json(cls, tree: dict[str, Any], file: str | None = None) -> Self:
        """The outcome in `tree`. Raises ConfigError naming `file` and field if it is none, or a newer format."""
        version = tree.get("format")
        if version != FORMAT_VERSION:
            raise ConfigError(
                "unknown format", file=file, field="format", value=version, allowed=f"{FORMAT_VERSION} (of damoos tune)"
            )
        values = {key: value for key, value in tree.items() if key != "format"}
        try:
            return typing.cast(Self, from_plain(cls, values, "result"))
        except ConfigError as error:
            raise error.at(file=file) from None


def to_plain(value: object) -> object:
    """A value of this module as JSON values: dataclasses become objects, tuples lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        entries = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {f.name: to_plain(x) for f, x in entries if not (_LATER in f.metadata and x == f.default)}
    if isinstance(value, tuple):
        return [to_plain(entry) for entry in value]
    return value


def from_plain(kind: Any, value: Any, where: str) -> Any:
    """`value` of a JSON tree as the annotated type `kind` of this module; `where` names it in errors.

    What has a default may be missing. Raises ConfigError if it is none.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
        if not isinstance(value, dict) or not needed <= set(value) <= set(hints):
            found = sorted(value) if isinstance(value, dict) else value
            raise ConfigError("wrong keys", field=where, value=found, allowed=", ".join(hints))
        return kind(**{name: from_plain(hints[name], entry, f"{where}.{name}") for name, entry in value.items()})
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError("not a list", field=where, value=value)
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise ConfigError("wrong length", field=where, value=value, allowed=str(len(kinds)))
        return tuple(from_plain(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is types.UnionType:
        if value is None and types.NoneType in inner:
            return None
        kinds = tuple(k for k in inner if k is not types.NoneType)
        return from_plain(kinds[0], value, where) if len(kinds) == 1 else value
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is not Any and not isinstance(value, origin or kind):
        raise ConfigError("wrong type", field=where, value=value, allowed=kind.__name__)
    return value
