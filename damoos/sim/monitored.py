"""What DAMON monitors: the workload's areas as they lie in the address space that it looks at.

With vaddr and fvaddr that is the process's own, where each area is one piece. With paddr it is physical memory, where
the page allocator has scattered them. So it is in the recorded runs: what is allocated first comes in many small pieces
(ten megabytes in 45 to 100), then they become larger, up to about a megabyte; they lie in a few clusters, between pages
of others, in a part of memory that is three times as large as they are. The sizes of the pieces here are drawn with a
mean of a twentieth of what is allocated already, on larger machines more: the recorded one of twice the memory shows
half as many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Context

from .layout import PAGE, SPAN, Layout, three_ranges
from .remember import remember

Ints = NDArray[np.int64]
Ranges = tuple[tuple[int, int], ...]

FIRST_FRAME = 256
"""Pages below 1 MiB are not monitored unless asked for."""
_LEAST_PIECE, _GROWTH, _GREATEST_MEAN = 8, 20, 250
_SMALL = 131_072
"""Page frames of the recorded machines, 512 MiB; pieces are larger in proportion where there is more memory."""
_LARGE, _LARGE_CLUSTERS, _CLUSTERS = 256, 4, 6
"""Pages from which on a piece lies in a cluster of large ones; how many such clusters there are, and others."""
_GAP, _SPREAD = 6, 2.5
"""Pages of others between pieces of a cluster; free memory between clusters, in parts of what is allocated."""
_ONE_TARGET = ((0, 0, True),)


@dataclass(frozen=True, eq=False)
class View:
    """Pieces [V] of areas, sorted by `start`: pages [start, end) are those of `area` from its `page` on.

    `targets` [W, 3]: see `targets.T_SHIFT`. `first`: the regions that monitoring begins with; `followed`: the ranges
    that regions are fitted to as mappings change, none where they stay; both in pages, of all targets. `base_address`:
    of page 0, in bytes; `unit`: bytes of a core address.
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

    @property
    def arrays(self) -> dict[str, Ints]:
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
        }

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of these arrays, by their names in `State`."""
        return {"V": len(self.start), "W": len(self.targets), "F": len(self.first), "G": len(self.followed)}


def view_of(
    context: Context, layout: Layout, memory_bytes: int, seed: int, watched: tuple[int, ...] | None = None
) -> View:
    """What a context monitors of processes: its targets, each of which watches the process `watched` (None: the first).

    With vaddr a target's regions are what monitoring begins with, before they are fitted to the mappings; with fvaddr
    and paddr they stay. With paddr and none that is all memory of the machine, `memory_bytes`.
    """
    if context.ops != "paddr":
        return _of_processes(context, layout, watched or (0,) * len(context.targets))
    (given,) = given_to(context, 0)
    return _physical(layout, given or ((FIRST_FRAME, memory_bytes // PAGE),), context.addr_unit, seed)


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


@remember(64)
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


def _physical(layout: Layout, ranges: Ranges, unit: int, seed: int) -> View:
    first, last = ranges[0][0], ranges[-1][1]
    draw = np.random.default_rng([seed, last])
    scale = max(1.0, (last - first) / _SMALL)
    of_workload = set(layout.region_area)
    own = [
        i
        for i, a in enumerate(layout.areas)
        if i not in of_workload and not any(start <= a.start < end for start, end in layout.special)
    ]
    pieces: list[tuple[int, int, int]] = []  # area, its page, pages
    allocated = 0
    for i in (*own, *layout.region_area):
        page, end = layout.areas[i].start, layout.areas[i].end
        while page < end:
            mean = scale * min(max(_LEAST_PIECE, allocated / _GROWTH), _GREATEST_MEAN)
            size = min(end - page, 1 + int(draw.exponential(mean)))
            pieces.append((i, page, size))
            page += size
            allocated += size
    # Clusters are lists of (piece, pages of others before it), in an order of chance.
    order = draw.permutation(len(pieces))
    small = [i for i in order if pieces[i][2] < _LARGE]
    large = [i for i in order if pieces[i][2] >= _LARGE]
    clusters = [small[k::_CLUSTERS] for k in range(_CLUSTERS)] + [
        large[k::_LARGE_CLUSTERS] for k in range(_LARGE_CLUSTERS)
    ]
    laid = [clusters[k] for k in draw.permutation(len(clusters)) if clusters[k]]
    gaps = draw.exponential(_GAP, len(pieces)).astype(np.int64)
    for cluster in laid:
        gaps[cluster[0]] = 0
    # Some of what is free lies between the clusters, the rest around them.
    free = max(0, last - first - allocated - int(gaps.sum()))
    between = min(free, int(_SPREAD * allocated))
    cuts = int(draw.integers(0, free - between + 1)) + np.sort(draw.integers(0, between + 1, len(laid)))
    for cluster, cut, before in zip(laid, cuts, np.concatenate(([0], cuts[:-1])), strict=True):
        gaps[cluster[0]] = cut - before
    ordered = np.concatenate([np.array(cluster) for cluster in laid])
    area, page, size = np.array(pieces, np.int64)[ordered].T
    start = first + np.cumsum(gaps[ordered]) + np.concatenate(([0], np.cumsum(size)[:-1]))
    return View(start, start + size, area.copy(), page.copy(), _ONE_TARGET, ranges, (), True, 0, unit)
