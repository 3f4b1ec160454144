"""Memory of others than the workload, as far as actions of physical memory reach it."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.damon.filters import Filter
from damoos.damon.schemes import Action, Scheme
from damoos.sim import others
from damoos.sim.jit import callable_kernel
from damoos.sim.others import O_FREE, O_LOCKED
from damoos.sim.state import ACTIONS, SWAP_OUT, SWAPPED, X_NODE

from .states import LAB, state_of

act_on_others = callable_kernel(others.act_on_others)
FREE, LOCKED = 60.0, 120.0
PLACES = ((1000.0, 1128.0, FREE, LOCKED, 0.0), (3000.0, 3128.0, FREE, LOCKED, 0.0))


def beside(scheme: Scheme):
    """A state with two places of 128 frames that others have pages in."""
    state, handle = state_of([(0, 4096)], schemes=[scheme], columns=X_NODE, others=PLACES)
    return state, handle, np.int64(ACTIONS[scheme.action])


def test_page_out_takes_what_was_seen_before_but_not_what_is_locked() -> None:
    state, handle, action = beside(Scheme(Action.PAGEOUT))
    assert act_on_others(handle, 0, action, 0, 1128) == (0, 0)
    assert act_on_others(handle, 0, action, 0, 1064) == (FREE / 2, (FREE + LOCKED) / 2)
    assert state.other[:, O_FREE].tolist() == [FREE / 2, FREE] and state.other[0, O_LOCKED] == LOCKED
    # It is nothing of the workload's.
    assert state.n[SWAP_OUT] == FREE / 2 and state.n[SWAPPED] == 0


@pytest.mark.parametrize("action", [Action.LRU_DEPRIO, Action.LRU_PRIO])
def test_sorting_reaches_all_of_it_again_and_again(action: Action) -> None:
    _, handle, number = beside(Scheme(action))
    for _ in range(2):
        assert act_on_others(handle, 0, number, 0, 4096) == (2 * (FREE + LOCKED),) * 2


def test_it_is_moved_once() -> None:
    _, handle, action = beside(Scheme(Action.MIGRATE_COLD))
    assert act_on_others(handle, 0, action, 2000, 4096)[0] == FREE + LOCKED
    assert act_on_others(handle, 0, action, 2000, 4096)[0] == 0


@pytest.mark.parametrize(
    ("kind", "allow", "passes"), [("anon", False, True), ("anon", True, False), ("memcg", True, False)]
)
def test_it_is_of_files_and_of_no_cgroup(kind: str, allow: bool, passes: bool) -> None:
    path = "/workload" if kind == "memcg" else ""
    scheme = Scheme(Action.LRU_DEPRIO, ops_filters=(Filter(kind, True, allow, memcg_path=path),))
    _, handle, action = beside(scheme)
    assert act_on_others(handle, 0, action, 0, 2000)[0] == (FREE + LOCKED if passes else 0)


def test_the_recorded_machine_has_such_memory() -> None:
    assert LAB.other_lru_bytes > 0 and LAB.other_locked_bytes > 0
