"""Watermarks by their vector, and the machine's free memory."""

from __future__ import annotations

from damoos.damon.quotas import Watermarks
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.sim import vmstat, watermarks
from damoos.sim.jit import callable_kernel
from damoos.sim.state import C_MEMORY, C_MEMORY_USED, C_PCP, C_SWAP_MEMORY, NOW, SWAPPED, TAKEN
from damoos.sim.tables import Q_ACTIVE

from .states import state_of

free_pages = callable_kernel(vmstat.free_pages)
update_activations = callable_kernel(watermarks.update_activations)


def marked(high: int = 500, mid: int = 400, low: int = 200, interval_us: int = 70) -> Scheme:
    return Scheme(Action.STAT, ANYTHING, watermarks=Watermarks("free_mem_rate", interval_us, high, mid, low))


def machine(*schemes: Scheme):
    # 4096 pages of workload, all resident.
    state, handle = state_of([(0, 10)], schemes=schemes)
    state.c[C_MEMORY], state.c[C_PCP], state.c[C_SWAP_MEMORY] = 1_000_000, 0, 0

    def free(permil: int) -> None:
        state.c[C_MEMORY_USED] = 1_000_000 - permil * 1_000 - state.f[TAKEN]

    return state, handle, free


def test_a_scheme_is_active_between_low_and_mid_and_stays_so_up_to_high() -> None:
    state, handle, free = machine(marked())
    found = []
    for permil in (600, 450, 399, 450, 501, 199, 200):
        free(permil)
        wait = update_activations(handle)
        assert wait == (0 if state.quota[0, Q_ACTIVE] else 70)
        found.append(bool(state.quota[0, Q_ACTIVE]))
    assert found == [False, False, True, True, False, False, True]


def test_kdamond_sleeps_only_if_all_are_inactive_and_as_short_as_any_wants() -> None:
    _, handle, free = machine(marked(interval_us=70), marked(interval_us=50), marked(low=0, mid=100, interval_us=60))
    free(600)
    assert update_activations(handle) == 50
    free(150)
    assert update_activations(handle) == 50
    free(50)
    assert update_activations(handle) == 0
    _, handle, free = machine(marked(), Scheme(Action.STAT, ANYTHING))
    free(600)
    assert update_activations(handle) == 0


def test_what_is_paged_out_frees_memory_late_and_not_all_of_it() -> None:
    state, handle, _ = machine()
    state.c[C_MEMORY_USED], state.c[C_SWAP_MEMORY], state.c[C_PCP] = 0, 0.25, 160
    before = free_pages(handle)
    state.n[SWAPPED] += 100
    # 75 pages are freed, and wait in a list of up to 160.
    assert free_pages(handle) == before
    state.f[NOW] = 10e6
    limit = 160 * 0.875**10
    assert free_pages(handle) == before + 75 - limit
    state.n[SWAPPED] -= 40
    assert free_pages(handle) == before + 75 - limit
    state.f[NOW] = 100e6
    assert free_pages(handle) == before + 45 - 10
