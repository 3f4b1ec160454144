"""The whole DAMON configuration as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field

from .attrs import Intervals, NrRegions
from .schemes import Scheme


@dataclass(frozen=True)
class AddressRange:
    """A half-open range [start, end) of addresses in core address units."""

    start: int
    end: int


@dataclass(frozen=True)
class Target:
    """What is monitored: a process (`pid`; None for paddr or not yet known), optionally only some regions of it."""

    pid: int | None = None
    regions: tuple[AddressRange, ...] = ()
    obsolete: bool = False


@dataclass(frozen=True)
class Context:
    """A DAMON context: operations set, monitoring attributes, targets and schemes."""

    ops: str = "vaddr"
    addr_unit: int = 1
    pause: bool = False
    intervals: Intervals = field(default_factory=Intervals)
    nr_regions: NrRegions = field(default_factory=NrRegions)
    targets: tuple[Target, ...] = (Target(),)
    schemes: tuple[Scheme, ...] = ()


@dataclass(frozen=True)
class Kdamond:
    """One kernel thread; the kernel allows 0 or 1 context."""

    contexts: tuple[Context, ...] = (Context(),)
    refresh_ms: int = 0


@dataclass(frozen=True)
class Kdamonds:
    """All kdamonds of a machine."""

    kdamonds: tuple[Kdamond, ...] = (Kdamond(),)
