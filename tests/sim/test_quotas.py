"""Quotas: the effective quota, charging, cutting and resuming, by the kernel's vectors and those of its formulas."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.damon.filters import Filter
from damoos.damon.quotas import Quotas, Weights
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.sim import quotas, schemes
from damoos.sim.jit import callable_kernel
from damoos.sim.state import NOW, PASSED, ST_NR_TRIED, ST_QT, ST_SNAPSHOTS, ST_SZ_TRIED
from damoos.sim.tables import NOWHERE, Q_CHARGED, Q_ESZ, Q_RESUME, Q_TOTAL_NS, Q_TOTAL_SZ

from .states import rows_of, state_of

apply_schemes = callable_kernel(schemes.apply_schemes)
set_effective_quota = callable_kernel(quotas.set_effective_quota)
PAGE = 4096
KERNELS = ("6.18", "7.0", "7.1", "7.3")


class Run:
    """Passes of schemes over regions, one aggregation of 20 ms apart."""

    def __init__(self, regions, *schemes: Scheme, kernel: str = "7.3") -> None:
        self.state, self.handle = state_of(regions, schemes=schemes, kernel=kernel)

    def apply(self, k: int = 0) -> tuple[int, int, int]:
        """(regions tried, pages tried, page to resume at) of one pass."""
        before = self.state.stats[k].copy()
        apply_schemes(self.handle)
        self.state.n[PASSED] += 20
        self.state.f[NOW] += 20_000.0
        tried = self.state.stats[k] - before
        at = int(self.state.quota[k, Q_RESUME])
        return int(tried[ST_NR_TRIED]), int(tried[ST_SZ_TRIED]) // PAGE, -1 if at == NOWHERE else at

    @property
    def bounds(self) -> list[tuple[int, int]]:
        return [row[:2] for row in rows_of(self.state)]


def sized(pages: float, **more) -> Scheme:
    return Scheme(Action.STAT, ANYTHING, quotas=Quotas(bytes=int(pages * PAGE), **more))


def test_a_time_quota_starts_from_a_throughput_that_is_assumed() -> None:
    run = Run([(0, 8)], Scheme(Action.STAT, ANYTHING, quotas=Quotas(ms=10)))
    set_effective_quota(run.handle, 0)
    assert run.state.quota[0, Q_ESZ] == 41_943_040


@pytest.mark.parametrize(("limits", "expected"), [({}, 20_971_520), ({"bytes": 4 << 20}, 4 << 20)])
def test_a_time_quota_follows_the_measured_throughput(limits, expected: int) -> None:
    run = Run([(0, 8)], Scheme(Action.STAT, ANYTHING, quotas=Quotas(ms=10, **limits)))
    run.state.quota[0, Q_TOTAL_SZ], run.state.quota[0, Q_TOTAL_NS] = 100 << 20, 50_000_000
    set_effective_quota(run.handle, 0)
    assert run.state.quota[0, Q_ESZ] == expected


def test_a_slow_action_still_gets_a_page() -> None:
    run = Run([(0, 8)], Scheme(Action.STAT, ANYTHING, quotas=Quotas(ms=1)))
    run.state.quota[0, Q_TOTAL_SZ], run.state.quota[0, Q_TOTAL_NS] = 1000, 50_000_000
    set_effective_quota(run.handle, 0)
    assert run.state.quota[0, Q_ESZ] == PAGE


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_region_is_cut_at_the_edge_of_the_quota(kernel: str) -> None:
    run = Run([(0, 8)], sized(2), kernel=kernel)
    assert run.apply()[:2] == (1, 2)
    # 7.3 joins the pieces again at once, since nothing tells them apart.
    assert run.bounds == ([(0, 8)] if kernel == "7.3" else [(0, 2), (2, 8)])
    assert run.state.quota[0, Q_CHARGED] == 2 * PAGE


@pytest.mark.parametrize(("kernel", "tried"), [("7.3", 0), ("7.0", 1)])
def test_less_than_a_page_is_nothing(kernel: str, tried: int) -> None:
    run = Run([(0, 8)], Scheme(Action.STAT, ANYTHING, quotas=Quotas(bytes=1)), kernel=kernel)
    assert run.apply()[:2] == (tried, 0)
    assert run.bounds == [(0, 8)]


@pytest.mark.parametrize(("kernel", "resumed"), [("6.18", 5), ("7.0", 5), ("7.1", 4), ("7.3", 4)])
def test_the_next_window_goes_on_where_the_last_one_was_full(kernel: str, resumed: int) -> None:
    # Older kernels leave out the first page of a region that begins there.
    run = Run([(0, 2), (2, 8), (8, 20)], sized(2), kernel=kernel)
    run.state.age[0, 0] = 7
    assert run.apply()[1] == 2
    assert run.apply()[1] == 2
    assert run.apply()[2] == resumed + (3 if kernel < "7.1" else 2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_goes_on_inside_a_region_that_was_merged_again(kernel: str) -> None:
    run = Run([(0, 8), (8, 20)], sized(2), kernel=kernel)
    run.state.quota[0, Q_RESUME] = 2
    assert run.apply() == (1, 2, 4)


@pytest.mark.parametrize("kernel", ["7.1", "7.3"])
def test_the_last_region_is_skipped_only_once_it_was_all_charged(kernel: str) -> None:
    run = Run([(0, 8)], sized(4), kernel=kernel)
    pages = [run.apply()[1] for _ in range(6)]
    # 7.1 skips whatever is last when it resumes; 7.3 only what ends there.
    assert pages == ([4, 4, 0, 4, 4, 0] if kernel == "7.3" else [4, 0, 4, 0, 4, 0])


def test_older_kernels_do_not_visit_what_they_cut_in_the_same_pass() -> None:
    whole = Scheme(Action.STAT, ANYTHING)
    for kernel, visited in (("7.0", 1), ("7.1", 2), ("7.3", 2)):
        run = Run([(0, 8)], sized(2), whole, kernel=kernel)
        assert run.apply(1)[0] == visited, kernel


def test_pieces_are_joined_again_while_walking_since_7_3() -> None:
    for kernel, bounds in (("7.1", [(0, 2), (2, 4), (4, 8)]), ("7.3", [(0, 8)])):
        run = Run([(0, 2), (2, 4), (4, 8)], Scheme(Action.STAT, ANYTHING), kernel=kernel)
        run.apply()
        assert run.bounds == bounds


def test_windows_that_were_full_are_counted_when_the_next_one_begins() -> None:
    run = Run([(0, 100)], sized(2, reset_interval_ms=60))
    counts = []
    for _ in range(7):
        run.apply()
        counts.append((int(run.state.stats[0, ST_QT]), int(run.state.stats[0, ST_SZ_TRIED]) // PAGE))
    # A window lasts 60 ms, three passes.
    assert counts == [(0, 2), (0, 2), (0, 2), (1, 4), (1, 4), (1, 4), (2, 6)]


def test_6_12_has_no_quota_until_the_first_window_is_over() -> None:
    run = Run([(0, 100)], sized(2, reset_interval_ms=60), kernel="6.12")
    assert [run.apply()[1] for _ in range(5)] == [100, 100, 100, 2, 0]


@pytest.mark.parametrize(("num", "charged"), [(0, 0), (1, 2), (4, 8)])
def test_what_failed_is_charged_in_part(num: int, charged: int) -> None:
    # A stat scheme applies nothing, so that everything failed.
    quota = Quotas(bytes=100 * PAGE, fail_charge_num=num, fail_charge_denom=4)
    run = Run([(0, 8)], Scheme(Action.STAT, ANYTHING, quotas=quota))
    run.apply()
    assert run.state.quota[0, Q_CHARGED] == charged * PAGE


def test_a_pass_that_does_not_reach_the_end_is_no_snapshot() -> None:
    run = Run([(0, 8)], sized(4))
    assert [int(run.state.stats[0, ST_SNAPSHOTS]) for _ in range(3) if run.apply()] == [0, 1, 1]


def test_several_schemes_have_quotas_of_their_own() -> None:
    run = Run([(0, 8), (8, 16)], sized(2), dataclasses.replace(sized(3), action=Action.STAT))
    run.apply()
    assert run.state.stats[:, ST_SZ_TRIED].tolist() == [2 * PAGE, 3 * PAGE]


@pytest.mark.parametrize(("kernel", "pages"), [("7.3", 2), ("7.1", 4)])
def test_what_a_filter_cuts_off_is_not_tried_since_7_3(kernel: str, pages: int) -> None:
    keep = Filter("addr", matching=True, allow=False, addr_start=2 * PAGE, addr_end=8 * PAGE)
    run = Run([(0, 4)], Scheme(Action.STAT, ANYTHING, core_filters=(keep,)), kernel=kernel)
    assert run.apply()[:2] == (1, pages)


@pytest.mark.parametrize(("kernel", "pages"), [("7.3", 6), ("7.1", 8)])
def test_only_what_a_filter_allows_is_tried(kernel: str, pages: int) -> None:
    only = Filter("addr", matching=True, allow=True, addr_start=2 * PAGE, addr_end=8 * PAGE)
    run = Run([(2, 10)], Scheme(Action.STAT, ANYTHING, core_filters=(only,)), kernel=kernel)
    assert run.apply()[:2] == (1, pages)


@settings(deadline=None, max_examples=80)
@given(
    kernel=st.sampled_from(("6.12", *KERNELS)),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=25),
    counts=st.lists(st.integers(0, 20), min_size=25, max_size=25),
    ages=st.lists(st.integers(0, 40), min_size=25, max_size=25),
    pages=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    hole=st.integers(0, 25),
    ranges=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.booleans(), st.booleans()), max_size=3),
)
def test_whatever_is_cut_no_page_is_lost_and_no_quota_exceeded(
    kernel: str, sizes, counts, ages, pages, hole: int, ranges
) -> None:
    edges = list(itertools.accumulate(sizes, initial=0))
    rows = [(s + 7 * (i >= hole), e + 7 * (i >= hole)) for i, (s, e) in enumerate(zip(edges, edges[1:], strict=False))]
    rows = [(*row, nr, nr, age) for row, nr, age in zip(rows, counts, ages, strict=False)]
    filters = tuple(
        Filter("addr", matching, allow, addr_start=min(a, b) * PAGE, addr_end=max(a, b) * PAGE)
        for a, b, matching, allow in ranges
    )
    weights = Weights(0, 1, 1)
    schemes = [
        Scheme(Action.COLD, ANYTHING, quotas=Quotas(bytes=n * PAGE, weights=weights), core_filters=filters[k:])
        for k, n in enumerate(pages)
    ]
    run = Run(rows, *schemes, kernel=kernel)
    covered = {page for start, end, *_ in rows for page in range(start, end)}
    for turn in range(6):
        before = run.state.stats.copy()
        run.apply()
        found = run.bounds
        assert all(s < e for s, e in found)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
        assert {page for start, end in found for page in range(start, end)} == covered
        tried = (run.state.stats - before)[:, ST_SZ_TRIED] // PAGE
        if kernel != "6.12" or turn > 0:
            assert (tried <= pages).all()
