"""What DAMON monitors: the workload's areas as they lie in the address space that it looks at.

With vaddr and fvaddr that is the process's own, where each area is one piece. With paddr it is physical memory, where
the page allocator has scattered them (`frames`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Context

from .frames import scatter
from .layout import PAGE, SPAN, Layout, three_ranges
from .machine import Machine, Node
from .remember import remember
from .state import FREE_SLOT

Ints = NDArray[np.int64]
Ranges = tuple[tuple[int, int], ...]

_NO_END, _SPARE = 2**60, 64
_PLACES, _PLACE = 12, 128
"""In how many places what others have lies, and pages of each."""

FIRST_FRAME = 256
"""Pages below 1 MiB are not monitored unless asked for."""
_ONE_TARGET = ((0, 0, True),)


@dataclass(frozen=True, eq=False)
class View:
    """Pieces [V] of areas, sorted by `start`: pages [start, end) are those of `area` from its `page` on.

    `targets` [W, 3]: see `targets.T_SHIFT`. `first`: the regions that monitoring begins with; `followed`: the ranges
    that regions are fitted to as mappings change, none where they stay; both in pages, of all targets. `base_address`:
    of page 0, in bytes; `unit`: bytes of a core address. `node_frames`, `others`: of physical memory, see `State`.
    """

    start: Ints
    end: Ints
    area: Ints
    page: Ints
    targets: tuple[tuple[int, int, int], ...]
    first: Ranges
    followed: Ranges
    physical: bool
    base_address: int
    unit: int = 1
    node_frames: tuple[int, ...] = ()
    others: tuple[tuple[float, ...], ...] = ()

    @property
    def arrays(self) -> dict[str, Ints | NDArray[np.float64]]:
        """What `State` has of it, by its names there."""
        first, followed = (np.array(x, np.int64).reshape(-1, 2) for x in (self.first, self.followed))
        return {
            "view_start": self.start,
            "view_end": self.end,
            "view_area": self.area,
            "view_page": self.page,
            "target": np.array(self.targets, np.int64),
            "first_start": first[:, 0],
            "first_end": first[:, 1],
            "range_start": followed[:, 0],
            "range_end": followed[:, 1],
            "other": np.array(self.others, np.float64).reshape(-1, 5),
        }

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of these arrays, by their names in `State`."""
        return {
            "V": len(self.start),
            "W": len(self.targets),
            "F": len(self.first),
            "G": len(self.followed),
            "O": len(self.others),
        }


def view_of(
    context: Context, layout: Layout, machine: Machine, seed: int, watched: tuple[int, ...] | None = None
) -> View:
    """What a context monitors of processes: its targets, each of which watches the process `watched` (None: the first).

    With vaddr a target's regions are what monitoring begins with, before they are fitted to the mappings; with fvaddr
    and paddr they stay. With paddr and none that is all memory of the machine.
    """
    if context.ops != "paddr":
        return _of_processes(context, layout, watched or (0,) * len(context.targets))
    (given,) = given_to(context, 0)
    return _physical(layout, given or ((FIRST_FRAME, machine.memory_bytes // PAGE),), context.addr_unit, machine, seed)


@lru_cache(maxsize=64)
def watched_at_first(targets: int, processes: int) -> tuple[int, ...]:
    """Which process each target watches: of several its own, else the only one."""
    return tuple(range(targets)) if processes > 1 else (0,) * targets


def given_to(context: Context, base_address: int) -> tuple[Ranges, ...]:
    """The regions that each target is given, in pages as numbered for all of them; `base_address`: of page 0, bytes."""
    unit = context.addr_unit if context.ops == "paddr" else 1
    return tuple(
        tuple(
            (t * SPAN + (r.start * unit - base_address) // PAGE, t * SPAN - (base_address - r.end * unit) // PAGE)
            for r in target.regions
        )
        for t, target in enumerate(context.targets)
    )


@remember(512)
def _of_processes(context: Context, layout: Layout, watched: tuple[int, ...]) -> View:
    given, follows = given_to(context, layout.base_address), context.ops == "vaddr"
    start = np.array([a.start for a in layout.areas], np.int64)
    end = np.array([a.end for a in layout.areas], np.int64)
    parts = [layout.parts[c] for c in watched]
    area = np.concatenate([np.arange(part.first_area, part.end_area) for part in parts])
    shifts = [(t - c) * SPAN for t, c in enumerate(watched)]
    shift = np.repeat(shifts, [part.end_area - part.first_area for part in parts])
    followed: list[Ranges] = [()] * len(parts)
    if follows:
        mapped = [[m[1:] for m in layout.mapped[part.first_mapped : part.end_mapped]] for part in parts]
        followed = [_shifted(three_ranges(own), by) for own, by in zip(mapped, shifts, strict=True)]
    return View(
        start[area] + shift,
        end[area] + shift,
        area,
        start[area],
        tuple((-by, c, len(own) > 0) for by, c, own in zip(shifts, watched, given, strict=True)),
        tuple(r for own, ranges in zip(given, followed, strict=True) for r in own or ranges),
        tuple(r for ranges in followed for r in ranges),
        False,
        layout.base_address,
    )


def _shifted(ranges: Iterable[tuple[int, int]], pages: int) -> Ranges:
    return tuple((start + pages, end + pages) for start, end in ranges)


def _physical(layout: Layout, ranges: Ranges, unit: int, machine: Machine, seed: int) -> View:
    nodes = machine.nodes or (Node(),)
    of_workload = set(layout.region_area)
    own = [
        i
        for i, a in enumerate(layout.areas)
        if i not in of_workload and not any(start <= a.start < end for start, end in layout.special)
    ]
    order = np.array([*own, *layout.region_area])
    areas = [layout.areas[i] for i in order]
    borders = _borders(ranges[0][0], ranges[-1][1], nodes)
    rooms = [node.memory_bytes // PAGE or _NO_END for node in nodes[:-1]] + [_NO_END]
    sizes = [a.end - a.start for a in areas]
    pieces = scatter(sizes, list(pairwise(borders)), rooms, machine.fragmented_bytes // PAGE, seed)
    start, end, of, page = pieces.T
    page = page + np.array([a.start for a in areas])[of]
    # Where pages can be moved pieces can become more.
    spare = 0 if len(nodes) == 1 else 2 * len(start) + _SPARE
    far, none = np.full(spare, FREE_SLOT), np.zeros(spare, np.int64)
    return View(
        np.concatenate((start, far)),
        np.concatenate((end, far)),
        np.concatenate((order[of], none)),
        np.concatenate((page, none)),
        _ONE_TARGET,
        ranges,
        (),
        True,
        0,
        unit,
        borders,
        _others(borders, machine, seed),
    )


def _others(borders: tuple[int, ...], machine: Machine, seed: int) -> tuple[tuple[float, ...], ...]:
    # What others have lies in places of chance of the first node.
    pages = [machine.other_lru_bytes // PAGE / _PLACES, machine.other_locked_bytes // PAGE / _PLACES]
    if sum(pages) == 0.0:
        return ()
    size = min(_PLACE, (borders[1] - borders[0]) // _PLACES)
    starts = np.random.default_rng([seed, borders[-1], 1]).integers(borders[0], borders[1] - size + 1, _PLACES)
    return tuple((float(start), float(start + size), *pages, 0.0) for start in starts)


def _borders(first: int, last: int, nodes: tuple[Node, ...]) -> tuple[int, ...]:
    # Memory is divided between nodes in proportion to what they have, or evenly where that is not known.
    sizes = [node.memory_bytes for node in nodes]
    shares = np.cumsum(sizes if min(sizes) > 0 else [1] * len(sizes))
    return (first, *(first + int((last - first) * share / shares[-1]) for share in shares))
