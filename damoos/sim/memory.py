"""Where the workload's pages are: in memory, in swap, or not yet touched; kept in extents.

An extent is a run of pages of one area with counts of swapped and untouched pages; which of its pages those are is not
known and need not be, since within an extent pages are exchangeable. So cost follows the number of extents, not the
size of memory. Cutting an extent splits its counts hypergeometrically, which keeps the law exact.
"""

from __future__ import annotations

from .jit import kernel
from .rng import WORKLOAD, binomial, hypergeometric
from .state import (
    HARD_OUT,
    MAJOR_FAULTS,
    NR_EXTENTS,
    SWAP_IN,
    SWAP_OUT,
    SWAPPED,
    UNTOUCHED,
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
    st.n[NR_EXTENTS] = count + 1
    total, left = end - start, page - start
    swapped = hypergeometric(st.rng, WORKLOAD, st.ext_swapped[i], total, left)
    # The untouched pages lie among those that are not swapped.
    untouched = hypergeometric(st.rng, WORKLOAD, st.ext_untouched[i], total - st.ext_swapped[i], left - swapped)
    st.ext_start[i + 1], st.ext_end[i + 1], st.ext_area[i + 1] = page, end, st.ext_area[i]
    st.ext_swapped[i + 1] = st.ext_swapped[i] - swapped
    st.ext_untouched[i + 1] = st.ext_untouched[i] - untouched
    st.ext_end[i], st.ext_swapped[i], st.ext_untouched[i] = page, swapped, untouched


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
            ):
                st.ext_end[out] = st.ext_end[i]
                st.ext_swapped[out] = sa + sb
                st.ext_untouched[out] = ua + ub
                joined = True
        if not joined:
            out += 1
            st.ext_start[out], st.ext_end[out], st.ext_area[out] = st.ext_start[i], st.ext_end[i], st.ext_area[i]
            st.ext_swapped[out], st.ext_untouched[out] = st.ext_swapped[i], st.ext_untouched[i]
    st.n[NR_EXTENTS] = out + 1


@kernel
def evict(st, start, end):
    """Pages out what is in memory of pages [start, end); returns how many pages that were. `coalesce` afterwards."""
    i = first_extent(st, start)
    total = 0
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_end[i] - st.ext_start[i] > st.ext_swapped[i] + st.ext_untouched[i]:
            i = isolate(st, i, start, end)
            resident = st.ext_end[i] - st.ext_start[i] - st.ext_swapped[i] - st.ext_untouched[i]
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
def fault_at_random(st, area, share):
    """Each absent page of the area is touched with probability `share`; returns (swap-ins, first touches)."""
    swapped = untouched = 0
    i = first_extent(st, st.area_start[area])
    while i < st.n[NR_EXTENTS] and st.ext_area[i] == area:
        if st.ext_swapped[i] + st.ext_untouched[i] > 0:
            s = binomial(st.rng, WORKLOAD, st.ext_swapped[i], share)
            u = binomial(st.rng, WORKLOAD, st.ext_untouched[i], share)
            bring_in(st, i, s, u)
            swapped += s
            untouched += u
        i += 1
    st.n[MAJOR_FAULTS] += swapped
    if st.area_swapped[area] + st.area_untouched[area] == 0:
        coalesce(st, False)
    return swapped, untouched
