"""DAMON's modules as kdamonds: what DAMON_RECLAIM, DAMON_LRU_SORT and DAMON_STAT make of their parameters.

Restates mm/damon/reclaim.c, lru_sort.c, stat.c and modules-common.h of Linux 7.3. Parameter names, units and defaults
are the modules' own; all monitor physical memory, all of it unless a region is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from damoos.errors import KdamondsError
from damoos.units import U32_MAX, U64_MAX

from .attrs import Intervals, IntervalsGoal, NrRegions
from .filters import Filter
from .kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from .quotas import QuotaGoal, Quotas, Watermarks, Weights
from .schemes import AccessPattern, Action, Range, Scheme
from .snapshot import Snapshot

_PAGE = 4096
_GIVE = 2
"""Basis points by which the two goals of DAMON_LRU_SORT overlap, so that neither waits for the other."""


@dataclass(frozen=True)
class Monitoring:
    """What all modules have: intervals in µs, numbers of regions, and the monitored region in bytes (0, 0: all)."""

    sample_interval: int = 5_000
    aggr_interval: int = 100_000
    min_nr_regions: int = 10
    max_nr_regions: int = 1_000
    monitor_region_start: int = 0
    monitor_region_end: int = 0

    @property
    def samples(self) -> int:
        """Samples of an aggregation."""
        return max(self.aggr_interval // max(self.sample_interval, 1), 1)

    def kdamonds(self, *schemes: Scheme, goal: IntervalsGoal | None = None) -> Kdamonds:
        """One kdamond that monitors physical memory so, with these schemes and goal of auto-tuning."""
        region = AddressRange(self.monitor_region_start, self.monitor_region_end)
        context = Context(
            ops="paddr",
            intervals=Intervals(
                sample_us=self.sample_interval,
                aggr_us=self.aggr_interval,
                ops_update_us=0,
                intervals_goal=goal if goal is not None else IntervalsGoal(),
            ),
            nr_regions=NrRegions(self.min_nr_regions, self.max_nr_regions),
            targets=(Target(regions=(region,) if region.end > region.start else ()),),
            schemes=schemes,
        )
        return Kdamonds((Kdamond((context,)),))


@dataclass(frozen=True)
class Reclaim:
    """DAMON_RECLAIM's parameters: `min_age` µs; quota ms, bytes and their interval ms; `quota_mem_pressure_us` and
    `quota_autotune_feedback` 0: no such goal; watermarks in µs and permil of free memory."""

    min_age: int = 120_000_000
    quota_ms: int = 10
    quota_sz: int = 128 << 20
    quota_reset_interval_ms: int = 1_000
    quota_mem_pressure_us: int = 0
    quota_autotune_feedback: int = 0
    wmarks_interval: int = 5_000_000
    wmarks_high: int = 500
    wmarks_mid: int = 400
    wmarks_low: int = 200
    skip_anon: bool = False
    monitoring: Monitoring = field(default_factory=Monitoring)

    def kdamonds(self) -> Kdamonds:
        """What the module starts."""
        goals = []
        if self.quota_mem_pressure_us:
            goals.append(QuotaGoal("some_mem_psi_us", self.quota_mem_pressure_us))
        if self.quota_autotune_feedback:
            goals.append(QuotaGoal("user_input", 10_000, self.quota_autotune_feedback))
        scheme = Scheme(
            Action.PAGEOUT,
            AccessPattern(
                sz=Range(_PAGE, U64_MAX),
                nr_accesses=Range(0, 0),
                age=Range(self.min_age // self.monitoring.aggr_interval, U32_MAX),
            ),
            quotas=Quotas(
                ms=self.quota_ms,
                bytes=self.quota_sz,
                reset_interval_ms=self.quota_reset_interval_ms,
                weights=Weights(age_permil=1),
                goals=tuple(goals),
            ),
            watermarks=Watermarks(
                "free_mem_rate", self.wmarks_interval, self.wmarks_high, self.wmarks_mid, self.wmarks_low
            ),
            ops_filters=(Filter("anon", matching=True, allow=False),) if self.skip_anon else (),
        )
        return self.monitoring.kdamonds(scheme)


@dataclass(frozen=True)
class LruSort:
    """DAMON_LRU_SORT's parameters: `hot_thres_access_freq` permil of the samples, `cold_min_age` µs; each of the two
    schemes gets half of `quota_ms`; `active_mem_bp` 0: no goal; watermarks in µs and permil of free memory."""

    hot_thres_access_freq: int = 500
    cold_min_age: int = 120_000_000
    quota_ms: int = 10
    quota_reset_interval_ms: int = 1_000
    active_mem_bp: int = 0
    autotune_monitoring_intervals: bool = False
    filter_young_pages: bool = False
    wmarks_interval: int = 5_000_000
    wmarks_high: int = 200
    wmarks_mid: int = 150
    wmarks_low: int = 50
    monitoring: Monitoring = field(default_factory=Monitoring)

    def kdamonds(self) -> Kdamonds:
        """What the module starts. Raises KdamondsError for a share above 100 %."""
        if self.active_mem_bp > 10_000:
            raise KdamondsError(
                "more than all memory", field="active_mem_bp", value=self.active_mem_bp, allowed="0 to 10000"
            )
        samples = self.monitoring.samples
        hot = AccessPattern(
            sz=Range(_PAGE, U64_MAX),
            nr_accesses=Range(samples * self.hot_thres_access_freq // 1000, U32_MAX),
            age=Range(0, U32_MAX),
        )
        cold = AccessPattern(
            sz=Range(_PAGE, U64_MAX),
            nr_accesses=Range(0, 0),
            age=Range(self.cold_min_age // self.monitoring.aggr_interval, U32_MAX),
        )
        # Hot pages that are not young need no move, and neither do cold ones that are.
        return self.monitoring.kdamonds(
            self._scheme(Action.LRU_PRIO, hot, "active_mem_bp", self.active_mem_bp, young=False),
            self._scheme(Action.LRU_DEPRIO, cold, "inactive_mem_bp", 10_000 - self.active_mem_bp + _GIVE, young=True),
            goal=IntervalsGoal(40, 3, 5_000, 10_000_000) if self.autotune_monitoring_intervals else None,
        )

    def _scheme(self, action: Action, pattern: AccessPattern, metric: str, target: int, *, young: bool) -> Scheme:
        return Scheme(
            action,
            pattern,
            quotas=Quotas(
                ms=self.quota_ms // 2,
                reset_interval_ms=self.quota_reset_interval_ms,
                weights=Weights(nr_accesses_permil=1, age_permil=1),
                goals=(QuotaGoal(metric, target),) if self.active_mem_bp else (),
            ),
            watermarks=Watermarks(
                "free_mem_rate", self.wmarks_interval, self.wmarks_high, self.wmarks_mid, self.wmarks_low
            ),
            ops_filters=(Filter("young", matching=young, allow=False),) if self.filter_young_pages else (),
        )


def stat() -> Kdamonds:
    """What DAMON_STAT starts: no scheme, and intervals tuned so that 4 % of the accesses that could be seen are."""
    return Monitoring().kdamonds(goal=IntervalsGoal(400, 3, 5_000, 10_000_000))


def estimated_memory_bandwidth(snapshot: Snapshot) -> int:
    """DAMON_STAT's estimate, bytes per second: each access of a region counts as one to all of its bytes."""
    total = int(((snapshot.end - snapshot.start) * snapshot.nr_accesses).sum())
    return total * 1_000_000 // max(snapshot.aggr_us, 1)


def memory_idle_ms_percentiles(snapshot: Snapshot) -> NDArray[np.int64]:
    """DAMON_STAT's idle times, ms [101], by the bytes of the regions: how long what was not accessed in the last
    aggregation has been idle, and negative, how long what was has been in use. Zeros where nothing is monitored."""
    size = snapshot.end - snapshot.start
    if not size.size:
        return np.zeros(101, np.int64)
    turns = np.where(snapshot.nr_accesses == 0, snapshot.age + 1, -(snapshot.age + 1))
    order = np.argsort(turns, kind="stable")
    reached = np.cumsum(size[order]) * 100 // int(size.sum())
    found = turns[order][np.minimum(np.searchsorted(reached, np.arange(101)), size.size - 1)]
    # As C divides: towards 0.
    return np.trunc(found * snapshot.aggr_us / 1000).astype(np.int64)
