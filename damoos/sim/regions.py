"""Adaptive regions adjustment: merging, ageing and splitting, and fitting regions to address ranges.

Restates mm/damon/core.c of Linux 7.3: damon_merge_regions_of(), kdamond_merge_regions(), damon_split_regions_of(),
kdamond_split_regions(), damon_set_regions(), damon_nr_accesses_to_accesses_bp() and friends. Sizes are pages, since
every region is a multiple of the minimum region size, 4 KiB. Where older kernels differ is selected by `n[KERNEL]`.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .rng import GOLDEN, SPLIT, mixed
from .state import (
    AGGR_US,
    CHECK_MIN,
    CORE_PAGE,
    CUR,
    KERNEL,
    LAST_NR_REGIONS,
    MAX_NR_ACCESSES,
    MAX_REGIONS,
    MIN_REGIONS,
    NEXT_AGGR,
    NR_REGIONS,
    PASSED,
    SAMPLE_US,
    SIZE_LIMIT,
    SPLIT_ROTATION,
    TOTAL_PAGES,
    V6_18,
    V7_1,
    V7_3,
)
from .targets import T_GIVEN, target_of

_PAGE = 4096
_WHOLE_32 = 1 << 32
_ONE, _NINE, _TEN, _S32 = np.uint64(1), np.uint64(9), np.uint64(10), np.uint64(32)


@kernel
def samples_per_aggregation(st):
    return max(1, st.n[AGGR_US] // max(1, st.n[SAMPLE_US]))


@kernel
def copy_region(st, frm, i, to, j):
    st.start[to, j], st.end[to, j] = st.start[frm, i], st.end[frm, i]
    st.nr_accesses[to, j], st.last_nr_accesses[to, j] = st.nr_accesses[frm, i], st.last_nr_accesses[frm, i]
    st.age[to, j] = st.age[frm, i]


@kernel
def merge_pass(st, threshold, limit, ageing):
    """One pass over all regions: ages are counted (if `ageing`), then alike neighbours are joined up to `limit` pages.

    The left region of a pair is the running average of what was joined before it; averages are by size, truncated.
    Kernel: damon_merge_regions_of(), damon_merge_two_regions().
    """
    cur, count = st.n[CUR], st.n[NR_REGIONS]
    if count == 0:
        return
    start, end, nr, last, age = (
        st.start[cur],
        st.end[cur],
        st.nr_accesses[cur],
        st.last_nr_accesses[cur],
        st.age[cur],
    )
    if ageing:
        # Up to 6.12 a change between none and a few accesses was none.
        resets = st.n[KERNEL] >= V6_18
        for i in range(count):
            same = abs(nr[i] - last[i]) <= threshold and (not resets or (nr[i] == 0) == (last[i] == 0))
            age[i] = age[i] + 1 if same else 0
    # The region that grows is kept in registers and written down each time. Whether neighbours are alike is as good as
    # random, so there is no jump that depends on it: `alike` is -1, all bits, or 0.
    s, e, n, before, g = start[0], end[0], np.int64(nr[0]), np.int64(last[0]), np.int64(age[0])
    out = 0
    for i in range(1, count):
        s_i, e_i, n_i, before_i, g_i = start[i], end[i], np.int64(nr[i]), np.int64(last[i]), np.int64(age[i])
        start[out], end[out], nr[out], last[out], age[out] = s, e, n, before, g
        left, whole = e - s, e_i - s
        apart, aged = abs(n - n_i), abs(g - g_i)
        alike = -np.int64((apart <= threshold) & (whole <= limit) & (e == s_i))
        n_new, g_new = _mean_of_near(n, left, n_i, whole), _mean_of_near(g, left, g_i, whole)
        if max(apart, aged) - ((1 + alike) << 40) > 3:
            n_new, g_new = _mean(n, left, n_i, whole), _mean(g, left, g_i, whole)
        out += 1 + alike
        s, n = s_i + ((s - s_i) & alike), n_i + ((n_new - n_i) & alike)
        before, g = before_i + ((before - before_i) & alike), g_i + ((g_new - g_i) & alike)
        e = e_i
    start[out], end[out], nr[out], last[out], age[out] = s, e, n, before, g
    st.n[NR_REGIONS] = out + 1


@kernel
def _mean(left, left_size, right, whole):
    # Averages by size of what is not negative, truncated; `whole`: both sizes. Unsigned division is quicker than
    # Python's, which rounds down.
    return np.int64(np.uint64(left * left_size + right * (whole - left_size)) // np.uint64(whole))


@kernel
def _mean_of_near(left, left_size, right, whole):
    # `_mean` of values that differ by at most 3, without a division: the lesser of them, and what the greater one's
    # share of their difference comes to.
    more = abs(left - right) * (left_size if left > right else whole - left_size)
    return min(left, right) + (more >= whole) + (more >= 2 * whole)


@kernel
def merge_regions(st):
    """Ages and merges; again with doubled thresholds while there are more than the maximal number of regions.

    Kernel: kdamond_merge_regions() of 7.3: the last threshold is the number of samples of an aggregation, and ages are
    counted in the first pass only; up to 7.2 it could be greater, and ages were counted in each pass.
    """
    newest = st.n[KERNEL] >= V7_3
    threshold = st.n[MAX_NR_ACCESSES] // 10
    most = samples_per_aggregation(st)
    limit = st.n[SIZE_LIMIT]
    merge_pass(st, threshold, limit, True)
    while st.n[NR_REGIONS] > st.n[MAX_REGIONS] and threshold < most:
        threshold = next_threshold(threshold, most) if newest else max(1, 2 * threshold)
        merge_pass(st, threshold, limit, not newest)


@kernel
def next_threshold(threshold, most):
    """The threshold of the next merge pass: doubled, at least 1, and `most` from half of that on."""
    return max(1, 2 * threshold) if threshold < most // 2 else most


@kernel
def apply_min_nr_regions(st):
    """Cuts regions so that there can be no fewer than the minimal number; sets the size limit of merging.

    Kernel: damon_apply_min_nr_regions(), 7.1 and later; older ones only limited merging, to whole pages below.
    """
    least = st.n[CORE_PAGE]
    size = max(st.n[TOTAL_PAGES] * least // max(1, st.n[MIN_REGIONS]), least)
    if st.n[KERNEL] < V7_1:
        st.n[SIZE_LIMIT] = size // least
        return
    limit = -(-size // least)
    # Merging keeps to the limit and splitting shortens, so only ranges or attributes that changed can break it.
    if limit == st.n[SIZE_LIMIT] and st.n[CHECK_MIN] == 0:
        return
    st.n[SIZE_LIMIT], st.n[CHECK_MIN] = limit, 0
    cur, count = st.n[CUR], st.n[NR_REGIONS]
    longest = 0
    for i in range(count):
        longest = max(longest, st.end[cur, i] - st.start[cur, i])
    if longest <= limit:
        return
    to, out = 1 - cur, 0
    for i in range(count):
        copy_region(st, cur, i, to, out)
        while st.end[to, out] - st.start[to, out] > limit and out + 1 < st.start.shape[1]:
            cut_copy(st, to, out, st.start[to, out] + limit)
            out += 1
        out += 1
    st.n[CUR], st.n[NR_REGIONS] = to, out


@kernel
def split_evenly(st):
    """Cuts the ranges that were derived from a target's mappings into pieces of about the size that the minimal number
    of regions gives, by the size of that target. Regions that were given stay whole.

    Kernel: damon_va_evenly_split_region() by __damon_va_init_regions(), up to 7.0.
    """
    cur, count = st.n[CUR], st.n[NR_REGIONS]
    to, out, size = 1 - cur, 0, 0
    for i in range(count):
        t = target_of(st, st.start[cur, i])
        if i == 0 or t != target_of(st, st.start[cur, i - 1]):
            total = 0
            for j in range(i, count):
                if target_of(st, st.start[cur, j]) == t:
                    total += st.end[cur, j] - st.start[cur, j]
            size = max(total * _PAGE // max(1, st.n[MIN_REGIONS]), _PAGE)
        copy_region(st, cur, i, to, out)
        pages = st.end[cur, i] - st.start[cur, i]
        if st.target[t, T_GIVEN] == 1:
            out += 1
            continue
        pieces = pages * _PAGE // size
        for _ in range(1, pieces):
            cut_copy(st, to, out, st.start[to, out] + pages // pieces)
            out += 1
        out += 1
    st.n[CUR], st.n[NR_REGIONS] = to, out


@kernel
def cut_copy(st, buf, i, page):
    """Region `i` ends at `page`, region `i + 1` (overwritten) is the rest of it; counters and age are copied."""
    copy_region(st, buf, i, buf, i + 1)
    st.start[buf, i + 1] = page
    st.end[buf, i] = page


@kernel
def split_regions(st):
    """Cuts regions at random points, so that differences inside them can be found.

    Kernel: kdamond_split_regions() of 7.3: nothing at the maximum; every k-th region, in turns, above half of it; else
    each region into two, or three if the number of regions stays the same below a third of the maximum. Up to 7.2
    nothing above half of the maximum, and such numbers were not remembered.
    """
    cur, count, most = st.n[CUR], st.n[NR_REGIONS], st.n[MAX_REGIONS]
    if count < most:
        to = 1 - cur
        if count > most // 2:
            if st.n[KERNEL] < V7_3:
                return
            _split(st, cur, to, 2, 2, most // (most - count))
        else:
            pieces = 3 if count == st.n[LAST_NR_REGIONS] and count < most // 3 else 2
            _split(st, cur, to, pieces, 3, 1)
    st.n[LAST_NR_REGIONS] = count


@kernel
def _end_of_left(z, start, end):
    # The first page of the right piece if random number `z` cuts pages [start, end): at 10 % to 90 % in whole pages;
    # `end`: no cut.
    tenths = _ONE + ((mixed(z) >> _S32) * _NINE >> _S32)
    cut = np.int64(tenths * np.uint64(end - start) // _TEN)
    return start + cut if cut > 0 else end


@kernel
def _split(st, cur, to, pieces, least, step):
    # Cuts every step-th region of at least `least` pages, in turns, into `pieces`, 2 or 3.
    start, end, last, age = st.start[cur], st.end[cur], st.last_nr_accesses[cur], st.age[cur]
    start2, end2, nr2, last2, age2 = (
        st.start[to],
        st.end[to],
        st.nr_accesses[to],
        st.last_nr_accesses[to],
        st.age[to],
    )
    turn = 0
    if step > 1:
        turn = st.n[SPLIT_ROTATION] % step
        st.n[SPLIT_ROTATION] += 1
    z = st.rng[SPLIT]
    out = 0
    for i in range(st.n[NR_REGIONS]):
        s, e, last_i, age_i = start[i], end[i], last[i], age[i]
        second = third = e
        if i == turn:
            turn += step
            if e - s >= least:
                z += GOLDEN
                second = third = _end_of_left(z, s, e)
            if pieces == 3 and third - s >= least:
                # With three pieces the left one is cut again.
                z += GOLDEN
                second = _end_of_left(z, s, third)
        # Pieces that are empty are overwritten by the next; counters have just been reset.
        start2[out], end2[out], nr2[out], last2[out], age2[out] = s, second, 0, last_i, age_i
        out += 1
        if pieces == 3:
            start2[out], end2[out], nr2[out], last2[out], age2[out] = second, third, 0, last_i, age_i
            out += second < third
        start2[out], end2[out], nr2[out], last2[out], age2[out] = third, e, 0, last_i, age_i
        out += third < e
    st.rng[SPLIT] = z
    st.n[CUR], st.n[NR_REGIONS] = to, out


@kernel
def reset_aggregated(st):
    """Starts a new window: counters become the last ones. Kernel: kdamond_reset_aggregated()."""
    cur = st.n[CUR]
    nr, last = st.nr_accesses[cur], st.last_nr_accesses[cur]
    for i in range(st.n[NR_REGIONS]):
        last[i] = nr[i]
        nr[i] = 0


@kernel
def left_of_window_bp(st):
    """How much of the running aggregation is still to come, basis points."""
    return max(st.n[NEXT_AGGR] - st.n[PASSED], 0) * 10000 // samples_per_aggregation(st)


@kernel
def moving_sum(nr_accesses, last_nr_accesses, left_bp):
    """nr_accesses as schemes see it: the running window filled up with the last one.

    Kernel: damon_nr_accesses_mvsum() of 7.3 (no stored field).
    """
    if left_bp == 0:
        return nr_accesses
    if left_bp == 10000:
        return last_nr_accesses
    return nr_accesses + last_nr_accesses * left_bp // 10000


@kernel
def set_regions(st, starts, ends):
    """Fits the regions to sorted ranges [starts, ends): drops those outside, moves the outermost, fills holes.

    Kernel: damon_set_regions() by damon_va_update().
    """
    cur, count = st.n[CUR], st.n[NR_REGIONS]
    to, out, i = 1 - cur, 0, 0
    for r in range(starts.size):
        lo, hi = starts[r], ends[r]
        while i < count and st.end[cur, i] <= lo:
            i += 1
        first = out
        while i < count and st.start[cur, i] < hi:
            if out > first and st.start[cur, i] > st.end[to, out - 1]:
                new_region(st, to, out, st.end[to, out - 1], st.start[cur, i])
                out += 1
            copy_region(st, cur, i, to, out)
            out += 1
            # A region that reaches into the next range too is gone for it: its end moves to this range's.
            i += 1
        if out == first:
            new_region(st, to, out, lo, hi)
            out += 1
        else:
            st.start[to, first] = lo
            st.end[to, out - 1] = hi
    st.n[CUR], st.n[NR_REGIONS] = to, out
    count_pages(st)


@kernel
def count_pages(st):
    """Counts the pages of all regions after ranges changed."""
    cur, total = st.n[CUR], 0
    for i in range(st.n[NR_REGIONS]):
        total += st.end[cur, i] - st.start[cur, i]
    st.n[TOTAL_PAGES], st.n[CHECK_MIN] = total, 1


@kernel
def sampled_end(st, start, end):
    """Up to where pages of the region [start, end) are drawn for access checks.

    Kernel: damon_rand() up to 7.2 took the size modulo 2^32, and 2^32 for what is a multiple of it.
    """
    if st.n[KERNEL] >= V7_3:
        return end
    most = _WHOLE_32 // st.n[CORE_PAGE]
    if end - start <= most:
        return end
    part = (end - start) % most
    return start + (part if part > 0 else most)


@kernel
def new_region(st, buf, i, start, end):
    st.start[buf, i], st.end[buf, i] = start, end
    st.nr_accesses[buf, i] = st.last_nr_accesses[buf, i] = st.age[buf, i] = 0
