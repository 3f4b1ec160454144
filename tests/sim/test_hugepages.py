"""Huge pages: advice, collapsing, splitting, what a first touch brings in, and what it is worth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.schemes import AccessPattern, Action, Scheme
from damoos.sim import faulting, hugepages, memory
from damoos.sim.backend import SimBackend
from damoos.sim.jit import callable_kernel
from damoos.sim.state import HUGE, SWAPPED, X_HUGE, X_NODE
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import PAGES, area, check_books, machine, memory_state

advise, collapse, evict, fault_at_random, khugepaged, split_at, sweep = (
    callable_kernel(k)
    for k in (
        hugepages.advise,
        hugepages.collapse_blocks,
        memory.evict,
        memory.fault_at_random,
        hugepages.khugepaged_block,
        hugepages.split_at,
        faulting.fault_in_sweep,
    )
)


def in_memory(state) -> int:
    return PAGES - int(state.area_untouched[area(state)] + state.area_swapped[area(state)])


ALWAYS, MADVISE = machine(thp="always"), machine(thp="madvise")


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["out", "random", "collapse", "hugepage", "nohugepage", "split", "khugepaged"]),
            st.integers(0, PAGES - 1),
            st.integers(1, PAGES),
        ),
        max_size=20,
    ),
    policy=st.sampled_from([ALWAYS, MADVISE]),
    prefault=st.booleans(),
)
def test_books_balance_whatever_happens(steps, policy, prefault: bool) -> None:
    state, handle = memory_state(policy, X_NODE, prefault=prefault)
    for what, start, length in steps:
        end = min(PAGES, start + length)
        if what == "out":
            split_at(handle, start)
            split_at(handle, end)
            evict(handle, start, end)
        elif what == "random":
            fault_at_random(handle, area(state), length / PAGES)
        elif what == "collapse":
            first, last = -(-start // 512) * 512, end // 512 * 512
            for at in range(first, last, 512):
                collapse(handle, at, at + 512)
        elif what in ("hugepage", "nohugepage"):
            advise(handle, start, end, 1 if what == "hugepage" else 2)
        elif what == "split":
            split_at(handle, start)
        else:
            khugepaged(handle)
        check_books(state)


def test_always_fills_memory_with_huge_pages_from_the_start() -> None:
    state, _ = memory_state(ALWAYS, X_NODE)
    assert state.n[HUGE] == PAGES
    state, _ = memory_state(MADVISE, X_NODE)
    assert state.n[HUGE] == 0


def test_paging_out_a_part_splits_the_huge_pages_at_its_ends() -> None:
    state, handle = memory_state(ALWAYS, X_NODE)
    split_at(handle, 100)
    split_at(handle, 1500)
    assert evict(handle, 100, 1500) == 1400
    # [0, 512) and [1024, 1536) are split, [512, 1024) is gone: 5 of 8 blocks stay.
    assert state.n[HUGE] == 5 * 512
    check_books(state)


def test_collapse_fills_up_and_swaps_in_but_leaves_empty_blocks() -> None:
    state, handle = memory_state(MADVISE, X_NODE, prefault=False)
    assert collapse(handle, 0, PAGES) == (0, 0)
    fault_at_random(handle, area(state), 0.5)
    evict(handle, 0, 1024)
    swapped = int(state.n[SWAPPED])
    assert collapse(handle, 0, 1024) == (2, swapped)
    assert collapse(handle, 1024, 2048) == (2, 0)
    assert (state.n[HUGE], state.n[SWAPPED]) == (2048, 0)
    assert in_memory(state) == pytest.approx(3072, abs=150)
    check_books(state)


def test_a_first_touch_brings_in_a_whole_huge_page() -> None:
    state, handle = memory_state(ALWAYS, X_NODE, prefault=False)
    fault_at_random(handle, area(state), 0.001)  # 40 % of the blocks have one of their 512 pages touched
    touched = in_memory(state)
    assert touched == state.n[HUGE] and touched % 512 == 0 and touched >= 512
    state, handle = memory_state(MADVISE, X_NODE, prefault=False)
    fault_at_random(handle, area(state), 0.001)
    assert state.n[HUGE] == 0 and in_memory(state) < 30


def test_advice_decides_where_first_touches_are_huge() -> None:
    state, handle = memory_state(MADVISE, X_NODE, prefault=False)
    advise(handle, 0, 1024, 1)
    sweep(handle, 0, 1500.0)
    assert (state.n[HUGE], in_memory(state)) == (1024, 1500)
    state, handle = memory_state(ALWAYS, X_NODE, prefault=False)
    advise(handle, 0, 1024, 2)
    sweep(handle, 0, 1500.0)
    assert (state.n[HUGE], in_memory(state)) == (512, 1536)


def test_khugepaged_takes_one_block_at_a_time_where_advised() -> None:
    state, handle = memory_state(MADVISE, X_NODE)
    assert khugepaged(handle) == 0
    advise(handle, 600, 2048, 1)
    assert [khugepaged(handle) for _ in range(4)] == [1, 1, 0, 0]
    assert state.n[HUGE] == 1024
    k = state.ext_more[:, X_HUGE] > 0
    assert (state.ext_start[k] >= 1024).all() and (state.ext_end[k] <= 2048).all()


def scheme_run(action: Action, policy: str, *, gain: float = 0.0, random: bool = True, stride: int = 4096):
    """A region in use for 4 s under a scheme that acts on all that is accessed."""
    workload = MasimWorkload("one", (Region("r", 64 << 20),), (Phase("p", 4000, (Pattern("r", random, stride, 1),)),))
    pattern = AccessPattern.of(access=("1 samples", "max"))
    kdamonds = Kdamonds((Kdamond((Context(schemes=(Scheme(action, pattern),)),)),))
    backend = SimBackend(machine(thp=policy, huge_random_gain=gain, khugepaged_us=100_000.0), Pace(prefault=True))
    with backend.start(workload, kdamonds, 1) as session:
        return session.finish()


def test_collapse_is_worth_what_the_machine_model_says() -> None:
    plain, huge = (scheme_run(Action.COLLAPSE, "madvise", gain=gain) for gain in (0.0, 0.25))
    # Blocks across regions of DAMON stay small, and where regions end hardly changes.
    share = huge.samples.huge_bytes[-1] / (64 << 20)
    assert 0.6 <= share < 1.0
    assert huge.runtime_s / plain.runtime_s == pytest.approx(1.0 - 0.25 * share, abs=0.03)


def test_hugepage_lets_khugepaged_collapse_and_never_does_nothing() -> None:
    run = scheme_run(Action.HUGEPAGE, "madvise")
    assert 20 <= run.samples.huge_bytes[-1] / (2 << 20) <= 32
    assert scheme_run(Action.HUGEPAGE, "never").samples.huge_bytes[-1] == 0
    assert run.scheme_stats[0].sz_applied > 0


def test_work_of_collapsing_is_kdamonds() -> None:
    run = scheme_run(Action.COLLAPSE, "madvise")
    assert run.kdamond_cpu_s > run.samples.huge_bytes[-1] / (2 << 20) * 0.0102


@pytest.mark.parametrize(("policy", "share"), [("never", 1 / 16), ("madvise", 1 / 16), ("always", 1.0)])
def test_memory_that_is_touched_sparsely_grows_with_huge_pages(policy: str, share: float) -> None:
    workload = MasimWorkload("sparse", (Region("r", 64 << 20),), (Phase("p", 1000, (Pattern("r", False, 65536, 1),)),))
    with SimBackend(machine(thp=policy), Pace()).start(workload, None, 1) as session:
        result = session.finish()
    resident = result.rss_last_bytes - session.rss_base_bytes
    assert resident / (64 << 20) == pytest.approx(share, rel=0.1)
    assert result.samples.huge_bytes[-1] == (64 << 20 if policy == "always" else 0)
