"""NUMA nodes: where pages come to lie, moving them, and what that is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.quotas import Dest
from damoos.damon.schemes import AccessPattern, Action, Scheme
from damoos.sim import memory, tiers
from damoos.sim.backend import SimBackend
from damoos.sim.jit import callable_kernel
from damoos.sim.machine import Node
from damoos.sim.state import MIGRATED, X_NODE
from damoos.sim.tables import scheme_tables
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import PAGES, TWO_NODES, area, check_books, machine, memory_state

evict, fault_at_random, migrate, refresh_rates = (
    callable_kernel(k) for k in (memory.evict, memory.fault_at_random, tiers.migrate, tiers.refresh_rates)
)
TIERED = machine(nodes=TWO_NODES)
COLUMNS = X_NODE + 1


def to(*weights: int, unknown: int = 0) -> np.ndarray:
    return np.array([*weights, unknown], np.int64)


def far(state) -> int:
    return int(state.area_more[area(state), X_NODE])


def check_rooms(state) -> None:
    resident = PAGES - int(state.area_swapped[area(state)] + state.area_untouched[area(state)])
    assert state.node_room.tolist() == [3000 - (resident - far(state)), 8000 - far(state)]
    check_books(state)


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["out", "random", "near", "far", "both"]),
            st.integers(0, PAGES - 1),
            st.integers(1, PAGES),
        ),
        max_size=20,
    )
)
def test_books_balance_whatever_happens(steps) -> None:
    state, handle = memory_state(TIERED, COLUMNS)
    weights = {"near": to(1, 0), "far": to(0, 1), "both": to(3, 1)}
    for what, start, length in steps:
        end = min(PAGES, start + length)
        if what == "out":
            evict(handle, start, end)
        elif what == "random":
            fault_at_random(handle, area(state), length / PAGES)
        else:
            migrate(handle, start, end, weights[what])
        check_rooms(state)
        assert state.node_room[0] >= 0


def test_memory_is_filled_node_by_node() -> None:
    state, _ = memory_state(TIERED, COLUMNS)
    assert far(state) == PAGES - 3000
    check_rooms(state)


def test_migration_moves_what_is_elsewhere_and_fits() -> None:
    state, handle = memory_state(TIERED, COLUMNS)
    assert migrate(handle, 0, PAGES, to(0, 1)) == (3000, PAGES)
    assert migrate(handle, 0, PAGES, to(0, 1)) == (0, PAGES)
    assert migrate(handle, 0, PAGES, to(1, 0)) == (3000, PAGES)
    assert state.n[MIGRATED] == 6000
    check_rooms(state)


def test_destinations_get_pages_by_weight() -> None:
    # damon-semantics 8.8: weights 3 and 1 send three pages of four to the first node.
    state, handle = memory_state(TIERED, COLUMNS)
    migrate(handle, 0, PAGES, to(0, 1))
    assert migrate(handle, 0, 2048, to(3, 1)) == (1536, 2048)
    assert far(state) == PAGES - 1536
    check_rooms(state)


def test_what_would_go_to_an_unknown_node_stays() -> None:
    state, handle = memory_state(TIERED, COLUMNS)
    migrate(handle, 0, PAGES, to(1, 0))
    before = far(state)
    assert migrate(handle, 0, 2000, to(0, 1, unknown=3))[0] <= 500
    assert far(state) - before == pytest.approx(500 - before * 2000 / PAGES, abs=60)
    check_rooms(state)


def test_no_destination_moves_nothing() -> None:
    _, handle = memory_state(TIERED, COLUMNS)
    assert migrate(handle, 0, PAGES, to(0, 0)) == (0, 0)


@pytest.mark.parametrize("random, factor", [(True, 2.0), (False, 1.5)])
def test_accesses_to_a_far_node_take_longer(random: bool, factor: float) -> None:
    state, handle = memory_state(TIERED, COLUMNS, random=random)
    migrate(handle, 0, PAGES, to(0, 1))
    refresh_rates(handle)
    slow = state.pattern_rate[0]
    state, handle = memory_state(machine(nodes=(Node(), TWO_NODES[1])), COLUMNS, random=random)
    refresh_rates(handle)
    assert state.pattern_rate[0] / slow == pytest.approx(factor, rel=1e-3)


def run(*schemes: Scheme):
    """Two regions of which the second, that found room only on the slow node, is used from the first second on."""
    phases = (
        Phase("a", 1000, (Pattern("a", True, 4096, 1),)),
        Phase("b", 9000, (Pattern("b", True, 4096, 1),)),
    )
    workload = MasimWorkload("two", (Region("a", 64 << 20), Region("b", 64 << 20)), phases)
    nodes = (Node(memory_bytes=80 << 20), Node(random_factor=2.0))
    kdamonds = Kdamonds((Kdamond((Context(schemes=schemes),)),)) if schemes else None
    with SimBackend(machine(nodes=nodes), Pace(prefault=True)).start(workload, kdamonds, 1) as session:
        return session.finish()


HOT = AccessPattern.of(access=("5 samples", "max"), age=("1 s", "max"))
COLD = AccessPattern.of(access=("0 samples", "0 samples"), age=("1 s", "max"))


def test_hot_memory_on_the_fast_node_makes_the_workload_faster() -> None:
    base = run()
    moved = run(
        Scheme(Action.MIGRATE_COLD, COLD, target_nid=1),
        Scheme(Action.MIGRATE_HOT, HOT, target_nid=0),
    )
    assert base.samples.far_bytes.tolist() == [48 << 20] * len(base.samples.far_bytes)
    assert base.runtime_s == pytest.approx(1.0 + 9.0 * 1.75, rel=0.02)
    assert moved.runtime_s < base.runtime_s - 3.0
    assert moved.scheme_stats[0].sz_applied >= 40 << 20 and moved.scheme_stats[1].sz_applied >= 40 << 20


def test_an_unknown_node_moves_nothing_and_weights_count() -> None:
    none = run(Scheme(Action.MIGRATE_COLD, COLD, target_nid=5))
    assert none.scheme_stats[0].nr_tried > 0 and none.scheme_stats[0].sz_applied == 0
    split = run(Scheme(Action.MIGRATE_COLD, COLD, dests=(Dest(0, 1), Dest(1, 1))))
    # Half of the first region, and what of the second lay near while it was idle.
    assert 30 << 20 <= split.scheme_stats[0].sz_applied <= 56 << 20


@pytest.mark.parametrize(("ops", "row"), [("vaddr", [3, 0, 1]), ("paddr", [0, 1, 0])])
def test_physical_memory_goes_to_the_target_node_whatever_the_destinations(ops: str, row: list[int]) -> None:
    scheme = Scheme(Action.MIGRATE_COLD, COLD, target_nid=1, dests=(Dest(0, 3), Dest(7, 1)))
    assert scheme_tables(Context(ops=ops, schemes=(scheme,)), 0, 2).scheme_dests.tolist() == [row]
