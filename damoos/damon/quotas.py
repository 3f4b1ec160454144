"""Quotas of a scheme, their goals, weights and tuner; watermarks; migration destinations."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Weights:
    """Prioritisation weights in permil (`quotas/weights`)."""

    sz_permil: int = 0
    nr_accesses_permil: int = 0
    age_permil: int = 0


@dataclass(frozen=True)
class QuotaGoal:
    """A goal of the quota auto-tuner."""

    target_metric: str = "user_input"
    target_value: int = 0
    current_value: int = 0
    nid: int = 0
    path: str = ""


@dataclass(frozen=True)
class Quotas:
    """Time (ms) and size (bytes) limits per reset interval (ms); 0 is no limit."""

    ms: int = 0
    bytes: int = 0
    reset_interval_ms: int = 0
    weights: Weights = field(default_factory=Weights)
    goals: tuple[QuotaGoal, ...] = ()
    goal_tuner: str = "consist"
    fail_charge_num: int = 0
    fail_charge_denom: int = 0


@dataclass(frozen=True)
class Watermarks:
    """When a scheme is active (`watermarks/`), permil of free memory."""

    metric: str = "none"
    interval_us: int = 0
    high: int = 0
    mid: int = 0
    low: int = 0


@dataclass(frozen=True)
class Dest:
    """A destination node of migrate_hot and migrate_cold."""

    id: int = 0
    weight: int = 0
