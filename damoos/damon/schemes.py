"""DAMOS: what to do with regions of which access pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from damoos.units import U32_MAX, U64_MAX, parse_size_bytes

from .access_units import parse_age, parse_nr_accesses
from .attrs import Intervals
from .filters import Filter
from .quotas import Dest, Quotas, Watermarks


class Action(StrEnum):
    """Actions by the kernel's names."""

    WILLNEED = "willneed"
    COLD = "cold"
    PAGEOUT = "pageout"
    HUGEPAGE = "hugepage"
    NOHUGEPAGE = "nohugepage"
    COLLAPSE = "collapse"
    LRU_PRIO = "lru_prio"
    LRU_DEPRIO = "lru_deprio"
    MIGRATE_HOT = "migrate_hot"
    MIGRATE_COLD = "migrate_cold"
    STAT = "stat"


def actions_of(ops: str) -> frozenset[Action]:
    """The actions that do something with this operations set; all others are silently no-ops in the kernel."""
    folio_based = {Action.PAGEOUT, Action.MIGRATE_HOT, Action.MIGRATE_COLD, Action.STAT}
    if ops == "paddr":
        return frozenset(folio_based | {Action.LRU_PRIO, Action.LRU_DEPRIO})
    return frozenset(set(Action) - {Action.LRU_PRIO, Action.LRU_DEPRIO})


@dataclass(frozen=True)
class Range:
    """An inclusive range of unsigned integers."""

    min: int = 0
    max: int = 0


@dataclass(frozen=True)
class AccessPattern:
    """Which regions a scheme applies to: `sz` bytes, `nr_accesses` samples, `age` aggregation intervals.

    As in the kernel all bounds default to 0, so an untouched pattern matches nothing. `sz` has 64 bits (core address
    units: bytes / `addr_unit`), the others 32.
    """

    sz: Range = field(default_factory=Range)
    nr_accesses: Range = field(default_factory=Range)
    age: Range = field(default_factory=Range)

    @classmethod
    def of(
        cls,
        *,
        intervals: Intervals | None = None,
        sz: tuple[str | int, str | int] = ("min", "max"),
        access: tuple[str | int, str | int] = ("min", "max"),
        age: tuple[str | int, str | int] = ("min", "max"),
    ) -> Self:
        """From bounds such as "4 KiB", "20 %" or "4 samples", "5 s" or "50 aggr_intervals"; everything by default.

        Percent and times are converted with `intervals` (default: the kernel's), truncated. Raises UnitError.
        """
        at = intervals if intervals is not None else Intervals()
        return cls(
            sz=Range(*(parse_size_bytes(bound, field="sz") for bound in sz)),
            nr_accesses=Range(*(parse_nr_accesses(bound, at, field="nr_accesses") for bound in access)),
            age=Range(*(parse_age(bound, at, field="age") for bound in age)),
        )


ANYTHING = AccessPattern(sz=Range(0, U64_MAX), nr_accesses=Range(0, U32_MAX), age=Range(0, U32_MAX))


@dataclass(frozen=True)
class Scheme:
    """One DAMON-based operation scheme.

    `apply_interval_us` 0: every aggregation. `target_nid`: the node of migrate_*, unless there are `dests`; -1 is none.
    `max_nr_snapshots` 0: no limit. The kernel applies `core_filters` before `ops_filters`.
    """

    action: Action = Action.STAT
    access_pattern: AccessPattern = field(default_factory=AccessPattern)
    apply_interval_us: int = 0
    target_nid: int = -1
    dests: tuple[Dest, ...] = ()
    quotas: Quotas = field(default_factory=Quotas)
    watermarks: Watermarks = field(default_factory=Watermarks)
    core_filters: tuple[Filter, ...] = ()
    ops_filters: tuple[Filter, ...] = ()
    max_nr_snapshots: int = 0
