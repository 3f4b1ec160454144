"""masim workloads: regions and phases, in masim's own configuration format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A piece of memory: `sz` bytes, mapped at the start; `data_file` fills it at the start (None: left untouched)."""

    name: str
    sz: int
    data_file: str | None = None


@dataclass(frozen=True)
class Pattern:
    """How a phase accesses one region: sequential with `stride` bytes, or `random`; chosen with weight `probability`."""

    region: str
    random: bool
    stride: int
    probability: int
    rw_mode: str = "wo"


@dataclass(frozen=True)
class Phase:
    """Patterns that are run side by side for `ms` milliseconds; without patterns the workload sleeps."""

    name: str
    ms: int
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class MasimWorkload:
    """A masim configuration. `name` is the file's stem."""

    name: str
    regions: tuple[Region, ...]
    phases: tuple[Phase, ...]
