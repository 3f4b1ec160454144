"""Transparent huge pages: advice, collapsing small pages into huge ones, and splitting huge ones.

Restates what madvise(MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE) and khugepaged do to anonymous memory:
mm/madvise.c, mm/khugepaged.c of Linux 7.3. A huge page covers 2 MiB of one area; blocks that two areas share stay
small.
"""

from __future__ import annotations

from .jit import kernel
from .memory import bring_in, faults_huge, first_extent, isolate, make_huge, resident_pages
from .phases import phase_of
from .rng import WORKLOAD, binomial
from .state import (
    BLOCK,
    BLOCK_SHIFT,
    NR_EXTENTS,
    X_ADVICE,
    X_HUGE,
)

_MOST_SWAPPED = BLOCK // 8
"""khugepaged leaves alone what has more pages in swap (its max_ptes_swap)."""


@kernel
def block_floor(st, page):
    return (page + st.n[BLOCK_SHIFT]) // BLOCK * BLOCK - st.n[BLOCK_SHIFT]


@kernel
def block_ceil(st, page):
    return -((-page - st.n[BLOCK_SHIFT]) // BLOCK) * BLOCK - st.n[BLOCK_SHIFT]


@kernel
def split_at(st, page):
    """Splits the huge mapping that `page` lies inside of: a range that something is done to begins or ends there."""
    start = block_floor(st, page)
    if start == page:
        return
    end = start + BLOCK
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_more[i, X_HUGE] > 0:
            i = isolate(st, i, start, end)
            make_huge(st, i, -st.ext_more[i, X_HUGE])
        i += 1


@kernel
def advise(st, start, end, advice):
    """Marks pages [start, end) with 1, MADV_HUGEPAGE, or 2, MADV_NOHUGEPAGE.

    What is huge stays so, except across an end of the range where the advice beyond is another.
    """
    i = first_extent(st, start)
    changed = False
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_more[i, X_ADVICE] != advice:
            i = isolate(st, i, start, end)
            size, area = st.ext_end[i] - st.ext_start[i], st.ext_area[i]
            st.area_more[area, X_ADVICE] -= size if faults_huge(st, i) else 0
            st.ext_more[i, X_ADVICE] = advice
            st.area_more[area, X_ADVICE] += size if faults_huge(st, i) else 0
            changed = True
        i += 1
    if changed:
        split_at(st, start)
        split_at(st, end)


@kernel
def collapse_blocks(st, start, end):
    """Makes pages [start, end), whole blocks of one extent or less, huge: what is in swap comes in, what was never
    touched is filled up. Blocks without any page stay as they are. Returns how many became huge, and pages swapped in.
    """
    i = isolate(st, first_extent(st, start), start, end)
    size = st.ext_end[i] - st.ext_start[i]
    blocks = (size - st.ext_more[i, X_HUGE]) // BLOCK
    small = size - st.ext_more[i, X_HUGE]
    untouched = st.ext_untouched[i]
    if blocks == 0 or untouched == size:
        return 0, 0
    if untouched > 0:
        # Blocks of which no page has been touched: the pages of an extent are exchangeable.
        blocks -= min(untouched // BLOCK, binomial(st.rng, WORKLOAD, blocks, (untouched / small) ** BLOCK))
    swapped = st.ext_swapped[i]
    filled = max(0, min(untouched, blocks * BLOCK - (small - untouched)))
    bring_in(st, i, swapped, filled)
    make_huge(st, i, min(blocks * BLOCK, resident_pages(st, i) - st.ext_more[i, X_HUGE]))
    return blocks, swapped


@kernel
def khugepaged_block(st):
    """Lets khugepaged collapse the first block that it may, of memory in use. Returns how many: 0 or 1."""
    for q in range(st.pattern_area.size):
        a = st.pattern_area[q]
        ph = phase_of(st, a)
        if st.area_more[a, X_ADVICE] == 0 or not st.phase_first[ph] <= q < st.phase_first[ph + 1]:
            continue
        i = first_extent(st, st.area_start[a])
        while i < st.n[NR_EXTENTS] and st.ext_area[i] == a:
            size = st.ext_end[i] - st.ext_start[i]
            start = block_ceil(st, st.ext_start[i])
            if (
                st.ext_more[i, X_HUGE] == 0
                and faults_huge(st, i)
                and start + BLOCK <= st.ext_end[i]
                and st.ext_swapped[i] * BLOCK <= _MOST_SWAPPED * size
                and st.ext_untouched[i] < size
            ):
                return collapse_blocks(st, start, start + BLOCK)[0]
            i += 1
    return 0
