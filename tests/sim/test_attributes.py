"""Conversion of monitoring results when intervals change: the kernel's own vectors and computed ones."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.sim.attributes import convert_results


def convert(old, new, nr, age, last=0, mid_window=False):
    out = convert_results(np.array([nr]), np.array([last]), np.array([age]), old, new, mid_window=mid_window)
    return tuple(int(x[0]) for x in out)


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


def test_nothing_is_converted_with_an_interval_of_zero() -> None:
    assert convert((0, 1000), (100, 10000), 9, 6, last=4) == (9, 4, 6)
