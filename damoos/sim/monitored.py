"""What DAMON monitors: the workload's areas as they lie in the address space that it looks at.

With vaddr and fvaddr that is the process's own, where each area is one piece. With paddr it is physical memory, where
the page allocator has scattered them (`frames`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Context

from .frames import scatter
from .layout import PAGE, Layout
from .machine import Machine, Node
from .remember import remember
from .state import FREE_SLOT

Ints = NDArray[np.int64]

_NO_END, _SPARE = 2**60, 64

FIRST_FRAME = 256
"""Pages below 1 MiB are not monitored unless asked for."""


@dataclass(frozen=True, eq=False)
class View:
    """Pieces [V] of areas, sorted by `start`: pages [start, end) are those of `area` from its `page` on.

    `ranges`: what is monitored, None where that follows the process's mappings. `base_address`: of page 0, in bytes.
    `node_frames`: of physical memory, see `State`.
    """

    start: Ints
    end: Ints
    area: Ints
    page: Ints
    ranges: tuple[tuple[int, int], ...] | None
    physical: bool
    base_address: int
    node_frames: tuple[int, ...] = ()

    @property
    def arrays(self) -> dict[str, Ints]:
        """The pieces by their names in `State`."""
        return {"view_start": self.start, "view_end": self.end, "view_area": self.area, "view_page": self.page}


def view_of(context: Context, layout: Layout, machine: Machine, seed: int) -> View:
    """What a context monitors of a process; its target's regions, if it has any, are what counts with fvaddr and paddr.

    With paddr and no regions that is all memory of the machine.
    """
    given = [(r.start, r.end) for target in context.targets for r in target.regions]
    if context.ops == "paddr":
        all_memory = ((FIRST_FRAME, machine.memory_bytes // PAGE),)
        ranges = tuple((start // PAGE, end // PAGE) for start, end in given) or all_memory
        return _physical(layout, ranges, machine, seed)
    return _of_process(layout, tuple(given))


@remember(64)
def _of_process(layout: Layout, given: tuple[tuple[int, int], ...]) -> View:
    start = np.array([a.start for a in layout.areas], np.int64)
    end = np.array([a.end for a in layout.areas], np.int64)
    base = layout.base_address
    fixed = tuple(((lo - base) // PAGE, -((base - hi) // PAGE)) for lo, hi in given) or None
    return View(start, end, np.arange(len(start)), start, fixed, False, base)


def _physical(layout: Layout, ranges: tuple[tuple[int, int], ...], machine: Machine, seed: int) -> View:
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
        ranges,
        True,
        0,
        borders,
    )


def _borders(first: int, last: int, nodes: tuple[Node, ...]) -> tuple[int, ...]:
    # Memory is divided between nodes in proportion to what they have, or evenly where that is not known.
    sizes = [node.memory_bytes for node in nodes]
    shares = np.cumsum(sizes if min(sizes) > 0 else [1] * len(sizes))
    return (first, *(first + int((last - first) * share / shares[-1]) for share in shares))
