"""The whole DAMON configuration as one immutable value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from damoos.errors import KdamondsError

from .attrs import Intervals, NrRegions
from .filters import Probe
from .schemes import AccessPattern, Action, Scheme

OPS = ("vaddr", "fvaddr", "paddr")


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
    probes: tuple[Probe, ...] = ()
    targets: tuple[Target, ...] = (Target(),)
    schemes: tuple[Scheme, ...] = ()


@dataclass(frozen=True)
class Kdamond:
    """One kernel thread; the kernel starts it with exactly one context.

    `refresh_ms`: how often the kernel updates the statistics files by itself; 0 is never.
    """

    contexts: tuple[Context, ...] = (Context(),)
    refresh_ms: int = 0


@dataclass(frozen=True)
class Kdamonds:
    """All kdamonds of a machine."""

    kdamonds: tuple[Kdamond, ...] = (Kdamond(),)

    @classmethod
    def of(
        cls,
        intervals: Intervals | None = None,
        nr_regions: NrRegions | None = None,
        schemes: Iterable[Scheme] = (),
        ops: str = "vaddr",
    ) -> Self:
        """One kdamond with one context with one target; `intervals` and `nr_regions` default to the kernel's."""
        context = Context(
            ops=ops,
            intervals=intervals if intervals is not None else Intervals(),
            nr_regions=nr_regions if nr_regions is not None else NrRegions(),
            schemes=tuple(schemes),
        )
        return cls((Kdamond((context,)),))

    @property
    def context(self) -> Context:
        """The only context. Raises KdamondsError unless there is exactly one."""
        contexts = [context for kdamond in self.kdamonds for context in kdamond.contexts]
        if len(contexts) != 1:
            raise KdamondsError("needs exactly one context", field="kdamonds", value=len(contexts), allowed="1")
        return contexts[0]

    def with_context(self, context: Context) -> Self:
        """The same with another only context. Raises KdamondsError unless there is exactly one."""
        old = self.context
        kdamonds = tuple(
            dataclasses.replace(kdamond, contexts=(context,)) if old in kdamond.contexts else kdamond
            for kdamond in self.kdamonds
        )
        return dataclasses.replace(self, kdamonds=kdamonds)

    def with_schemes(self, schemes: Iterable[Scheme]) -> Self:
        """The same with other schemes in its only context. Raises KdamondsError unless there is exactly one."""
        return self.with_context(dataclasses.replace(self.context, schemes=tuple(schemes)))

    def nodes(self) -> Iterator[tuple[str, Any]]:
        """Each value below this one and its path such as `kdamonds[0].contexts[0].schemes[1].quotas`, parents first."""
        yield from _nodes(self, "")


DOCUMENTED_PAGEOUT = Scheme(
    action=Action.PAGEOUT,
    access_pattern=AccessPattern.of(sz=("4 KiB", "max"), access=(0, 0), age=("5 s", "max")),
)
"""`prcl` of DAMON's own evaluation: page out what was not accessed for 5 s, at the default intervals. (The kernel's
page start.rst has the same scheme with 60 s.)"""


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(entry.name for entry in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def _names(value: Any) -> tuple[str, ...]:
    # Its fields; none of what is no dataclass.
    kind: Any = type(value)
    return _names_of(kind)


def _nodes(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name in _names(value):
        child = getattr(value, name)
        where = f"{path}.{name}" if path else name
        if isinstance(child, tuple):
            for index, item in enumerate(child):
                yield f"{where}[{index}]", item
                yield from _nodes(item, f"{where}[{index}]")
        elif _names(child):
            yield where, child
            yield from _nodes(child, where)
