"""The one place where a score, or a reward, is computed.

Everything is relative to the baseline, the run of the same workload and seed without DAMON:
overhead % = (with / without - 1) · 100, for runtime and for the time-weighted mean of RSS.

DAMOOS (2021) scores -(0.5 · runtime overhead % + 0.5 · RSS overhead %), so that "no scheme" is 0 and larger is better,
and -1000 where the program gets more than 20 % slower. Here the weight can be chosen, and a program that is too slow
makes the trial infeasible instead of its score a cliff: a search can learn from by how much it was too slow. The limit
is DAMOOS's 20 % unless told, so that scores compare; who deploys reclaim will often want less (`--runtime-limit 3`).

A workload with a metric of its own is judged by that instead of its runtime: overhead % is then by how much the number
got worse. Of what is attached to, without a metric, nothing says how fast it is: its runtime overhead is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Result
from damoos.errors import InputError, WorkloadError

from .metrics import METRICS, Constraint, known_metrics, overhead_percent
from .outcome import ObjectiveInfo, Repeat, Run

DEFAULT_WEIGHT = 0.5
DEFAULT_LIMIT_PERCENT = 20.0
PENALTY = 10.0
"""What a learner's reward loses per percent of runtime overhead above the limit: more than memory could ever give."""


SPEEDS: dict[str, str] = {
    "runtime": "runtime overhead",
    "lower": "overhead of the metric (lower is better)",
    "higher": "overhead of the metric (higher is better)",
    "none": "nothing measures the speed",
}
"""Each `Speed` in words."""

KINDS = ("damoos", "metric", "pareto")

Speed = Literal["runtime", "lower", "higher", "none"]
"""What runtime overhead is the overhead of: the runtime; the workload's metric, of which a "lower" or a "higher" number
is better; "none" where neither says anything."""


@dataclass(frozen=True)
class Objective:
    """What a study maximises. `kind` "damoos": the weighted score; "metric": the one of `METRICS` in `metrics`, minus
    it where less is better; "pareto": several of them, with the DAMOOS score to name one winner of the front.

    `weight`: runtime's share of the DAMOOS score, 0..1, RSS has the rest. `limit_percent`: runtime overhead above which
    a trial is infeasible, larger than 0, percent. `constraints`: what else makes a trial infeasible. `speed`: by what
    speed is judged. Raises InputError.
    """

    kind: Literal["damoos", "metric", "pareto"] = "damoos"
    weight: float = DEFAULT_WEIGHT
    limit_percent: float = DEFAULT_LIMIT_PERCENT
    metrics: tuple[str, ...] = ()
    speed: Speed = "runtime"
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise InputError("out of range", field="weight", value=self.weight, allowed="0 to 1")
        if not (self.limit_percent > 0 and math.isfinite(self.limit_percent)):
            raise InputError("out of range", field="runtime limit", value=self.limit_percent, allowed="more than 0 %")
        for name in self.metrics:
            if name not in METRICS:
                raise InputError("unknown metric", field="objective", value=name, allowed=known_metrics())
        wanted = {"damoos": "0", "metric": "1", "pareto": "2 or more"}[self.kind]
        count = len(set(self.metrics))
        if count != len(self.metrics) or count != {"damoos": 0, "metric": 1, "pareto": max(count, 2)}[self.kind]:
            value = ", ".join(self.metrics)
            raise InputError("wrong metrics", field=f"objective {self.kind}", value=value, allowed=wanted)
        if self.speed == "none" and "runtime" in self.metrics:
            allowed = "rss and others, or --metric"
            raise InputError("nothing measures the speed", field="objective", value="runtime", allowed=allowed)

    @property
    def needs(self) -> set[str]:
        """What is needed beside the results of runs: "snapshots", "truth", "simulator" (see `Metric.needs`)."""
        used = (*self.metrics, *(constraint.metric for constraint in self.constraints))
        return {METRICS[name].needs for name in used} - {""}

    @property
    def observes(self) -> bool:
        """Whether DAMON has to be looked at while the workload runs."""
        return bool(self.needs & {"snapshots", "truth"})

    def repeat(self, run: Run, base: Run) -> Repeat:
        """A run beside its baseline run of the same seed, with the score of this pair.

        Raises WorkloadError if its metric can't be compared.
        """
        runtime = self._slower_percent(run, base)
        rss = overhead_percent(run.rss_mean_bytes, base.rss_mean_bytes)
        if self.kind == "metric":
            score = self._gain(self.metrics[0], run, base)
        else:
            score = -(self.weight * runtime + (1.0 - self.weight) * rss)
        constrained = tuple(self._metric(constraint.metric, run, base) for constraint in self.constraints)
        return Repeat(run, runtime, rss, score, constrained)

    def values(self, repeats: Sequence[Repeat], base: Sequence[Run]) -> tuple[float, ...]:
        """What is maximised, as means over the repeats: the score, or the gain in each metric of a Pareto front."""
        if self.kind != "pareto":
            return (mean([r.score for r in repeats]),)
        pairs = list(zip(repeats, base, strict=True))
        return tuple(mean([self._gain(name, r.run, b) for r, b in pairs]) for name in self.metrics)

    def excesses(self, repeats: Sequence[Repeat]) -> dict[str, list[float]]:
        """By how much each repeat passes each limit, percent: the runtime overhead's first, then the constraints'."""
        found = {f"{SPEEDS[self.speed]} %": [r.runtime_overhead_percent - self.limit_percent for r in repeats]}
        for i, constraint in enumerate(self.constraints):
            found[constraint.text] = [constraint.excess(r.constrained[i]) for r in repeats]
        return found

    def excess_percent(self, repeats: Sequence[Repeat]) -> float:
        """By how much the repeats pass the limit that they pass most, on average, percent; feasible if not above 0."""
        return max(mean(values) for values in self.excesses(repeats).values())

    def reward(self, repeats: Sequence[Repeat]) -> float:
        """The reward of a learning environment: the mean score, less `PENALTY` times the excess over the limit."""
        return mean([r.score for r in repeats]) - PENALTY * max(self.excess_percent(repeats), 0.0)

    def score_at_most(self, at_least_s: float, byte_s: float, base: Run) -> float | None:
        """The highest score within the runtime limit of a run that takes `at_least_s` s or longer, and whose memory has
        come to `byte_s` bytes times s already. None where neither says enough: for another score than DAMOOS's, and
        where speed is a metric that is known in the end alone."""
        if self.kind != "damoos" or self.speed in ("lower", "higher"):
            return None
        time_share, memory_share = self.weight / base.runtime_s, (1.0 - self.weight) / base.rss_mean_bytes
        runtime_s = base.runtime_s
        if self.speed == "runtime":
            # A longer run costs time and lowers the mean of memory: the sum is least where both weigh the same.
            longest_s = max(at_least_s, base.runtime_s * (1.0 + self.limit_percent / 100.0))
            best_s = math.sqrt(memory_share * byte_s / time_share) if time_share > 0 else longest_s
            runtime_s = min(max(best_s, at_least_s), longest_s)
        loss = time_share * (runtime_s - base.runtime_s) + memory_share * byte_s / runtime_s - (1.0 - self.weight)
        return -100.0 * loss

    def _slower_percent(self, run: Run, base: Run) -> float:
        if self.speed == "runtime":
            return METRICS["runtime"].value(run, base)
        if self.speed == "none":
            return 0.0
        now, before = comparable_metric(run), comparable_metric(base)
        return overhead_percent(now, before) if self.speed == "lower" else overhead_percent(before, now)

    def _metric(self, name: str, run: Run, base: Run) -> float:
        return self._slower_percent(run, base) if name == "runtime" else METRICS[name].value(run, base)

    def _gain(self, name: str, run: Run, base: Run) -> float:
        value = self._metric(name, run, base)
        return value if METRICS[name].higher else -value

    def info(self) -> ObjectiveInfo:
        """The objective as reports show it."""
        speed = SPEEDS[self.speed]
        limit = f"infeasible above {self.limit_percent:g} % {speed}"
        damoos = f"-({self.weight:g} · {speed} % + {1 - self.weight:g} · RSS overhead %)"
        if self.speed == "none":
            limit = speed
            damoos = f"-({1 - self.weight:g} · RSS overhead %)"
        titles = [METRICS[name].title if name != "runtime" else f"{speed}, %" for name in self.metrics]
        sign = "" if self.kind == "metric" and METRICS[self.metrics[0]].higher else "minus "
        text = {
            "damoos": damoos,
            "metric": f"{sign}{', '.join(titles)}",
            "pareto": f"front of {', '.join(titles)}; winner by {damoos}",
        }[self.kind]
        return ObjectiveInfo(
            kind=self.kind,
            description="; ".join([text, limit, *(constraint.text for constraint in self.constraints)]),
            weight=None if self.kind == "metric" else self.weight,
            max_runtime_overhead_percent=self.limit_percent,
            metrics=self.metrics,
            speed=self.speed,
            constraints=tuple(constraint.text for constraint in self.constraints),
        )


def parse_objective(
    text: str, weight: float, limit_percent: float, constraints: tuple[Constraint, ...] = ()
) -> Objective:
    """The objective of a text: "damoos", "metric:NAME" or "pareto:NAME,NAME". Raises InputError."""
    kind, _, names = text.partition(":")
    metrics = tuple(name.strip() for name in names.split(",") if name.strip())
    if kind not in KINDS:
        allowed = "damoos, metric:NAME, pareto:NAME,NAME"
        raise InputError("unknown objective", field="objective", value=text, allowed=allowed)
    return Objective(kind, weight, limit_percent, metrics, constraints=constraints)  # type: ignore[arg-type]


def run_of(result: Result) -> Run:
    """The measured numbers of a result that scores and reports use."""
    return Run(
        seed=result.seed,
        runtime_s=result.runtime_s,
        rss_mean_bytes=result.rss_mean_bytes,
        rss_peak_bytes=result.rss_peak_bytes,
        major_faults=result.major_faults,
        swap_in_bytes=result.swap_in_bytes,
        swap_out_bytes=result.swap_out_bytes,
        kdamond_cpu_s=result.kdamond_cpu_s,
        metric=result.metric,
        rss_last_bytes=result.rss_last_bytes,
        observed=result.observed,
        stall_s=result.stall_s,
        huge_mean_bytes=_mean_or_none(result.samples.huge_bytes),
        far_mean_bytes=_mean_or_none(result.samples.far_bytes),
        course=result.course,
    )


def _mean_or_none(values: NDArray[np.int64] | None) -> float | None:
    return None if values is None or not values.size else float(values.mean())


def comparable_metric(run: Run) -> float:
    """The run's metric, which has to be more than 0 for a percentage to mean anything. Raises WorkloadError."""
    if run.metric is None:
        raise WorkloadError("metric: the run gave none")
    if run.metric <= 0:
        raise WorkloadError(f"metric: {run.metric:g} can't be compared in percent; it has to be more than 0")
    return run.metric


def mean(numbers: Sequence[float]) -> float:
    """The mean, exactly rounded, so that it does not depend on the order."""
    return math.fsum(numbers) / len(numbers)


def pareto_front(points: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Indices of the points that no other point dominates, best first coordinate first; all coordinates are maximised.

    A point dominates another if it is at least as good everywhere and better somewhere; of equal ones all are in.
    """
    order = sorted(range(len(points)), key=lambda i: [-x for x in points[i]])
    front: list[int] = []
    for i in order:
        # Whoever dominates i comes before it, and so does someone of the front that dominates it.
        if not any(_dominates(points[j], points[i]) for j in front):
            front.append(i)
    return tuple(front)


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))
