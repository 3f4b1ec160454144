"""Pages that DAMON's own checks of physical memory have marked as idle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from damoos.damon.schemes import Action, Scheme
from damoos.sim import idle, lru, memory
from damoos.sim.jit import callable_kernel
from damoos.sim.state import ACTED_ON, PHYSICAL, X_NODE

from .states import state_of

mark_checked, old_share, first_extent = (
    callable_kernel(k) for k in (idle.mark_checked, lru.old_share, memory.first_extent)
)
CHECKS = np.int64(20)


def looking(action: Action = Action.PAGEOUT):
    """Two regions of 1024 and 3072 pages on the piece that is the workload's only area, and that piece."""
    state, handle = state_of([(0, 1024), (1024, 4096)], schemes=[Scheme(action=action)], columns=X_NODE)
    state.n[PHYSICAL] = 1
    piece = int(np.flatnonzero(state.view_start == 0)[0])
    state.n[ACTED_ON] = piece + 1
    return state, handle, piece


def test_checks_mark_one_page_of_a_region_each() -> None:
    state, handle, piece = looking()
    for _ in range(50):
        mark_checked(handle, CHECKS)
    expected = 1.0 - (math.exp(-1000 / 1024) + 3 * math.exp(-1000 / 3072)) / 4
    # The mean over both regions is taken at each call, so the marks spread a little.
    assert state.view_idle[piece] == pytest.approx(expected, abs=0.03)
    # What was never looked at otherwise is old as far as checks have marked it, and all of it the next time.
    i = first_extent(handle, 0)
    assert old_share(handle, i) == pytest.approx(state.view_idle[piece])
    assert old_share(handle, i) == 1.0


def test_use_takes_the_marks_away() -> None:
    state, handle, piece = looking()
    mark_checked(handle, np.int64(4000))
    marked = state.view_idle[piece]
    area = state.view_area[piece]
    state.area_touched[area] = 0.5
    mark_checked(handle, np.int64(0))
    assert state.view_idle[piece] == pytest.approx(marked / 2)
    state.area_touched[area] = 2.0
    mark_checked(handle, CHECKS)
    assert state.view_idle[piece] == 0.0


def test_nothing_is_worked_out_where_no_scheme_asks() -> None:
    state, handle, piece = looking(Action.MIGRATE_COLD)
    mark_checked(handle, CHECKS)
    assert state.view_idle[piece] == 0.0
