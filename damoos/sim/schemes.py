"""DAMOS: which regions a scheme is applied to.

Restates mm/damon/core.c kdamond_apply_schemes(), damos_valid_target(), damos_apply_scheme() of Linux 7.3 without
quotas, watermarks and filters.
"""

from __future__ import annotations

from .actions import act, work
from .jit import kernel
from .regions import left_of_window_bp, moving_sum
from .state import (
    A_STAT,
    AGGR_US,
    CUR,
    NR_REGIONS,
    PASSED,
    S_ACTION,
    S_AGE_MAX,
    S_AGE_MIN,
    S_APPLY_US,
    S_MAX_SNAPSHOTS,
    S_NEXT,
    S_NR_MAX,
    S_NR_MIN,
    S_SZ_MAX,
    S_SZ_MIN,
    SAMPLE_US,
    SIZE_LIMIT,
    ST_NR_APPLIED,
    ST_NR_TRIED,
    ST_SNAPSHOTS,
    ST_SZ_APPLIED,
    ST_SZ_TRIED,
)

_PAGE = 4096


@kernel
def apply_period(st, k):
    """Sampling iterations between two passes of scheme `k`."""
    us = st.scheme[k, S_APPLY_US]
    if us == 0:
        us = st.n[AGGR_US]
    return us // max(1, st.n[SAMPLE_US])


@kernel
def apply_schemes(st):
    """Applies every scheme whose time has come to every region of its pattern. Regions are the outer loop."""
    schemes = st.scheme
    due = False
    for k in range(schemes.shape[0]):
        if st.n[PASSED] >= schemes[k, S_NEXT]:
            due = True
    if not due:
        return
    cur, count, limit = st.n[CUR], st.n[NR_REGIONS], st.n[SIZE_LIMIT]
    start, end, nr, last, age = (
        st.start[cur],
        st.end[cur],
        st.nr_accesses[cur],
        st.last_nr_accesses[cur],
        st.age[cur],
    )
    left_bp = left_of_window_bp(st)
    out = -1
    for i in range(count):
        # 7.3 joins a region with its left neighbour again while it walks if nothing tells them apart: splits of the
        # last window that found nothing end here instead of in the next merge.
        if (
            out >= 0
            and end[out] == start[i]
            and age[out] == age[i]
            and nr[out] == nr[i]
            and last[out] == last[i]
            and end[i] - start[out] <= limit
        ):
            end[out] = end[i]
            continue
        out += 1
        if out < i:
            start[out], end[out], nr[out], last[out], age[out] = start[i], end[i], nr[i], last[i], age[i]
        rate = moving_sum(nr[out], last[out], left_bp)
        for k in range(schemes.shape[0]):
            if st.n[PASSED] < schemes[k, S_NEXT]:
                continue
            if _exhausted(st, k):
                continue
            if matches(schemes, k, (end[out] - start[out]) * _PAGE, rate, age[out]):
                _apply(st, k, start[out], end[out])
                if schemes[k, S_ACTION] != A_STAT:
                    age[out] = 0
            if i == count - 1:
                st.stats[k, ST_SNAPSHOTS] += 1
    st.n[NR_REGIONS] = out + 1
    work(st)
    for k in range(schemes.shape[0]):
        if st.n[PASSED] >= schemes[k, S_NEXT]:
            schemes[k, S_NEXT] = st.n[PASSED] + apply_period(st, k)


@kernel
def matches(schemes, k, size, rate, age):
    """Whether a region of `size` bytes has the access pattern of scheme `k`; all bounds are inclusive."""
    return (
        schemes[k, S_AGE_MIN] <= age <= schemes[k, S_AGE_MAX]
        and schemes[k, S_NR_MIN] <= rate <= schemes[k, S_NR_MAX]
        and schemes[k, S_SZ_MIN] <= size <= schemes[k, S_SZ_MAX]
    )


@kernel
def _exhausted(st, k):
    most = st.scheme[k, S_MAX_SNAPSHOTS]
    return most > 0 and st.stats[k, ST_SNAPSHOTS] >= most


@kernel
def _apply(st, k, start, end):
    size = (end - start) * _PAGE
    applied = act(st, k, start, end)
    st.stats[k, ST_NR_TRIED] += 1
    st.stats[k, ST_SZ_TRIED] += size
    if applied > 0:
        st.stats[k, ST_NR_APPLIED] += 1
        st.stats[k, ST_SZ_APPLIED] += applied
