"""How much of the memory that a scheme may be applied to is on which NUMA node.

Restates mm/damon/core.c damos_calc_eligible_bytes(), damos_get_node_eligible_mem_bp() of Linux 7.3.
"""

from __future__ import annotations

from .jit import kernel
from .memory import first_extent
from .patterns import matches
from .regions import left_of_window_bp, moving_sum
from .state import CORE_PAGE, CUR, NR_EXTENTS, NR_REGIONS
from .tiers import pages_on


@kernel
def eligible_bp(st, k, node):
    """Share that is on `node` of the memory in regions of scheme `k`'s pattern, basis points; 0 where there is none."""
    cur = st.n[CUR]
    left_bp = left_of_window_bp(st)
    here = everywhere = 0.0
    for i in range(st.n[NR_REGIONS]):
        start, end = st.start[cur, i], st.end[cur, i]
        rate = moving_sum(st.nr_accesses[cur, i], st.last_nr_accesses[cur, i], left_bp)
        if not matches(st.scheme, k, (end - start) * st.n[CORE_PAGE], rate, st.age[cur, i]):
            continue
        for v in range(st.view_start.size):
            lo, hi = max(start, st.view_start[v]), min(end, st.view_end[v])
            if lo < hi:
                page = st.view_page[v] + lo - st.view_start[v]
                for n in range(st.node_room.size):
                    pages = _pages_of(st, page, page + hi - lo, n)
                    everywhere += pages
                    if n == node:
                        here += pages
    return int(here * 10_000.0 / everywhere) if everywhere > 0.0 else 0


@kernel
def _pages_of(st, start, end, node):
    # Pages in memory on a node of [start, end), which is taken to have its even share of an extent's.
    pages = 0.0
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        inside = min(end, st.ext_end[i]) - max(start, st.ext_start[i])
        pages += pages_on(st, i, node) * inside / (st.ext_end[i] - st.ext_start[i])
        i += 1
    return pages
