"""What can be optimised or bounded: figures of a run, most of them beside its baseline, the run without DAMON.

Percentiles are named by their number: `wss-p50` is the median of the working set over the snapshots, `idle-p25` the
time that a quarter of the bytes has not been idle for longer, `temperature-p75` and `stat-idle-p75` likewise
(`damoos.damon.observed`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from damoos.damon.observed import PERCENTILES, Observed
from damoos.errors import InputError, WorkloadError

from .outcome import Run

MIB = 2**20


@dataclass(frozen=True)
class Metric:
    """`title`: what it is, with its unit; `value`: of a run and its baseline. `higher`: whether more is better.
    `needs`: "snapshots" taken while the workload runs, of which "truth" also wants to know what it has in use; that and
    what needs the "simulator" is not to be had elsewhere."""

    title: str
    value: Callable[[Run, Run], float]
    higher: bool = False
    needs: str = ""


def overhead_percent(value: float, baseline: float) -> float:
    """How much larger `value` is than `baseline`, percent; both positive."""
    return (value / baseline - 1.0) * 100.0


def _observed(run: Run) -> Observed:
    if run.observed is None:
        raise WorkloadError("metric: DAMON had no regions to look at while the workload ran")
    return run.observed


def _wss(place: int, run: Run, base: Run) -> float:
    return _observed(run).wss_bytes[place] / MIB


def _idle(place: int, run: Run, base: Run) -> float:
    return _observed(run).idle_s[place]


def _temperature(place: int, run: Run, base: Run) -> float:
    return _observed(run).temperature[place]


def _stat_idle(place: int, run: Run, base: Run) -> float:
    found = _observed(run).stat_idle_s
    if found is None:
        raise WorkloadError("stat-idle: not measured by the version of damoos that ran this")
    return found[place]


def _hot_set(run: Run, base: Run) -> float:
    found = _observed(run).hot_set_percent
    if found is None:
        raise WorkloadError("hot-set: what the workload has in use is not known")
    return found


def _measured(value: float | None, name: str) -> float:
    if value is None:
        raise WorkloadError(f"{name}: not measured on this backend")
    return value


def _rss_last(run: Run, base: Run) -> float:
    now, before = _measured(run.rss_last_bytes, "rss-last"), _measured(base.rss_last_bytes, "rss-last")
    return overhead_percent(now, before)


def _percentile_metrics() -> dict[str, Metric]:
    kinds: dict[str, tuple[str, Callable[[int, Run, Run], float]]] = {
        "wss": ("{} of the working set, MiB", _wss),
        "idle": ("{} of the bytes' idle time, s", _idle),
        "temperature": ("{} of the bytes' temperature, damo's unit", _temperature),
        "stat-idle": ("{} of DAMON_STAT's idle times, s (below 0: in use)", _stat_idle),
    }
    return {
        f"{kind}-p{p}": Metric(title.format(f"percentile {p}"), partial(value, place), needs="snapshots")
        for kind, (title, value) in kinds.items()
        for place, p in enumerate(PERCENTILES)
    }


METRICS: dict[str, Metric] = {
    "runtime": Metric("runtime overhead, %", lambda run, base: overhead_percent(run.runtime_s, base.runtime_s)),
    "rss": Metric("RSS overhead, %", lambda run, base: overhead_percent(run.rss_mean_bytes, base.rss_mean_bytes)),
    "rss-peak": Metric(
        "peak RSS overhead, %", lambda run, base: overhead_percent(run.rss_peak_bytes, base.rss_peak_bytes)
    ),
    "rss-last": Metric("overhead of RSS at the end, %", _rss_last),
    "major-faults": Metric(
        "major faults more per s",
        lambda run, base: run.major_faults / run.runtime_s - base.major_faults / base.runtime_s,
    ),
    "swap-in": Metric("MiB swapped in per s", lambda run, base: run.swap_in_bytes / run.runtime_s / MIB),
    "swap-out": Metric("MiB swapped out per s", lambda run, base: run.swap_out_bytes / run.runtime_s / MIB),
    "kdamond-cpu": Metric("kdamond CPU, % of one CPU", lambda run, base: 100.0 * run.kdamond_cpu_s / run.runtime_s),
    "psi": Metric(
        "time stalled for memory, %",
        lambda run, base: 100.0 * _measured(run.stall_s, "psi") / run.runtime_s,
        needs="simulator",
    ),
    "huge": Metric(
        "mean of memory in huge pages, MiB",
        lambda run, base: _measured(run.huge_mean_bytes, "huge") / MIB,
        higher=True,
        needs="simulator",
    ),
    "far": Metric(
        "mean of memory on NUMA nodes other than 0, MiB",
        lambda run, base: _measured(run.far_mean_bytes, "far") / MIB,
        needs="simulator",
    ),
    "hot-set": Metric("memory in use that DAMON knew of (F1), %", _hot_set, higher=True, needs="truth"),
    "wss-mean": Metric(
        "mean working set, MiB", lambda run, base: _observed(run).wss_mean_bytes / MIB, needs="snapshots"
    ),
    "bandwidth": Metric(
        "DAMON_STAT's estimate of memory bandwidth, MiB per s",
        lambda run, base: _measured(_observed(run).bandwidth_bytes_s, "bandwidth") / MIB,
        higher=True,
        needs="snapshots",
    ),
    **_percentile_metrics(),
}
"""By name; less is better where `Metric.higher` does not say otherwise."""


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric's mean over the repeats: `metric` "<=" or ">=" `bound`, in the metric's unit."""

    metric: str
    sign: str
    bound: float

    @property
    def text(self) -> str:
        """As it is given."""
        return f"{self.metric} {self.sign} {self.bound:g}"

    def excess(self, value: float) -> float:
        """By how much `value` passes the bound, percent of it (of 1 where it is 0); feasible where not above 0."""
        past = value - self.bound if self.sign == "<=" else self.bound - value
        return 100.0 * past / (abs(self.bound) or 1.0)


def parse_constraint(text: str) -> Constraint:
    """The constraint of a text such as "kdamond-cpu <= 0.5". Raises InputError."""
    match = re.fullmatch(r"\s*([a-z0-9-]+)\s*(<=|>=)\s*([-+0-9.eE]+)\s*", text)
    if match is None:
        raise InputError("not a constraint", field="constraint", value=text, allowed="NAME <= NUMBER, NAME >= NUMBER")
    if match[1] not in METRICS:
        raise InputError("unknown metric", field="constraint", value=match[1], allowed=known_metrics())
    try:
        return Constraint(match[1], match[2], float(match[3]))
    except ValueError:
        raise InputError("not a number", field="constraint", value=match[3], allowed="a number") from None


def known_metrics() -> str:
    """The names, for messages; percentiles as one each."""
    plain = [name for name in METRICS if not re.search(r"-p\d+$", name)]
    kinds = sorted({name.rpartition("-p")[0] for name in METRICS if name not in plain})
    return ", ".join([*plain, *(f"{kind}-pN" for kind in kinds), f"N of {', '.join(map(str, PERCENTILES))}"])
