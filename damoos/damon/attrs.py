"""Monitoring attributes of a DAMON context, as the kernel's sysfs names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from damoos.units import parse_bp, parse_time_us


@dataclass(frozen=True)
class IntervalsGoal:
    """Monitoring intervals auto-tuning (`intervals/intervals_goal`, Linux 6.15+); `aggrs` 0 turns it off."""

    access_bp: int = 0
    aggrs: int = 0
    min_sample_us: int = 0
    max_sample_us: int = 0

    @classmethod
    def of(
        cls,
        access: str | int = "4 %",
        aggrs: int = 3,
        min_sample: str | int = "5 ms",
        max_sample: str | int = "10 s",
    ) -> Self:
        """From times (bare: µs) and a share (bare: bp); defaults are the kernel documentation's suggestion."""
        return cls(
            access_bp=parse_bp(access, field="access_bp"),
            aggrs=aggrs,
            min_sample_us=parse_time_us(min_sample, field="min_sample_us"),
            max_sample_us=parse_time_us(max_sample, field="max_sample_us"),
        )


@dataclass(frozen=True)
class Intervals:
    """Sampling, aggregation and operations update intervals in µs; defaults are the kernel's."""

    sample_us: int = 5_000
    aggr_us: int = 100_000
    ops_update_us: int = 60_000_000
    intervals_goal: IntervalsGoal = field(default_factory=IntervalsGoal)

    @classmethod
    def of(
        cls,
        sample: str | int = "5 ms",
        aggr: str | int = "100 ms",
        ops_update: str | int = "1 m",
        goal: IntervalsGoal | None = None,
    ) -> Self:
        """From times such as "5 ms"; bare numbers are µs. Raises UnitError."""
        return cls(
            sample_us=parse_time_us(sample, field="sample_us"),
            aggr_us=parse_time_us(aggr, field="aggr_us"),
            ops_update_us=parse_time_us(ops_update, field="ops_update_us"),
            intervals_goal=goal if goal is not None else IntervalsGoal(),
        )


@dataclass(frozen=True)
class NrRegions:
    """Lower and upper bound of the number of monitoring regions, over all targets."""

    min: int = 10
    max: int = 1_000
