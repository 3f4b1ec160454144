"""Monitoring attributes of a DAMON context, as the kernel's sysfs names them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class IntervalsGoal:
    """Monitoring intervals auto-tuning (`intervals/intervals_goal`, Linux 6.15+); `aggrs` 0 turns it off."""

    access_bp: int = 0
    aggrs: int = 0
    min_sample_us: int = 0
    max_sample_us: int = 0


@dataclass(frozen=True)
class Intervals:
    """Sampling, aggregation and operations update intervals in µs; defaults are the kernel's."""

    sample_us: int = 5_000
    aggr_us: int = 100_000
    ops_update_us: int = 60_000_000
    intervals_goal: IntervalsGoal = field(default_factory=IntervalsGoal)


@dataclass(frozen=True)
class NrRegions:
    """Lower and upper bound of the number of monitoring regions, over all targets."""

    min: int = 10
    max: int = 1_000
