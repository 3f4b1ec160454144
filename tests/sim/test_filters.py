"""Core filters and what no filter decides, by the kernel's own vectors."""

from __future__ import annotations

import pytest

from damoos.damon.filters import Filter
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.sim import filters, memory, ops_filters, schemes
from damoos.sim.jit import callable_kernel
from damoos.sim.state import PASSED, ST_PASSED, X_DEPRIO, X_HUGE
from damoos.sim.tables import default_rejects

from .states import state_of

apply_schemes = callable_kernel(schemes.apply_schemes)
core_verdict = callable_kernel(filters.core_verdict)
first_extent = callable_kernel(memory.first_extent)
passing_stretch = callable_kernel(ops_filters.passing_stretch)
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


def passing(*filters: Filter, start: int = 0, end: int = 10, core: tuple[Filter, ...] = (), huge: int = 0) -> int:
    """Pages that pass of [start, end) of the tiny workload, all of it in memory, `huge` pages of it in huge pages."""
    scheme = Scheme(Action.STAT, ANYTHING, core_filters=core, ops_filters=filters)
    state, handle = state_of([(start, end)], schemes=[scheme], columns=X_HUGE + 1)
    workload = int(state.ext_area[first_extent(handle, 0)])
    state.ext_more[first_extent(handle, 0), X_HUGE] = huge
    assert state.area_anon[workload] == 1
    apply_schemes(handle)
    return int(state.stats[0, ST_PASSED]) // PAGE


ANON_REJECT = Filter("anon", matching=True)
FILE_ALLOW = Filter("anon", matching=False, allow=True)


@pytest.mark.parametrize(
    ("filters", "anonymous", "file"),
    [
        ((ANON_REJECT,), False, True),
        ((ANON_ALLOW,), True, False),
        ((Filter("anon", matching=False),), True, False),
        ((FILE_ALLOW, ANON_REJECT), False, True),
        ((Filter("memcg", True, True, memcg_path="/workload"), ANON_REJECT), True, True),
        ((Filter("unmapped", True, True),), False, False),
        ((Filter("hugepage_size", True, True, min=4096, max=4096), ANON_REJECT), True, True),
    ],
)
def test_pages_that_pass(filters, anonymous: bool, file: bool) -> None:
    assert passing(*filters) == 10 * anonymous
    # 91 pages of the program's text are in memory.
    low = -(1 << 40)
    assert passing(*filters, start=low, end=0) == 91 * file


def test_huge_pages_pass_by_their_size() -> None:
    huge = Filter("hugepage_size", True, True, min=1 << 20, max=1 << 30)
    assert passing(huge, end=4096, huge=1024) == 1024
    assert passing(Filter("hugepage_size", True, False, min=1 << 20, max=1 << 30), end=4096, huge=1024) == 3072


def test_young_pages_pass_until_they_were_seen() -> None:
    scheme = Scheme(Action.STAT, ANYTHING, ops_filters=(Filter("young", True, True),))
    state, handle = state_of([(0, 1000)], schemes=[scheme], columns=X_HUGE + 1)
    found = []
    for _ in range(3):
        apply_schemes(handle)
        state.n[PASSED] += 20
        found.append(int(state.stats[0, ST_PASSED]) // PAGE)
    # All were used when they became resident, and none since.
    assert found == [1000, 1000, 1000]
    state.area_touched[state.ext_area[first_extent(handle, 0)]] = 0.5
    apply_schemes(handle)
    assert int(state.stats[0, ST_PASSED]) // PAGE == 1500


@pytest.mark.parametrize(("allow", "passed"), [(True, 3072), (False, 1024)])
def test_what_was_deprioritised_is_not_active(allow: bool, passed: int) -> None:
    scheme = Scheme(Action.STAT, ANYTHING, ops_filters=(Filter("active", True, allow),))
    state, handle = state_of([(0, 4096)], schemes=[scheme], columns=X_DEPRIO + 1)
    state.ext_more[first_extent(handle, 0), X_DEPRIO] = 1024
    apply_schemes(handle)
    assert int(state.stats[0, ST_PASSED]) // PAGE == passed


@pytest.mark.parametrize(
    ("order", "young", "old"),
    [
        ((ANON_ALLOW, Filter("young", True, False)), True, True),
        ((Filter("young", True, False), ANON_ALLOW), False, True),
        ((Filter("young", False, False),), True, False),
    ],
)
def test_anonymous_pages_young_and_old(order, young: bool, old: bool) -> None:
    scheme = Scheme(Action.STAT, ANYTHING, ops_filters=order)
    state, handle = state_of([(0, 1000)], schemes=[scheme], columns=X_HUGE + 1)
    apply_schemes(handle)
    assert int(state.stats[0, ST_PASSED]) // PAGE == 1000 * young
    state.n[PASSED] += 20
    apply_schemes(handle)
    assert int(state.stats[0, ST_PASSED]) // PAGE == 1000 * young + 1000 * old


def test_what_a_core_filter_allows_passes_the_other_layer_too() -> None:
    assert passing(ANON_REJECT, core=(TARGET_ALLOW,)) == 10
    assert passing(ANON_REJECT, core=(TARGET_REJECT,)) == 0


@pytest.mark.parametrize(
    ("asked", "anonymous", "file"), [((), True, True), ((ANON_REJECT,), False, True), ((ANON_ALLOW,), True, False)]
)
def test_only_what_passes_is_migrated(asked, anonymous: bool, file: bool) -> None:
    low = -(1 << 40)
    state, handle = state_of([], schemes=[Scheme(Action.MIGRATE_COLD, ANYTHING, target_nid=0, ops_filters=asked)])
    assert passing_stretch(handle, 0, 10, 20) == (anonymous, 20)
    assert passing_stretch(handle, 0, 10, 5_000) == (anonymous, 4096 if asked else 5_000)
    assert passing_stretch(handle, 0, 4_500, 5_000) == (not asked, 5_000)
    text = int(state.ext_start[first_extent(handle, low)])
    assert passing_stretch(handle, 0, text, text + 5) == (file, text + 5)
    assert passing_stretch(handle, 0, low, text + 5) == ((False, text) if asked else (True, text + 5))
