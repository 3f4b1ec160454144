"""Faults of the workload: which pages have to come in, what that costs, and how it slows a stretch of time."""

from __future__ import annotations

import math

from .jit import kernel
from .memory import block_end, bring_in, coalesce, faults_huge, first_extent, isolate, make_huge
from .state import (
    BLOCK,
    C_FAULT,
    C_FAULT_HARD,
    C_HUGE_FAULT,
    C_MINOR,
    C_READAHEAD,
    MAJOR_FAULTS,
    NR_EXTENTS,
    PHASE,
    X_ADVICE,
)
from .visible import touched_share

FAULT_SHARE = 0.03
"""Faults that take a greater share of a window make it be followed sampling interval by sampling interval."""
_TRICKLE = 0.2
"""Up to that many accesses per page in a window its absent pages hardly become fewer."""


@kernel
def fault_us(st, area):
    """What a swap-in of a page of the area stalls the workload."""
    return st.c[C_FAULT_HARD] if st.area_hard[area] == 1 else st.c[C_FAULT]


@kernel
def first_touch_us(st, area):
    """What the first touch of a page of the area costs, of a huge page its share."""
    if st.area_more.shape[1] == 0 or st.area_more[area, X_ADVICE] == 0:
        return st.c[C_MINOR]
    share = st.area_more[area, X_ADVICE] / (st.area_end[area] - st.area_start[area])
    return st.c[C_MINOR] + share * (st.c[C_HUGE_FAULT] / BLOCK - st.c[C_MINOR])


@kernel
def absent_pages(st, q):
    # Pages of pattern q's area that it would have to fault in: (swapped, untouched). A stride above a page leaves
    # out pages, always the same ones.
    a = st.pattern_area[q]
    swapped, untouched = st.area_swapped[a], st.area_untouched[a]
    if st.pattern_random[q] == 0 and st.pattern_step[q] > 1.0 and swapped + untouched > 0:
        pages = st.area_end[a] - st.area_start[a]
        skipped = pages - math.ceil(pages / st.pattern_step[q])
        left = max(0, swapped + untouched - skipped)
        share = left / (swapped + untouched)
        return swapped * share, untouched * share
    return float(swapped), float(untouched)


@kernel
def to_come(st, q):
    # Whether pages of pattern q's area are absent that it touches.
    a = st.pattern_area[q]
    if st.area_swapped[a] + st.area_untouched[a] == 0:
        return False
    swapped, untouched = absent_pages(st, q)
    return swapped + untouched > 0.5


@kernel
def any_to_come(st, ph):
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        if to_come(st, q):
            return True
    return False


@kernel
def fault_time(st, accesses):
    # Expected time of the faults in the current phase's next `accesses`, µs.
    ph = st.n[PHASE]
    total = 0.0
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        swapped, untouched = absent_pages(st, q)
        if swapped + untouched <= 0.0:
            continue
        a = st.pattern_area[q]
        pages = st.area_end[a] - st.area_start[a]
        m = accesses * st.pattern_weight[q]
        if st.pattern_random[q] == 1:
            share = touched_share(m / pages)
            total += share * (swapped * fault_us(st, a) + untouched * first_touch_us(st, a))
        else:
            share = min(1.0, m * min(st.pattern_step[q], 1.0) / pages)
            total += share * (swapped * fault_us(st, a) / st.c[C_READAHEAD] + untouched * first_touch_us(st, a))
    return total


@kernel
def slowed_by_faults(st, accesses, cpu_us):
    # How many accesses fit into cpu_us, of which `accesses` would fit without faults. Their time plus that of their
    # faults is concave and growing in the accesses; the root is found by regula falsi (Illinois). Returns the number
    # and the time of the faults that all of `accesses` would take.
    lo, hi = 0.0, accesses
    below, above = -cpu_us, fault_time(st, accesses)
    made = accesses
    full = above
    if above <= 1e-3 * cpu_us:
        return made, full
    # The first step is good enough if the faults are few: its error is at most faults squared over all time.
    if above * above <= 2e-3 * cpu_us * (above + cpu_us):
        return accesses * cpu_us / (above + cpu_us), full
    for _ in range(12):
        made = lo - below * (hi - lo) / (above - below)
        gap = made / accesses * cpu_us + fault_time(st, made) - cpu_us
        if abs(gap) <= 2e-3 * cpu_us:
            break
        if gap < 0.0:
            lo, below = made, gap
            above *= 0.5
        else:
            hi, above = made, gap
            below *= 0.5
    return made, full


@kernel
def even_share(st, faults, made, cpu_us):
    # How much of a window is even in spite of faults, 1: all of it. They make it uneven when they take much of it and
    # the absent pages of an area become clearly fewer in it, or a sweep has stretches with and without them; a trickle
    # of random faults slows it evenly. `faults`: µs they would take without slowing anything; `made`: accesses.
    if faults <= FAULT_SHARE * cpu_us:
        return 1.0
    share = 1.0
    ph = st.n[PHASE]
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        a = st.pattern_area[q]
        swapped, untouched = absent_pages(st, q)
        waiting = swapped * fault_us(st, a) + untouched * first_touch_us(st, a)
        if waiting > 0.3 * FAULT_SHARE * cpu_us:
            if st.pattern_random[q] == 0:
                return 0.0
            pages = st.area_end[a] - st.area_start[a]
            share = min(share, _TRICKLE * pages / (made * st.pattern_weight[q]))
    return share


@kernel
def touchable_pages(st, q, i):
    # Absent pages of extent i that a sweep of pattern q touches, (swapped, untouched): all but those a stride skips.
    swapped, untouched = st.ext_swapped[i], st.ext_untouched[i]
    step = st.pattern_step[q]
    if step > 1.0 and swapped + untouched > 0:
        size = st.ext_end[i] - st.ext_start[i]
        skipped = size - int(math.ceil(size / step))
        taken = max(0, swapped + untouched - skipped)
        share = swapped / (swapped + untouched)
        swapped = int(taken * share + 0.5)
        untouched = st.ext_untouched[i] if faults_huge(st, i) else taken - swapped
    return swapped, untouched


@kernel
def isolate_stretch(st, i, start, end):
    """`isolate`, up to the end of the last huge page that a sweep up to `end` would touch first."""
    if faults_huge(st, i):
        end = block_end(st, i, end)
    return isolate(st, i, start, end)


@kernel
def touch_extent(st, q, i):
    swapped, untouched = touchable_pages(st, q, i)
    bring_in(st, i, swapped, untouched)
    if faults_huge(st, i):
        make_huge(st, i, untouched // BLOCK * BLOCK)
    st.n[MAJOR_FAULTS] += int(math.ceil(swapped / st.c[C_READAHEAD]))


@kernel
def _fault_stretch(st, q, start, end):
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_swapped[i] + st.ext_untouched[i] > 0:
            i = isolate_stretch(st, i, start, end)
            touch_extent(st, q, i)
        i += 1


@kernel
def fault_in_sweep(st, q, covered):
    # The sweep of pattern q passes `covered` pages from its position, wrapping; absent pages there come in.
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    left = covered
    at = st.area_at[a]
    while left > 0.5 and to_come(st, q):
        stop = min(float(pages), at + left)
        _fault_stretch(st, q, st.area_start[a] + int(at), st.area_start[a] + int(math.ceil(stop)))
        left -= stop - at
        at = 0.0
    if st.area_swapped[a] + st.area_untouched[a] == 0:
        coalesce(st, False)
