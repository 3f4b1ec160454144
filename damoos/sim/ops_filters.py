"""Filters of schemes that the operations layer evaluates page by page: which pages an action is taken to.

Restates mm/damon/ops-common.c damos_ops_filter_pass(), damos_folio_filter_match() of Linux 7.3. Extents know how many
of their pages have a property, not which, so what comes out is the share of their pages in memory that pass, as if one
property said nothing about another.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .lru import old_share
from .memory import first_extent, isolate, resident_pages
from .state import NR_EXTENTS, X_DEPRIO, X_HUGE
from .tables import (
    FILTER_ACTIVE,
    FILTER_ANON,
    FILTER_HUGE,
    FILTER_MEMCG,
    FILTER_YOUNG,
    FL_ALLOW,
    FL_HIGH,
    FL_LOW,
    FL_MATCHING,
    FL_TYPE,
    LIMIT_OPS,
    LIMIT_YOUNG,
    Q_ALLOWED,
    S_LAST_CORE_FILTER,
    S_LAST_FILTER,
    S_LIMITS,
    S_OPS_REJECTS,
)

_PAGE, _HUGE_PAGE = 4096, 2 << 20
_NO_PROCESS = np.int64(-2)
"""Whose memory no cgroup that a filter may name has."""


@kernel
def passing_pages(st, k, start, end):
    """Pages in memory of [start, end) that scheme `k`'s filters let through."""
    i = first_extent(st, start)
    passing = 0.0
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if resident_pages(st, i) > 0:
            i = isolate(st, i, start, end)
            passing += passing_share(st, k, i) * resident_pages(st, i)
        i += 1
    return int(passing + 0.5)


@kernel
def passing_stretch(st, k, start, end):
    """Whether scheme `k`'s filters let the pages from `start` on through, and up to where, at most `end`, that holds.

    Of an extent whose pages differ most decide. Without filters of this layer all pass.
    """
    if st.scheme[k, S_LIMITS] & LIMIT_OPS == 0 or st.quota[k, Q_ALLOWED] != 0:
        return True, end
    i = first_extent(st, start)
    if i == st.n[NR_EXTENTS] or st.ext_start[i] >= end:
        return False, end
    if st.ext_start[i] > start:
        return False, st.ext_start[i]
    if st.scheme[k, S_LIMITS] & LIMIT_YOUNG != 0:
        # Others have not been looked at.
        i = isolate(st, i, start, end)
    return passing_share(st, k, i) >= 0.5, min(end, st.ext_end[i])


@kernel
def passing_share(st, k, i):
    """Share of the pages in memory of extent `i` that scheme `k`'s filters let through, 0 to 1.

    If the scheme asks for young pages, they count as old from now on until they are used again.
    """
    # What a core filter allows the operations layer does not look at.
    limits = st.scheme[k, S_LIMITS]
    if limits & LIMIT_OPS == 0 or st.quota[k, Q_ALLOWED] != 0:
        return 1.0
    huge = young = inactive = 0.0
    resident = max(1, resident_pages(st, i))
    if st.ext_more.shape[1] > X_HUGE:
        huge = st.ext_more[i, X_HUGE] / resident
    if st.ext_more.shape[1] > X_DEPRIO:
        inactive = st.ext_more[i, X_DEPRIO] / resident
    if limits & LIMIT_YOUNG != 0:
        young = 1.0 - old_share(st, i)
    is_anon, process = st.area_anon[st.ext_area[i]] != 0, st.area_process[st.ext_area[i]]
    share = 0.0
    for kind in range(8):
        is_huge, is_young, is_active = kind & 1 != 0, kind & 2 != 0, kind & 4 != 0
        part = huge if is_huge else 1.0 - huge
        part *= young if is_young else 1.0 - young
        part *= 1.0 - inactive if is_active else inactive
        if part > 0.0 and _passes(st, k, is_anon, process, is_huge, is_young, is_active):
            share += part
    return share


@kernel
def passes_other(st, k, is_young):
    """Whether scheme `k`'s filters let a page through that is not the workload's: a small one of a file, active."""
    if st.scheme[k, S_LIMITS] & LIMIT_OPS == 0 or st.quota[k, Q_ALLOWED] != 0:
        return True
    return _passes(st, k, False, _NO_PROCESS, False, is_young, True)


@kernel
def _passes(st, k, is_anon, process, is_huge, is_young, is_active):
    s = st.scheme[k]
    for f in range(s[S_LAST_CORE_FILTER], s[S_LAST_FILTER]):
        row = st.filter[f]
        kind = row[FL_TYPE]
        # Of what the simulated machine has, nothing is unmapped.
        has = False
        if kind == FILTER_ANON:
            has = is_anon
        elif kind == FILTER_ACTIVE:
            has = is_active
        elif kind == FILTER_MEMCG:
            has = row[FL_LOW] == process
        elif kind == FILTER_YOUNG:
            has = is_young
        elif kind == FILTER_HUGE:
            has = row[FL_LOW] <= (_HUGE_PAGE if is_huge else _PAGE) <= row[FL_HIGH]
        if has == (row[FL_MATCHING] != 0):
            return row[FL_ALLOW] != 0
    return s[S_OPS_REJECTS] == 0
