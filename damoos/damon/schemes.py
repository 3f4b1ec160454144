"""DAMOS: what to do with regions of which access pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .filters import Filter
from .quotas import Dest, Quotas, Watermarks

U64_MAX = 2**64 - 1
U32_MAX = 2**32 - 1


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


@dataclass(frozen=True)
class Range:
    """An inclusive range of unsigned integers."""

    min: int = 0
    max: int = 0


@dataclass(frozen=True)
class AccessPattern:
    """Which regions a scheme applies to: `sz` bytes, `nr_accesses` samples, `age` aggregation intervals.

    As in the kernel all bounds default to 0, so an untouched pattern matches nothing.
    """

    sz: Range = field(default_factory=Range)
    nr_accesses: Range = field(default_factory=Range)
    age: Range = field(default_factory=Range)


ANYTHING = AccessPattern(sz=Range(0, U64_MAX), nr_accesses=Range(0, U32_MAX), age=Range(0, U32_MAX))


@dataclass(frozen=True)
class Scheme:
    """One DAMON-based operation scheme."""

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
