"""Which pages DAMON's own checks of physical memory have marked as idle.

A check of physical memory clears the accessed bits of one page and marks it as idle, and the young filter, which
page-out implies, asks for nothing else: a page that a check has hit and that was not used since is old. So the checks
that make a region's age make its pages old too, all the faster the smaller it is.
Kernel: mm/damon/ops-common.c damon_folio_mkold(), damon_folio_young(); 7.3.
"""

from __future__ import annotations

import math

from .jit import kernel
from .lru import touches
from .state import A_PAGEOUT, CUR, FREE_SLOT, NR_REGIONS, PHYSICAL, S_ACTION
from .tables import LIMIT_YOUNG, S_LIMITS


@kernel
def mark_checked(st, n):
    """Takes note of the pages that the checks of the last `n` sampling intervals have marked; call it after them."""
    if st.n[PHYSICAL] == 0 or not _matters(st):
        return
    cur = st.n[CUR]
    first = 0
    for v in range(st.view_start.size):
        start, end = st.view_start[v], st.view_end[v]
        if start == FREE_SLOT:
            break
        while first < st.n[NR_REGIONS] and st.end[cur, first] <= start:
            first += 1
        # The share that stays unmarked, as the mean over the regions that the piece lies in.
        unmarked, outside = 0.0, end - start
        i = first
        while i < st.n[NR_REGIONS] and st.start[cur, i] < end:
            pages = min(end, st.end[cur, i]) - max(start, st.start[cur, i])
            unmarked += pages * math.exp(-n / (st.end[cur, i] - st.start[cur, i]))
            outside -= pages
            i += 1
        unmarked = (unmarked + outside) / (end - start)
        now = touches(st, st.view_area[v])
        used = min(1.0, now - st.view_touched[v])
        st.view_touched[v] = now
        st.view_idle[v] = (1.0 - (1.0 - st.view_idle[v]) * unmarked) * (1.0 - used)


@kernel
def _matters(st):
    for k in range(st.scheme.shape[0]):
        if st.scheme[k, S_ACTION] == A_PAGEOUT or st.scheme[k, S_LIMITS] & LIMIT_YOUNG != 0:
            return True
    return False
