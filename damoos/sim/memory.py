"""Where the workload's pages are: in memory, in swap, or not yet touched; kept in extents.

An extent is a run of pages of one area with counts of swapped and untouched pages; which of its pages those are is not
known and need not be, since within an extent pages are exchangeable. So cost follows the number of extents, not the
size of memory. Cutting an extent splits its counts hypergeometrically, which keeps the law exact.
"""

from __future__ import annotations

import math

from .jit import kernel
from .rng import WORKLOAD, binomial, hypergeometric
from .state import (
    BLOCK,
    BLOCK_SHIFT,
    C_HUGE_FAULT,
    DEBT,
    HARD_OUT,
    HUGE,
    MAJOR_FAULTS,
    NR_EXTENTS,
    RATES_STALE,
    SWAP_IN,
    SWAP_OUT,
    SWAPPED,
    THP,
    UNTOUCHED,
    X_ADVICE,
    X_HUGE,
    X_NODE,
)

_MANY = 16


@kernel
def first_extent(st, page):
    """Index of the first extent that ends above `page`."""
    lo, hi = 0, st.n[NR_EXTENTS]
    while lo < hi:
        mid = (lo + hi) >> 1
        if st.ext_end[mid] <= page:
            lo = mid + 1
        else:
            hi = mid
    return lo


@kernel
def cut_extent(st, i, page):
    """Cuts extent `i` in two before `page` if that lies inside it; the right piece becomes extent `i + 1`."""
    start, end = st.ext_start[i], st.ext_end[i]
    if page <= start or page >= end:
        return
    count = st.n[NR_EXTENTS]
    if count + 1 >= st.ext_start.size:
        coalesce(st, True)
        return
    for k in range(count, i + 1, -1):
        st.ext_start[k] = st.ext_start[k - 1]
        st.ext_end[k] = st.ext_end[k - 1]
        st.ext_area[k] = st.ext_area[k - 1]
        st.ext_swapped[k] = st.ext_swapped[k - 1]
        st.ext_untouched[k] = st.ext_untouched[k - 1]
        for x in range(st.ext_more.shape[1]):
            st.ext_more[k, x] = st.ext_more[k - 1, x]
    st.n[NR_EXTENTS] = count + 1
    total, left = end - start, page - start
    swapped = hypergeometric(st.rng, WORKLOAD, st.ext_swapped[i], total, left)
    # The untouched pages lie among those that are not swapped.
    untouched = hypergeometric(st.rng, WORKLOAD, st.ext_untouched[i], total - st.ext_swapped[i], left - swapped)
    if st.ext_more.shape[1] > 0:
        _cut_marks(st, i, resident_pages(st, i), left - swapped - untouched)
    st.ext_start[i + 1], st.ext_end[i + 1], st.ext_area[i + 1] = page, end, st.ext_area[i]
    st.ext_swapped[i + 1] = st.ext_swapped[i] - swapped
    st.ext_untouched[i + 1] = st.ext_untouched[i] - untouched
    st.ext_end[i], st.ext_swapped[i], st.ext_untouched[i] = page, swapped, untouched


@kernel
def resident_pages(st, i):
    """Pages of extent `i` that are in memory."""
    return st.ext_end[i] - st.ext_start[i] - st.ext_swapped[i] - st.ext_untouched[i]


@kernel
def _cut_marks(st, i, resident, left):
    # Extent i becomes i and i + 1, with `left` of the `resident` pages in the first.
    for x in range(X_HUGE):
        st.ext_more[i + 1, x] = st.ext_more[i, x]
    for x in range(X_HUGE, st.ext_more.shape[1]):
        marked = st.ext_more[i, x]
        st.ext_more[i, x] = hypergeometric(st.rng, WORKLOAD, marked, resident, left)
        st.ext_more[i + 1, x] = marked - st.ext_more[i, x]


@kernel
def _marks_alike(st, i, j, tolerance):
    # Whether extents have the same advice and shares of marked pages that differ by at most `tolerance`.
    for x in range(X_HUGE):
        if st.ext_more[i, x] != st.ext_more[j, x]:
            return False
    a, b = max(1, resident_pages(st, i)), max(1, resident_pages(st, j))
    for x in range(X_HUGE, st.ext_more.shape[1]):
        # Huge and small pages stay apart, so that khugepaged finds what it may collapse; what is marked for reclaim
        # need not be known that well.
        most = 0.0 if x == X_HUGE else tolerance if x >= X_NODE else 10.0 * tolerance
        if abs(st.ext_more[i, x] / a - st.ext_more[j, x] / b) > most:
            return False
    return True


@kernel
def _drop_marks(st, i, resident):
    # The `resident` pages of extent i have left memory.
    area = st.ext_area[i]
    st.n[HUGE] -= st.ext_more[i, X_HUGE]
    near = resident
    for x in range(X_HUGE, st.ext_more.shape[1]):
        if x >= X_NODE:
            near -= st.ext_more[i, x]
            st.node_room[x - X_NODE + 1] += st.ext_more[i, x]
        st.area_more[area, x] -= st.ext_more[i, x]
        st.ext_more[i, x] = 0
    st.node_room[0] += near
    st.n[RATES_STALE] = 1


@kernel
def place(st, i, pages):
    """Finds room for `pages` that come into memory in extent `i`: on the first node that has some, else the last."""
    st.n[RATES_STALE] = 1
    last = st.node_room.size - 1
    for node in range(last + 1):
        taken = pages if node == last else min(pages, max(0, st.node_room[node]))
        st.node_room[node] -= taken
        if node > 0:
            st.ext_more[i, X_NODE + node - 1] += taken
            st.area_more[st.ext_area[i], X_NODE + node - 1] += taken
        pages -= taken


@kernel
def make_huge(st, i, pages):
    """That many more (or less) of extent `i`'s pages in memory are in huge mappings."""
    st.ext_more[i, X_HUGE] += pages
    st.area_more[st.ext_area[i], X_HUGE] += pages
    st.n[HUGE] += pages
    st.n[RATES_STALE] = 1


@kernel
def faults_huge(st, i):
    """Whether the first touch of a page of extent `i` makes a huge one."""
    if st.ext_more.shape[1] == 0:
        return False
    advice = st.ext_more[i, X_ADVICE]
    return advice == 1 if st.n[THP] == 1 else st.n[THP] == 2 and advice != 2


@kernel
def block_end(st, i, page):
    """The end of the huge page that the page before `page` would be in, within extent `i`."""
    last = (page - 1 + st.n[BLOCK_SHIFT]) // BLOCK
    return min(st.ext_end[i], (last + 1) * BLOCK - st.n[BLOCK_SHIFT])


@kernel
def isolate(st, i, start, end):
    """Cuts extent `i`, which overlaps pages [start, end), down to them; returns the index of the piece inside."""
    if st.ext_start[i] < start:
        cut_extent(st, i, start)
        if st.ext_end[i] <= start:
            i += 1
    cut_extent(st, i, end)
    return i


@kernel
def coalesce(st, force):
    """Joins neighbours of one area that are alike: all in memory, all in swap or all untouched.

    Where extents have become many also those whose shares differ by less than 2 %; with `force` every other pair.
    """
    count = st.n[NR_EXTENTS]
    if count < 2:
        return
    many = count > _MANY
    columns = st.ext_more.shape[1]
    tolerance = 0.02 if many else 0.0
    out = 0
    for i in range(1, count):
        joined = False
        if st.ext_area[i] == st.ext_area[out] and st.ext_start[i] == st.ext_end[out]:
            size_a, size_b = st.ext_end[out] - st.ext_start[out], st.ext_end[i] - st.ext_start[i]
            sa, sb, ua, ub = st.ext_swapped[out], st.ext_swapped[i], st.ext_untouched[out], st.ext_untouched[i]
            if (
                (sa + ua + sb + ub == 0)
                or (sa == size_a and sb == size_b)
                or (ua == size_a and ub == size_b)
                or (many and abs(sa * size_b - sb * size_a) + abs(ua * size_b - ub * size_a) <= size_a * size_b * 0.02)
                or (force and i % 2 == 1)
            ) and (columns == 0 or force or _marks_alike(st, out, i, tolerance)):
                st.ext_end[out] = st.ext_end[i]
                st.ext_swapped[out] = sa + sb
                st.ext_untouched[out] = ua + ub
                for x in range(X_HUGE, columns):
                    st.ext_more[out, x] += st.ext_more[i, x]
                joined = True
        if not joined:
            out += 1
            st.ext_start[out], st.ext_end[out], st.ext_area[out] = st.ext_start[i], st.ext_end[i], st.ext_area[i]
            st.ext_swapped[out], st.ext_untouched[out] = st.ext_swapped[i], st.ext_untouched[i]
            for x in range(columns):
                st.ext_more[out, x] = st.ext_more[i, x]
    st.n[NR_EXTENTS] = out + 1


@kernel
def evict(st, start, end):
    """Pages out what is in memory of pages [start, end); returns how many pages that were. `coalesce` afterwards."""
    i = first_extent(st, start)
    total = 0
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_end[i] - st.ext_start[i] > st.ext_swapped[i] + st.ext_untouched[i]:
            i = isolate(st, i, start, end)
            resident = resident_pages(st, i)
            if st.ext_more.shape[1] > 0:
                _drop_marks(st, i, resident)
            st.ext_swapped[i] += resident
            area = st.ext_area[i]
            st.area_swapped[area] += resident
            st.n[HARD_OUT] += resident * st.area_hard[area]
            total += resident
        i += 1
    if total > 0:
        st.n[SWAPPED] += total
        st.n[SWAP_OUT] += total
    return total


@kernel
def evict_some(st, i, pages, column):
    """Pages out that many of the pages in memory of extent `i`: those marked in `column` first, -1: any. Returns it."""
    resident = resident_pages(st, i)
    area = st.ext_area[i]
    near = pages
    for x in range(X_HUGE, st.ext_more.shape[1]):
        marked = st.ext_more[i, x]
        gone = min(marked, pages) if x == column else hypergeometric(st.rng, WORKLOAD, marked, resident, pages)
        # What is huge is split, and marks of what is marked otherwise can't leave more than there are.
        if x == X_HUGE:
            gone = marked
            st.n[HUGE] -= gone
        gone = max(gone, marked + pages - resident)
        if x >= X_NODE:
            near -= gone
            st.node_room[x - X_NODE + 1] += gone
        st.ext_more[i, x] -= gone
        st.area_more[area, x] -= gone
    st.node_room[0] += near
    st.n[RATES_STALE] = 1
    st.ext_swapped[i] += pages
    st.area_swapped[area] += pages
    st.n[SWAPPED] += pages
    st.n[SWAP_OUT] += pages
    st.n[HARD_OUT] += pages * st.area_hard[area]
    return pages


@kernel
def bring_in(st, i, swapped, untouched):
    """Makes that many pages of extent `i` resident: swapped ones and never touched ones."""
    a = st.ext_area[i]
    st.ext_swapped[i] -= swapped
    st.area_swapped[a] -= swapped
    st.n[SWAPPED] -= swapped
    st.n[SWAP_IN] += swapped
    st.ext_untouched[i] -= untouched
    st.area_untouched[a] -= untouched
    st.n[UNTOUCHED] -= untouched
    if st.node_room.size > 1:
        place(st, i, swapped + untouched)


@kernel
def prefetch(st, start, end):
    """Brings in what is in swap of pages [start, end) without a fault; returns how many pages."""
    i = first_extent(st, start)
    total = 0
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_swapped[i] > 0:
            i = isolate(st, i, start, end)
            total += st.ext_swapped[i]
            bring_in(st, i, st.ext_swapped[i], 0)
        i += 1
    if total > 0:
        coalesce(st, False)
    return total


@kernel
def release(st, first, end):
    """Frees all pages of the areas `first` to `end`, in memory and in swap, since their process has ended."""
    for i in range(st.n[NR_EXTENTS]):
        a = st.ext_area[i]
        if first <= a < end:
            if st.ext_more.shape[1] > 0:
                _drop_marks(st, i, resident_pages(st, i))
            swapped, size = st.ext_swapped[i], st.ext_end[i] - st.ext_start[i]
            st.n[SWAPPED] -= swapped
            st.n[HARD_OUT] -= swapped * st.area_hard[a]
            st.area_swapped[a] -= swapped
            st.n[UNTOUCHED] += size - st.ext_untouched[i]
            st.area_untouched[a] += size - st.ext_untouched[i]
            st.ext_swapped[i], st.ext_untouched[i] = 0, size
    for a in range(first, end):
        st.hit_p[a] = st.sweep_pages[a] = 0.0
        st.hit_n[a] = 0
    coalesce(st, False)


@kernel
def fault_at_random(st, area, share):
    """Each absent page of the area is touched with probability `share`; returns (swap-ins, first touches)."""
    swapped = untouched = 0
    i = first_extent(st, st.area_start[area])
    while i < st.n[NR_EXTENTS] and st.ext_area[i] == area:
        if st.ext_swapped[i] + st.ext_untouched[i] > 0:
            s = binomial(st.rng, WORKLOAD, st.ext_swapped[i], share)
            if faults_huge(st, i):
                u = _touch_blocks(st, i, share)
            else:
                u = binomial(st.rng, WORKLOAD, st.ext_untouched[i], share)
            bring_in(st, i, s, u)
            swapped += s
            untouched += u
        i += 1
    st.n[MAJOR_FAULTS] += swapped
    if st.area_swapped[area] + st.area_untouched[area] == 0:
        coalesce(st, False)
    return swapped, untouched


@kernel
def _touch_blocks(st, i, share):
    # How many never touched pages of extent i come in when each is touched with probability `share` and brings in all
    # of its huge page; the caller has been charged for those touched only, the others are added to the workload's debt.
    blocks = st.ext_untouched[i] // BLOCK
    whole = binomial(st.rng, WORKLOAD, blocks, 1.0 - math.exp(BLOCK * math.log1p(-min(share, 0.999999)))) * BLOCK
    make_huge(st, i, whole)
    st.f[DEBT] += max(0.0, whole - share * blocks * BLOCK) * st.c[C_HUGE_FAULT] / BLOCK
    return whole + binomial(st.rng, WORKLOAD, st.ext_untouched[i] - blocks * BLOCK, share)
