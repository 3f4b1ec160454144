"""DAMOS: which regions a scheme is applied to, and what the actions do to memory.

Restates mm/damon/core.c kdamond_apply_schemes(), damos_valid_target(), damos_apply_scheme() of Linux 7.3 without
quotas, watermarks and filters, and mm/damon/vaddr.c damon_va_apply_scheme() for the madvise actions.
"""

from __future__ import annotations

import numpy as np

from .closely import advance_closely
from .jit import kernel
from .memory import coalesce, evict, prefetch
from .phases import is_running
from .recorder import elapse
from .regions import left_of_window_bp, moving_sum
from .state import (
    A_PAGEOUT,
    A_STAT,
    A_WILLNEED,
    AGGR_US,
    C_PAGEOUT,
    C_PAGEOUT_HARD,
    C_SCAN,
    C_SHARED,
    C_SWAPIN,
    CUR,
    DONE,
    HARD_OUT,
    KDAMOND_CPU,
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
    UNDONE,
)
from .steady import advance_steadily, steady_intervals

_PAGE = 4096
# As a numpy integer, so that functions are not compiled again for the literal 1.
_ONE = np.int64(1)
_SLICE_US, _STEADY_SLICE_US = 5_000.0, 100_000.0
_LEAST_WORK_US = 1_000.0
"""Less work than that of kdamond is put together before it takes time."""
_PIECE = 128
"""Least pages paged out at once: a quarter of what a page table maps; more if they take less than a few ms."""


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
    action = st.scheme[k, S_ACTION]
    applied = 0
    if action != A_STAT:
        # madvise reports the whole length, or nothing on any error such as a hole, though mapped parts were processed.
        applied = size if _mapped_whole(st, start, end) else 0
        if action == A_PAGEOUT:
            _page_out(st, start, end)
        elif action == A_WILLNEED:
            st.f[UNDONE] += prefetch(st, start, end) * st.c[C_SWAPIN]
            if st.f[UNDONE] >= _LEAST_WORK_US:
                work(st)
    st.stats[k, ST_NR_TRIED] += 1
    st.stats[k, ST_SZ_TRIED] += size
    if applied > 0:
        st.stats[k, ST_NR_APPLIED] += 1
        st.stats[k, ST_SZ_APPLIED] += applied


@kernel
def _page_out(st, start, end):
    # Piece by piece as madvise does, so that the workload can fault back meanwhile.
    piece = max(_PIECE, int(_SLICE_US / max(st.c[C_PAGEOUT], 0.1)), (end - start) // 16)
    at = start
    out = 0
    while at < end and st.n[DONE] == 0:
        after = min(end, at + piece)
        hard = -st.n[HARD_OUT]
        gone = evict(st, at, after)
        hard += st.n[HARD_OUT]
        out += gone
        st.f[UNDONE] += (gone - hard) * st.c[C_PAGEOUT] + hard * st.c[C_PAGEOUT_HARD] + (after - at) * st.c[C_SCAN]
        if st.f[UNDONE] >= _LEAST_WORK_US:
            work(st)
        at = after
    if out > 0:
        coalesce(st, False)


@kernel
def _mapped_whole(st, start, end):
    for m in range(st.map_start.size):
        if st.map_start[m] <= start and end <= st.map_end[m]:
            return True
    return False


@kernel
def work(st):
    """kdamond does what is undone. On a shared CPU it gets half of it while the workload wants the other half."""
    left = st.f[UNDONE]
    st.f[UNDONE] = 0.0
    st.f[KDAMOND_CPU] += left
    while left > 1e-6:
        shared = st.c[C_SHARED] != 0.0 and is_running(st)
        if st.n[DONE] == 1:
            elapse(st, left)
            return
        share = 0.5 if shared else 1.0
        wall = min(left / share, _STEADY_SLICE_US)
        if steady_intervals(st, _ONE, wall, share) == 1:
            advance_steadily(st, _ONE, wall, share)
        else:
            wall = advance_closely(st, min(wall, _SLICE_US), share)
        if st.n[DONE] == 1:
            return
        left -= wall * share
