"""Young and old pages, priorities, and reclaim when memory is short."""

from __future__ import annotations

import pytest

from damoos.sim import lru, memory
from damoos.sim.backend import SimBackend
from damoos.sim.jit import callable_kernel
from damoos.sim.state import SWAPPED, X_DEPRIO, X_NODE, X_PRIO
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import PAGES, area, check_books, machine, memory_state

cut_extent, first_extent, old_share, prioritise, relieve, evict_some = (
    callable_kernel(k)
    for k in (
        memory.cut_extent,
        memory.first_extent,
        lru.old_share,
        lru.prioritise,
        lru.relieve,
        memory.evict_some,
    )
)


def test_pages_are_old_once_they_were_seen_and_not_used_since() -> None:
    state, handle = memory_state(machine(), X_NODE)
    i = first_extent(handle, 0)
    assert old_share(handle, i) == 0.0
    assert old_share(handle, i) == 1.0
    state.area_touched[area(state)] = 0.25
    assert old_share(handle, i) == 0.75
    state.area_touched[area(state)] = 3.0
    assert old_share(handle, i) == 0.0


def test_a_part_of_an_extent_is_paged_out_with_its_marks() -> None:
    state, handle = memory_state(machine(thp="always"), X_NODE)
    i = first_extent(handle, 0)
    prioritise(handle, i, X_DEPRIO, PAGES)
    assert evict_some(handle, i, 1000, X_DEPRIO) == 1000
    assert state.n[SWAPPED] == 1000 and state.ext_more[i, X_DEPRIO] == PAGES - 1000
    check_books(state)
    prioritise(handle, i, X_PRIO, 500)
    assert (state.ext_more[i, X_DEPRIO], state.ext_more[i, X_PRIO]) == (PAGES - 1500, 500)
    prioritise(handle, i, X_PRIO, PAGES - 1000)
    assert (state.ext_more[i, X_DEPRIO], state.ext_more[i, X_PRIO]) == (0, PAGES - 1000)
    check_books(state)


def test_prioritised_pages_are_spared_errors_of_reclaim() -> None:
    state, handle = memory_state(machine(limit_bytes=3000 * 4096, lru_noise=1.0), X_NODE)
    cut_extent(handle, first_extent(handle, 2000), 2000)
    prioritise(handle, first_extent(handle, 0), X_PRIO, 2000)
    relieve(handle)
    assert PAGES - state.n[SWAPPED] <= 3000
    assert state.ext_swapped[first_extent(handle, 0)] == 0
    check_books(state)


def limited_run(noise: float, limit_mib: int = 48):
    """Two regions in turn, 32 MiB each, of which the first has to go when the second comes."""
    phases = tuple(
        Phase(f"{name} {turn}", 1000, (Pattern(name, True, 4096, 1),)) for turn in range(3) for name in ("a", "b")
    )
    workload = MasimWorkload("two", (Region("a", 32 << 20), Region("b", 32 << 20)), phases)
    slow = machine(limit_bytes=limit_mib << 20, lru_noise=noise)
    with SimBackend(slow, Pace()).start(workload, None, 1) as session:
        return session.finish()


def test_memory_stays_below_its_limit_and_what_is_out_of_use_goes_first() -> None:
    free, exact, wrong = limited_run(0.0, 0), limited_run(0.0), limited_run(0.5)
    assert free.swap_out_bytes == 0
    limit = (48 << 20) + machine().rss_base_bytes
    assert exact.rss_peak_bytes <= limit + (2 << 20)
    # Each turn brings half of the region back that had to go; errors bring back what is in use too.
    assert exact.major_faults == pytest.approx(4 * 4096 + 4096, rel=0.25)
    assert wrong.major_faults > 1.3 * exact.major_faults
    assert free.runtime_s < exact.runtime_s < wrong.runtime_s
