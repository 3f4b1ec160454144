"""What DAMON monitors: the workload's areas as they lie in the address space that it looks at.

With vaddr and fvaddr that is the process's own, where each area is one piece. With paddr it is physical memory, where
the page allocator has scattered them. So it is in the recorded runs: what is allocated first comes in many small pieces
(ten megabytes in 45 to 100), then they become larger, up to about a megabyte; they lie in a few clusters, between pages
of others, in a part of memory that is three times as large as they are. The sizes of the pieces here are drawn with a
mean of a twentieth of what is allocated already, on larger machines more: the recorded one of twice the memory shows
half as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Context

from .layout import PAGE, Layout
from .remember import remember

Ints = NDArray[np.int64]

FIRST_FRAME = 256
"""Pages below 1 MiB are not monitored unless asked for."""
_LEAST_PIECE, _GROWTH, _GREATEST_MEAN = 8, 20, 250
_SMALL = 131_072
"""Page frames of the recorded machines, 512 MiB; pieces are larger in proportion where there is more memory."""
_LARGE, _LARGE_CLUSTERS, _CLUSTERS = 256, 4, 6
"""Pages from which on a piece lies in a cluster of large ones; how many such clusters there are, and others."""
_GAP, _SPREAD = 6, 2.5
"""Pages of others between pieces of a cluster; free memory between clusters, in parts of what is allocated."""


@dataclass(frozen=True, eq=False)
class View:
    """Pieces [V] of areas, sorted by `start`: pages [start, end) are those of `area` from its `page` on.

    `ranges`: what is monitored, None where that follows the process's mappings. `base_address`: of page 0, in bytes.
    """

    start: Ints
    end: Ints
    area: Ints
    page: Ints
    ranges: tuple[tuple[int, int], ...] | None
    physical: bool
    base_address: int

    @property
    def arrays(self) -> dict[str, Ints]:
        """The pieces by their names in `State`."""
        return {"view_start": self.start, "view_end": self.end, "view_area": self.area, "view_page": self.page}


def view_of(context: Context, layout: Layout, memory_bytes: int, seed: int) -> View:
    """What a context monitors of a process; its target's regions, if it has any, are what counts with fvaddr and paddr.

    With paddr and no regions that is all memory of the machine, `memory_bytes`.
    """
    given = [(r.start, r.end) for target in context.targets for r in target.regions]
    if context.ops == "paddr":
        ranges = tuple((start // PAGE, end // PAGE) for start, end in given) or ((FIRST_FRAME, memory_bytes // PAGE),)
        return _physical(layout, ranges, seed)
    return _of_process(layout, tuple(given))


@remember(64)
def _of_process(layout: Layout, given: tuple[tuple[int, int], ...]) -> View:
    start = np.array([a.start for a in layout.areas], np.int64)
    end = np.array([a.end for a in layout.areas], np.int64)
    base = layout.base_address
    fixed = tuple(((lo - base) // PAGE, -((base - hi) // PAGE)) for lo, hi in given) or None
    return View(start, end, np.arange(len(start)), start, fixed, False, base)


def _physical(layout: Layout, ranges: tuple[tuple[int, int], ...], seed: int) -> View:
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
    return View(start, start + size, area.copy(), page.copy(), ranges, True, 0)
