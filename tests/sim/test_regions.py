"""The numeric vectors of DAMON's own unit tests and of the formulas, and what must hold for any regions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.sim import regions
from damoos.sim.jit import callable_kernel
from damoos.sim.state import AGGR_US, LAST_NR_REGIONS, NR_REGIONS, SAMPLE_US, SIZE_LIMIT

from .states import rows_of, state_of

apply_min_nr_regions = callable_kernel(regions.apply_min_nr_regions)
merge_pass = callable_kernel(regions.merge_pass)
merge_regions = callable_kernel(regions.merge_regions)
moving_sum = callable_kernel(regions.moving_sum)
next_threshold = callable_kernel(regions.next_threshold)
reset_aggregated = callable_kernel(regions.reset_aggregated)
samples_per_aggregation = callable_kernel(regions.samples_per_aggregation)
set_regions = callable_kernel(regions.set_regions)
split_evenly = callable_kernel(regions.split_evenly)
split_regions = callable_kernel(regions.split_regions)


def bounds(state) -> list[tuple[int, int]]:
    return [(s, e) for s, e, *_ in rows_of(state)]


def test_two_regions_merge_into_their_average_by_size() -> None:
    # ages 8 and 20 become 9 and 21 before they are averaged
    state, handle = state_of([(0, 100, 10, 10, 8), (100, 300, 20, 20, 20)])
    merge_pass(handle, 10, 1 << 40, True)
    assert rows_of(state) == [(0, 300, 16, 10, 17)]


def test_merging_a_list_of_regions_with_holes() -> None:
    starts = (0, 100, 114, 122, 130, 156, 170, 184, 230)
    ends = (100, 112, 122, 130, 156, 170, 184, 230, 10170)
    counts = (0, 0, 10, 10, 20, 30, 1, 2, 5)
    state, handle = state_of(zip(starts, ends, counts, strict=True))
    merge_pass(handle, 9, 9999, False)
    assert bounds(state) == [(0, 112), (114, 130), (130, 156), (156, 170), (170, 230), (230, 10170)]
    assert [r[2] for r in rows_of(state)] == [0, 10, 20, 30, 1, 5]


@pytest.mark.parametrize(
    ("nr", "last", "age", "expected"),
    [(10, 10, 4, 5), (10, 12, 4, 5), (10, 13, 4, 0), (0, 1, 4, 0), (1, 0, 4, 0), (0, 0, 4, 5)],
)
def test_ageing(nr: int, last: int, age: int, expected: int) -> None:
    state, handle = state_of([(0, 10, nr, last, age)])
    merge_pass(handle, 2, 1 << 40, True)
    assert rows_of(state)[0][4] == expected


def merged(rows, threshold: int, limit: int) -> list[tuple[int, ...]]:
    """A pass over (start, end, nr_accesses, last, age) as the kernel writes it, region by region."""
    done = [rows[0]]
    for s, e, nr, last, age in rows[1:]:
        s0, e0, nr0, last0, age0 = done[-1]
        if abs(nr0 - nr) <= threshold and e0 == s and e - s0 <= limit:
            a, b = e0 - s0, e - s
            done[-1] = (s0, e, (nr0 * a + nr * b) // (a + b), last0, (age0 * a + age * b) // (a + b))
        else:
            done.append((s, e, nr, last, age))
    return done


@settings(deadline=None, max_examples=200)
@given(
    regions_=st.lists(
        st.tuples(st.integers(1, 300), st.integers(0, 30), st.integers(0, 30), st.integers(0, 90), st.booleans()),
        min_size=1,
        max_size=80,
    ),
    threshold=st.integers(0, 12),
    limit=st.integers(1, 3000),
)
def test_a_pass_is_the_kernel_s_region_by_region(regions_, threshold: int, limit: int) -> None:
    rows, at = [], 0
    for size, nr, last, age, hole in regions_:
        at += 7 * hole
        rows.append((at, at + size, nr, last, age))
        at += size
    state, handle = state_of(rows)
    merge_pass(handle, threshold, limit, False)
    assert [tuple(int(x) for x in row) for row in rows_of(state)] == merged(rows, threshold, limit)


@pytest.mark.parametrize(
    ("threshold", "samples", "expected"),
    [(0, 20, [1, 2, 4, 8, 16, 20]), (3, 20, [6, 12, 20]), (2, 200, [4, 8, 16, 32, 64, 128, 200])],
)
def test_thresholds_of_repeated_merging(threshold: int, samples: int, expected: list[int]) -> None:
    seen = []
    while threshold < samples:
        threshold = next_threshold(threshold, samples)
        seen.append(threshold)
    assert seen == expected


@pytest.mark.parametrize(("kernel", "expected"), [("6.12", 8), ("6.18", 0), ("7.3", 0)])
def test_up_to_6_12_only_the_size_of_a_change_counts(kernel: str, expected: int) -> None:
    # 0 to 2 accesses is within the threshold, but the one is none.
    for nr, last in ((2, 0), (0, 2)):
        state, handle = state_of([(0, 100, nr, last, 7)], kernel=kernel)
        merge_pass(handle, 2, 1 << 40, True)
        assert rows_of(state) == [(0, 100, nr, last, expected)]


def test_merging_repeats_until_the_maximum_holds_and_counts_ages_once() -> None:
    rows = [(i * 10, i * 10 + 10, i % 7, i % 7, 3) for i in range(200)]
    state, handle = state_of(rows, max_nr_regions=50)
    merge_regions(handle)
    assert len(rows_of(state)) <= 50
    assert {r[4] for r in rows_of(state)} == {4}


def test_up_to_7_2_ages_are_counted_in_every_pass() -> None:
    # No two neighbours are within the threshold of 1, nor within 2 and 4; within 8 all are.
    rows = [(i * 10, i * 10 + 10, 10 + 5 * (i % 2), 10 + 5 * (i % 2), 3) for i in range(20)]
    state, handle = state_of(rows, max_nr_regions=5, kernel="7.1")
    merge_regions(handle)
    assert [r[4] for r in rows_of(state)] == [7]


def test_merging_keeps_to_the_size_limit_even_above_the_maximum() -> None:
    state, handle = state_of([(i * 10, i * 10 + 10) for i in range(100)], limit=15, max_nr_regions=10)
    merge_regions(handle)
    assert len(rows_of(state)) == 100


@pytest.mark.parametrize(
    ("size", "cuts"),
    # thousands of draws of k in 1..9: pieces of floor(k size / 10), none of size 0, none of the whole
    [(10, range(1, 10)), (3, {1, 2}), (2, set())],
)
def test_cut_points(size: int, cuts) -> None:
    state, handle = state_of([(i * 20, i * 20 + size) for i in range(400)], max_nr_regions=100_000)
    state.n[LAST_NR_REGIONS] = -1
    split_regions(handle)
    left = {e - s for s, e in bounds(state) if s % 20 == 0 and e - s < size}
    assert left == set(cuts)


def test_split_copies_what_is_known_and_starts_counters_anew() -> None:
    state, handle = state_of([(0, 100, 42, 15, 10)])
    reset_aggregated(handle)
    split_regions(handle)
    for _, _, nr, last, age in rows_of(state):
        assert (nr, last, age) == (0, 42, 10)
    assert len(rows_of(state)) == 2


def test_three_pieces_when_the_number_of_regions_stays_the_same() -> None:
    state, handle = state_of([(i * 1000, i * 1000 + 900) for i in range(50)], max_nr_regions=1000)
    state.n[LAST_NR_REGIONS] = 50
    split_regions(handle)
    assert len(rows_of(state)) == 150
    state.n[NR_REGIONS] = 150
    split_regions(handle)
    assert len(rows_of(state)) == 300  # 150 are not 50: two pieces each


def test_above_half_of_the_maximum_only_some_regions_are_cut_in_turns() -> None:
    state, handle = state_of([(i * 100, i * 100 + 100) for i in range(760)], max_nr_regions=1500)
    split_regions(handle)
    assert len(rows_of(state)) == 1140
    first = {s // 100 for s, e in bounds(state) if e - s < 100}
    assert first == set(range(0, 760, 2))


@pytest.mark.parametrize(("count", "step"), [(501, 2), (600, 2), (750, 4), (900, 10), (999, 1000)])
def test_step_of_partial_splitting(count: int, step: int) -> None:
    state, handle = state_of([(i * 100, i * 100 + 100) for i in range(count)], max_nr_regions=1000)
    split_regions(handle)
    assert len(rows_of(state)) == count + -(-count // step)


def test_up_to_7_2_nothing_is_cut_above_half_of_the_maximum_nor_remembered() -> None:
    state, handle = state_of([(i * 100, i * 100 + 100) for i in range(760)], max_nr_regions=1500, kernel="7.1")
    state.n[LAST_NR_REGIONS] = 7
    split_regions(handle)
    assert (len(rows_of(state)), state.n[LAST_NR_REGIONS]) == (760, 7)


@pytest.mark.parametrize(
    ("sizes", "minimum", "pieces"),
    [
        # 128 MiB, 2 GiB and 132 KiB
        ((32768, 524288, 33), 10, (1, 9, 1)),
        ((30,), 3, (3,)),
        ((31,), 3, (3,)),
    ],
)
def test_up_to_7_0_ranges_are_cut_evenly_at_the_start(sizes, minimum: int, pieces) -> None:
    edges = [i * 10**6 for i in range(len(sizes))]
    rows = [(s, s + size) for s, size in zip(edges, sizes, strict=True)]
    state, handle = state_of(rows, min_nr_regions=minimum, kernel="7.0")
    split_evenly(handle)
    found = bounds(state)
    for start, size, count in zip(edges, sizes, pieces, strict=True):
        inside = [(s, e) for s, e in found if start <= s < start + size]
        widths = [e - s for s, e in inside]
        assert widths[:-1] == [size // count] * (count - 1) and sum(widths) == size
    apply_min_nr_regions(handle)
    assert bounds(state) == found
    assert state.n[SIZE_LIMIT] == sum(sizes) // minimum


def test_no_split_at_the_maximum() -> None:
    state, handle = state_of([(i * 100, i * 100 + 100) for i in range(100)], max_nr_regions=100)
    split_regions(handle)
    assert len(rows_of(state)) == 100


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=60),
    counts=st.lists(st.integers(0, 20), min_size=60, max_size=60),
    limit=st.integers(1, 2000),
    seed=st.integers(0, 2**32),
)
def test_merge_and_split_keep_the_pages(sizes: list[int], counts: list[int], limit: int, seed: int) -> None:
    edges = list(itertools.accumulate(sizes, initial=7))
    rows = [(s, e, c, c) for s, e, c in zip(edges, edges[1:], counts, strict=False)]
    state, handle = state_of(rows, limit=limit, seed=seed)
    heat = sum((e - s) * c for s, e, c, _ in rows)
    for _ in range(3):
        merge_regions(handle)
        after = rows_of(state)
        assert [r[0] for r in after[1:]] == [r[1] for r in after[:-1]]
        assert (after[0][0], after[-1][1]) == (7, edges[-1])
        assert sum((e - s) * n for s, e, n, *_ in after) <= heat  # averages are truncated
        reset_aggregated(handle)
        split_regions(handle)
        after = rows_of(state)
        assert [r[0] for r in after[1:]] == [r[1] for r in after[:-1]]
        assert all(e > s for s, e, *_ in after)
        heat = 0


EIGHT = [(10, 20), (20, 30), (50, 55), (55, 57), (57, 59), (70, 80), (80, 90), (90, 100)]


@pytest.mark.parametrize(
    ("before", "ranges", "expected"),
    [
        (EIGHT, [(5, 27), (45, 55), (73, 104)],
         [(5, 20), (20, 27), (45, 55), (73, 80), (80, 90), (90, 104)]),
        (EIGHT, [(5, 27), (56, 57), (65, 104)],
         [(5, 20), (20, 27), (56, 57), (65, 80), (80, 90), (90, 104)]),
        (EIGHT, [(5, 27), (61, 63), (65, 104)],
         [(5, 20), (20, 27), (61, 63), (65, 80), (80, 90), (90, 104)]),
        (EIGHT, [(5, 7), (30, 32), (65, 68)],
         [(5, 7), (30, 32), (65, 68)]),
        ([], [(5, 15), (15, 25)], [(5, 15), (15, 25)]),
        ([(4, 16), (24, 32)], [(18, 23)], [(18, 23)]),
        ([(4, 16), (24, 32)], [(8, 28)], [(8, 16), (16, 24), (24, 28)]),
        ([(0, 4), (4, 17)], [(0, 15), (25, 40)], [(0, 4), (4, 15), (25, 40)]),
        ([(0, 4), (42, 52)], [(0, 15), (25, 40), (44, 50)], [(0, 15), (25, 40), (44, 50)]),
    ],
)  # fmt: skip
def test_fitting_regions_to_ranges(before, ranges, expected) -> None:
    state, handle = state_of(before)
    set_regions(handle, np.array([r[0] for r in ranges]), np.array([r[1] for r in ranges]))
    assert bounds(state) == expected


def test_fitting_keeps_counters_of_what_stays_and_clears_what_is_new() -> None:
    state, handle = state_of([(4, 16, 3, 2, 9), (24, 32, 5, 5, 1)])
    set_regions(handle, np.array([8]), np.array([28]))
    assert rows_of(state) == [(8, 16, 3, 2, 9), (16, 24, 0, 0, 0), (24, 28, 5, 5, 1)]


@pytest.mark.parametrize(
    ("size", "minimum", "limit", "count"), [(10, 10, 1, 10), (10, 15, 1, 10), (10, 3, 4, 3), (12, 3, 4, 3)]
)
def test_minimal_number_of_regions(size: int, minimum: int, limit: int, count: int) -> None:
    state, handle = state_of([(0, size, 7, 6, 5)], min_nr_regions=minimum)
    apply_min_nr_regions(handle)
    assert state.n[SIZE_LIMIT] == limit
    assert len(rows_of(state)) == count
    assert {r[2:] for r in rows_of(state)} == {(7, 6, 5)}


@pytest.mark.parametrize(("sample_us", "aggr_us", "expected"), [(0, 5000, 5000), (0, 0, 1), (30_000, 100_000, 3)])
def test_samples_per_aggregation(sample_us: int, aggr_us: int, expected: int) -> None:
    state, handle = state_of([(0, 10)])
    state.n[SAMPLE_US], state.n[AGGR_US] = sample_us, aggr_us
    assert samples_per_aggregation(handle) == expected


@pytest.mark.parametrize(
    ("nr", "last", "left_bp", "expected"),
    [(0, 49, 10000, 49), (3, 10, 7000, 10), (3, 10, 5000, 8), (32, 100, 1000, 42), (42, 49, 0, 42)],
)
def test_moving_rate(nr: int, last: int, left_bp: int, expected: int) -> None:
    assert moving_sum(nr, last, left_bp) == expected
