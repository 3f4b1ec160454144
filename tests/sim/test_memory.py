"""Page state in extents: nothing is lost, and cutting keeps the law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.sim import memory
from damoos.sim.jit import callable_kernel
from damoos.sim.state import MAJOR_FAULTS, NR_EXTENTS, SWAP_IN, SWAP_OUT, SWAPPED, UNTOUCHED

from .states import state_of

coalesce, cut_extent, evict, fault_at_random, first_extent, prefetch = (
    callable_kernel(k)
    for k in (
        memory.coalesce,
        memory.cut_extent,
        memory.evict,
        memory.fault_at_random,
        memory.first_extent,
        memory.prefetch,
    )
)

PAGES = 4096  # of the only workload region of the test states, which starts at page 0


def area(state) -> int:
    return int(np.flatnonzero(state.area_start == 0)[0])


def check_books(state) -> None:
    n, k = state.n, int(state.n[NR_EXTENTS])
    size = state.ext_end[:k] - state.ext_start[:k]
    assert (size > 0).all()
    assert (state.ext_swapped[:k] >= 0).all() and (state.ext_untouched[:k] >= 0).all()
    assert (state.ext_swapped[:k] + state.ext_untouched[:k] <= size).all()
    assert (state.ext_start[1:k] >= state.ext_end[: k - 1]).all()
    assert state.ext_swapped[:k].sum() == n[SWAPPED] == state.area_swapped.sum()
    assert state.ext_untouched[:k].sum() == n[UNTOUCHED] == state.area_untouched.sum()
    assert n[SWAP_OUT] - n[SWAP_IN] == n[SWAPPED]
    inside = (state.ext_area[:k] == area(state)).nonzero()[0]
    assert size[inside].sum() == PAGES


@settings(deadline=None, max_examples=80)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["out", "in", "random"]), st.integers(0, PAGES - 1), st.integers(1, PAGES)),
        max_size=25,
    ),
    seed=st.integers(0, 1 << 30),
)
def test_books_balance_whatever_happens(steps, seed: int) -> None:
    state, handle = state_of([(0, PAGES)], seed=seed)
    for what, start, length in steps:
        end = min(PAGES, start + length)
        if what == "out":
            before = int(state.n[SWAPPED])
            assert evict(handle, start, end) == state.n[SWAPPED] - before
            assert evict(handle, start, end) == 0
        elif what == "in":
            prefetch(handle, start, end)
            assert prefetch(handle, start, end) == 0
        else:
            fault_at_random(handle, area(state), length / PAGES)
        check_books(state)


def test_page_out_takes_what_is_in_memory_and_a_fault_brings_it_back() -> None:
    state, handle = state_of([(0, PAGES)])
    assert evict(handle, 100, 300) == 200
    assert evict(handle, 200, 400) == 100
    assert prefetch(handle, 0, 150) == 50
    assert state.n[SWAPPED] == 250 and state.n[MAJOR_FAULTS] == 0
    assert fault_at_random(handle, area(state), 1.0) == (250, 0)
    assert state.n[SWAPPED] == 0 and state.n[MAJOR_FAULTS] == 250
    check_books(state)


def test_neighbours_that_are_alike_become_one_extent() -> None:
    state, handle = state_of([(0, PAGES)])
    extents = int(state.n[NR_EXTENTS])
    for page in range(0, PAGES, 64):
        evict(handle, page, page + 64)
    assert state.n[NR_EXTENTS] == extents + PAGES // 64 - 1
    coalesce(handle, False)
    assert state.n[NR_EXTENTS] == extents
    cut_extent(handle, first_extent(handle, 1000), 1000)
    assert state.n[NR_EXTENTS] == extents + 1
    coalesce(handle, False)
    assert state.n[NR_EXTENTS] == extents


def test_cutting_an_extent_spreads_its_swapped_pages_evenly() -> None:
    left = []
    for seed in range(300):
        state, handle = state_of([(0, PAGES)], seed=seed)
        evict(handle, 0, PAGES)
        fault_at_random(handle, area(state), 0.5)
        out = int(state.n[SWAPPED])
        i = first_extent(handle, 0)
        cut_extent(handle, i, 1024)
        left.append(state.ext_swapped[i] / out)
        check_books(state)
    # hypergeometric share: mean 1/4, standard deviation about sqrt(1/4 3/4 / 2048 / 2)
    assert np.mean(left) == pytest.approx(0.25, abs=4 * 0.0068 / 300**0.5)
    assert np.std(left) == pytest.approx(0.0068, rel=0.2)
