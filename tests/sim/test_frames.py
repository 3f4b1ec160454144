"""Where the page allocator puts the workload's pages, and where they are moved."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.damon.kdamonds import Context, Kdamond, Kdamonds, Target
from damoos.damon.schemes import AccessPattern, Action, Scheme
from damoos.sim.backend import SimBackend
from damoos.sim.frames import LARGEST, scatter
from damoos.sim.machine import Node
from damoos.sim.state import FREE_SLOT
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import machine

MEMORY, NO_END = 131_072, 2**60
FRAGMENTED = 32 * LARGEST


@pytest.mark.parametrize("seed", range(5))
def test_every_page_has_a_frame_of_its_own(seed: int) -> None:
    sizes = [75, 10_240, 6_144]
    pieces = scatter(sizes, [(256, MEMORY)], [NO_END], FRAGMENTED, seed)
    start, end, area, page = pieces.T
    assert (start[1:] >= end[:-1]).all() and start[0] >= 256 and end[-1] <= MEMORY
    for i, size in enumerate(sizes):
        of = np.flatnonzero(area == i)
        of = of[np.argsort(page[of])]
        ends = page[of] + end[of] - start[of]
        assert page[of][0] == 0 and ends[-1] == size and (ends[:-1] == page[of][1:]).all()
    assert (scatter(sizes, [(256, MEMORY)], [NO_END], FRAGMENTED, seed) == pieces).all()


def test_small_blocks_are_used_first_and_large_ones_last() -> None:
    start, end, _, page = scatter([30_000], [(256, MEMORY)], [NO_END], FRAGMENTED, 1).T
    size = (end - start)[np.argsort(page)]
    # The last piece is cut at the workload's end.
    assert (np.diff(size[:-1]) >= 0).all() and size[0] == 1 and size[-2] == LARGEST
    assert (start % (end - start) == 0)[np.argsort(page)][:-1].all()


@pytest.mark.parametrize(
    ("fragmented", "pieces"), [(0, (1, 5)), (FRAGMENTED // 4, (20, 200)), (FRAGMENTED, (100, 700))]
)
def test_fragmented_memory_makes_many_pieces(fragmented: int, pieces: tuple[int, int]) -> None:
    for seed in range(10):
        start, end, _, _ = scatter([16_384], [(256, MEMORY)], [NO_END], fragmented, seed).T
        assert pieces[0] <= 1 + (start[1:] > end[:-1]).sum() <= pieces[1]


def test_nodes_are_filled_one_after_the_other() -> None:
    start, end, _, _ = scatter([3000], [(0, 8192), (8192, 16_384)], [1000, NO_END], 0, 1).T
    near = start < 8192
    assert (end - start)[near].sum() == 1000 and (end - start)[~near].sum() == 2000


def test_what_is_moved_lies_side_by_side_on_the_target_node() -> None:
    phases = tuple(Phase(name, 2500, (Pattern(name, False, 4096, 1),)) for name in ("a", "b", "a"))
    workload = MasimWorkload("two", (Region("a", 40 << 20), Region("b", 24 << 20)), phases)
    idle = AccessPattern.of(access=("0 samples", "0 samples"), age=("1 s", "max"))
    context = Context(
        ops="paddr", schemes=(Scheme(Action.MIGRATE_COLD, idle, target_nid=1),), targets=(Target(regions=()),)
    )
    two_nodes = machine(memory_bytes=1 << 30, nodes=(Node(), Node()))
    with SimBackend(two_nodes, Pace("work", prefault=True)).start(workload, Kdamonds((Kdamond((context,)),)), 1) as run:
        state = run._state
        before = int((state.view_start != FREE_SLOT).sum())
        run.finish()
    used = state.view_start != FREE_SLOT
    start, end = state.view_start[used], state.view_end[used]
    assert (start[1:] >= end[:-1]).all() and (state.view_start[~used] == state.view_end[~used]).all()
    border = int(state.node_frames[1])
    far = start >= border
    assert (end - start)[far].sum() > 5_000
    # However many pieces they were in, with nothing between them.
    assert before > 50 and end[far][-1] - start[far][0] == (end - start)[far].sum()
    # No page has got lost, and none has two frames.
    for area in np.unique(state.view_area[used]):
        of = np.flatnonzero(used & (state.view_area == area))
        of = of[np.argsort(state.view_page[of])]
        pages, sizes = state.view_page[of], state.view_end[of] - state.view_start[of]
        assert (pages[:-1] + sizes[:-1] == pages[1:]).all()
        assert sizes.sum() == state.area_end[area] - state.area_start[area]
