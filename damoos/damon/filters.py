"""Filters of a scheme."""

from __future__ import annotations

from dataclasses import dataclass

CORE_FILTER_TYPES = ("addr", "target")
OPS_FILTER_TYPES = ("anon", "active", "memcg", "young", "hugepage_size", "unmapped")


@dataclass(frozen=True)
class Filter:
    """One scheme filter; `type` decides which of the other fields count."""

    type: str = "anon"
    matching: bool = False
    allow: bool = False
    memcg_path: str = ""
    addr_start: int = 0
    addr_end: int = 0
    min: int = 0
    max: int = 0
    damon_target_idx: int = 0
