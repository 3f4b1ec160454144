"""Filters of a scheme and attribute probes of a context."""

from __future__ import annotations

from dataclasses import dataclass

CORE_FILTER_TYPES = ("addr", "target")
OPS_FILTER_TYPES = ("anon", "active", "memcg", "young", "hugepage_size", "unmapped")
PROBE_FILTER_TYPES = ("anon", "memcg")


@dataclass(frozen=True)
class Filter:
    """One scheme filter; `type` decides which of the other fields count.

    `memcg_path` (memcg): from the root of the cgroup mount. `addr_start`, `addr_end` (addr): core address units, end
    exclusive. `min`, `max` (hugepage_size): bytes, inclusive. `damon_target_idx` (target): index in the context.
    """

    type: str = "anon"
    matching: bool = False
    allow: bool = False
    memcg_path: str = ""
    addr_start: int = 0
    addr_end: int = 0
    min: int = 0
    max: int = 0
    damon_target_idx: int = 0


@dataclass(frozen=True)
class ProbeFilter:
    """One filter of a probe: what the page at a region's sampling address must be. `path` (memcg) as in Filter."""

    type: str = "anon"
    matching: bool = False
    allow: bool = False
    path: str = ""


@dataclass(frozen=True)
class Probe:
    """An attribute probe (Linux 7.2+): counts samples whose page passes the filters.

    `weight` (7.3+): once any probe of a context has one, the weighted sum of the hits takes the place of `nr_accesses`.
    """

    weight: int = 0
    filters: tuple[ProbeFilter, ...] = ()
