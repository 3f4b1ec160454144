"""Core filters and what no filter decides, by the kernel's own vectors."""

from __future__ import annotations

import pytest

from damoos.damon.filters import Filter
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.sim import filters
from damoos.sim.jit import callable_kernel
from damoos.sim.tables import default_rejects

from .states import state_of

core_verdict = callable_kernel(filters.core_verdict)
PAGE = 4096
TARGET_ALLOW = Filter("target", matching=True, allow=True)
TARGET_REJECT = Filter("target", matching=True)
ANON_ALLOW = Filter("anon", matching=True, allow=True)


@pytest.mark.parametrize(
    ("core", "ops", "expected"),
    [
        ((), (), (False, False)),
        ((TARGET_ALLOW,), (), (True, False)),
        ((TARGET_REJECT,), (), (False, False)),
        ((TARGET_REJECT,), (ANON_ALLOW,), (False, True)),
        ((TARGET_ALLOW,), (ANON_ALLOW,), (False, True)),
    ],
)
def test_what_no_filter_decides(core, ops, expected) -> None:
    assert default_rejects(core, ops) == expected


def verdict(start: int, end: int, *filters: Filter) -> tuple[bool, bool, int]:
    _, handle = state_of([], schemes=[Scheme(Action.STAT, ANYTHING, core_filters=filters)])
    return tuple(core_verdict(handle, 0, start, end))


def addr(start: int, end: int, *, matching: bool = True, allow: bool = False) -> Filter:
    # Ends inside a page are rounded down.
    return Filter("addr", matching, allow, addr_start=start * PAGE + 17, addr_end=end * PAGE + 4095)


@pytest.mark.parametrize(
    ("start", "end", "inside", "upto"),
    [(3, 5, True, 5), (1, 2, False, 2), (6, 8, False, 8), (1, 4, False, 2), (2, 8, True, 6)],
)
def test_address_range(start: int, end: int, inside: bool, upto: int) -> None:
    rejected, allowed, found = verdict(start, end, addr(2, 6))
    assert (rejected, allowed, found) == (inside, False, upto)
    assert verdict(start, end, addr(2, 6, allow=True)) == (not inside, inside, upto)
    assert verdict(start, end, addr(2, 6, matching=False)) == (not inside, False, upto)


def test_the_first_filter_that_applies_decides() -> None:
    assert verdict(0, 10, addr(4, 6), addr(0, 100, allow=True)) == (False, True, 4)
    assert verdict(4, 10, addr(4, 6), addr(0, 100, allow=True)) == (True, False, 6)
    assert verdict(6, 10, addr(4, 6), addr(0, 100, allow=True)) == (False, True, 10)


def test_target_by_index() -> None:
    assert verdict(0, 10, TARGET_REJECT)[0]
    assert not verdict(0, 10, Filter("target", matching=True, damon_target_idx=1))[0]
    assert verdict(0, 10, Filter("target", matching=False, damon_target_idx=1))[0]
