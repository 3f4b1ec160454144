"""Quotas of a scheme, their goals, weights and tuner; watermarks; migration destinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from damoos.units import parse_permil, parse_size_bytes, parse_time_ms, parse_time_us

GOAL_METRICS = (
    "user_input",
    "some_mem_psi_us",
    "node_mem_used_bp",
    "node_mem_free_bp",
    "node_memcg_used_bp",
    "node_memcg_free_bp",
    "active_mem_bp",
    "inactive_mem_bp",
    "node_eligible_mem_bp",
)
NODE_METRICS = tuple(metric for metric in GOAL_METRICS if metric.startswith("node_"))
MEMCG_METRICS = tuple(metric for metric in GOAL_METRICS if metric.startswith("node_memcg_"))
GOAL_TUNERS = ("consist", "temporal")
WATERMARK_METRICS = ("none", "free_mem_rate")


@dataclass(frozen=True)
class Weights:
    """Prioritisation weights in permil (`quotas/weights`); only their ratio counts, and `sz_permil` is never used."""

    sz_permil: int = 0
    nr_accesses_permil: int = 0
    age_permil: int = 0

    @classmethod
    def of(cls, sz: str | int = 0, nr_accesses: str | int = 0, age: str | int = 0) -> Self:
        """From shares such as "2.5 %"; bare numbers are permil. Raises UnitError."""
        return cls(
            sz_permil=parse_permil(sz, field="sz_permil"),
            nr_accesses_permil=parse_permil(nr_accesses, field="nr_accesses_permil"),
            age_permil=parse_permil(age, field="age_permil"),
        )


@dataclass(frozen=True)
class QuotaGoal:
    """A goal of the quota auto-tuner (Linux 6.8+).

    Values are in the metric's unit: µs of stall for some_mem_psi_us, basis points for `*_bp`, any number for
    user_input, the only one whose `current_value` is an input. `nid` counts for `node_*`, `path` (a cgroup) for
    `node_memcg_*`.
    """

    target_metric: str = "user_input"
    target_value: int = 0
    current_value: int = 0
    nid: int = 0
    path: str = ""


@dataclass(frozen=True)
class Quotas:
    """Time (ms) and size (bytes) limits per reset interval (ms); 0 is no limit.

    What an action failed on is charged `fail_charge_num / fail_charge_denom` of its size; denominator 0: all of it.
    """

    ms: int = 0
    bytes: int = 0
    reset_interval_ms: int = 0
    weights: Weights = field(default_factory=Weights)
    goals: tuple[QuotaGoal, ...] = ()
    goal_tuner: str = "consist"
    fail_charge_num: int = 0
    fail_charge_denom: int = 0

    @classmethod
    def of(
        cls,
        time: str | int = 0,
        size: str | int = 0,
        reset_interval: str | int = 0,
        *,
        weights: Weights | None = None,
        goals: Iterable[QuotaGoal] = (),
        goal_tuner: str = "consist",
    ) -> Self:
        """From times (bare: ms) and a size (bare: bytes). Raises UnitError."""
        return cls(
            ms=parse_time_ms(time, field="ms"),
            bytes=parse_size_bytes(size, field="bytes"),
            reset_interval_ms=parse_time_ms(reset_interval, field="reset_interval_ms"),
            weights=weights if weights is not None else Weights(),
            goals=tuple(goals),
            goal_tuner=goal_tuner,
        )


@dataclass(frozen=True)
class Watermarks:
    """When a scheme is active (`watermarks/`), permil of free memory."""

    metric: str = "none"
    interval_us: int = 0
    high: int = 0
    mid: int = 0
    low: int = 0

    @classmethod
    def of(cls, interval: str | int, high: str | int, mid: str | int, low: str | int) -> Self:
        """Watermarks on free memory, from a time (bare: µs) and shares (bare: permil). Raises UnitError."""
        return cls(
            metric="free_mem_rate",
            interval_us=parse_time_us(interval, field="interval_us"),
            high=parse_permil(high, field="high"),
            mid=parse_permil(mid, field="mid"),
            low=parse_permil(low, field="low"),
        )


@dataclass(frozen=True)
class Dest:
    """A destination node of migrate_hot and migrate_cold (Linux 6.17+, vaddr), chosen in proportion to `weight`."""

    id: int = 0
    weight: int = 0
