"""Conversion of monitoring results when intervals change: the kernel's own vectors and computed ones."""

from __future__ import annotations

import pytest

from damoos.sim import attributes
from damoos.sim.jit import callable_kernel
from damoos.sim.state import AGGR_US, NEXT_AGGR, NEXT_OPS, PASSED, SAMPLE_US, UPDATE_US

from .states import rows_of, state_of

set_intervals = callable_kernel(attributes.set_intervals)


def convert(old, new, nr, age, last=0, mid_window=False, kernel="7.3"):
    state, handle = state_of([(0, 10, nr, last, age)], kernel=kernel)
    state.n[SAMPLE_US], state.n[AGGR_US] = old
    state.n[PASSED], state.n[NEXT_AGGR] = 40, 41 if mid_window else 40
    set_intervals(handle, *new)
    assert (state.n[SAMPLE_US], state.n[AGGR_US]) == new
    return rows_of(state)[0][2:]


@pytest.mark.parametrize(
    ("old", "new", "nr", "age", "expected"),
    [
        ((10, 1000), (100, 10000), 15, 20, (15, 2)),
        ((10, 1000), (1, 1000), 15, 2, (150, 2)),
        ((10, 1000), (1, 100), 150, 2, (150, 20)),
        ((5000, 100000), (10000, 100000), 7, 3, (3, 3)),
        ((5000, 100000), (1000, 100000), 7, 3, (35, 3)),
        ((5000, 100000), (33333, 100000), 3, 3, (0, 3)),
    ],
)
def test_at_a_window_boundary(old, new, nr: int, age: int, expected: tuple[int, int]) -> None:
    after, _, aged = convert(old, new, nr, age)
    assert (after, aged) == expected


def test_in_the_middle_of_a_window_the_running_counter_is_dropped() -> None:
    assert convert((10, 1000), (100, 10000), 9, 6, last=4, mid_window=True) == (0, 4, 0)


def test_at_a_boundary_the_last_window_is_converted_since_7_3() -> None:
    assert convert((1000, 20000), (1000, 10000), 8, 6, last=4) == (4, 2, 12)
    assert convert((1000, 20000), (1000, 10000), 8, 6, last=4, kernel="7.1") == (4, 4, 12)


def test_nothing_is_converted_with_an_interval_of_zero() -> None:
    assert convert((0, 1000), (100, 10000), 9, 6, last=4) == (9, 4, 6)


def test_schedules_begin_anew() -> None:
    state, handle = state_of([(0, 10)])
    state.n[PASSED], state.n[UPDATE_US] = 7, 60_000
    set_intervals(handle, 1_000, 30_000)
    assert (state.n[NEXT_AGGR], state.n[NEXT_OPS]) == (37, 67)
