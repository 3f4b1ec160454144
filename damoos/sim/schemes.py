"""DAMOS: which regions a scheme is applied to, and what the actions do to memory.

Restates mm/damon/core.c kdamond_apply_schemes(), damos_valid_target(), damos_apply_scheme() of Linux 7.3 without quotas,
watermarks and filters, and mm/damon/vaddr.c damon_va_apply_scheme() for the madvise actions.
"""

from __future__ import annotations

from .access import advance_closely, advance_steadily, is_running, steady_intervals
from .jit import kernel
from .memory import evict, prefetch
from .recorder import elapse
from .regions import copy_region, moving_rate
from .state import (
    A_PAGEOUT,
    A_STAT,
    A_WILLNEED,
    AGGR_US,
    C_PAGEOUT,
    C_SCAN,
    C_SHARED,
    C_SWAPIN,
    CUR,
    DONE,
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
)

_PAGE = 4096
_SLICE_US, _STEADY_SLICE_US = 5_000.0, 100_000.0
_PIECE = 128
"""Pages paged out at once: a quarter of what a page table maps, fine enough for the workload beside it."""


@kernel
def apply_period(st, k):
    """Sampling iterations between two passes of scheme `k`."""
    us = st.scheme[k, S_APPLY_US]
    if us == 0:
        us = st.n[AGGR_US]
    return us // max(1, st.n[SAMPLE_US])


@kernel
def matches(st, k, i):
    """Whether region `i` has the access pattern of scheme `k`; all bounds are inclusive."""
    cur = st.n[CUR]
    row = st.scheme[k]
    size = (st.end[cur, i] - st.start[cur, i]) * _PAGE
    if size < row[S_SZ_MIN] or size > row[S_SZ_MAX]:
        return False
    age = st.age[cur, i]
    if age < row[S_AGE_MIN] or age > row[S_AGE_MAX]:
        return False
    nr = moving_rate(st, i)
    return row[S_NR_MIN] <= nr <= row[S_NR_MAX]


@kernel
def apply_schemes(st):
    """Applies every scheme whose time has come to every region of its pattern. Regions are the outer loop."""
    due = False
    for k in range(st.scheme.shape[0]):
        if st.n[PASSED] >= st.scheme[k, S_NEXT]:
            due = True
    if not due:
        return
    cur = st.n[CUR]
    i = 0
    while i < st.n[NR_REGIONS]:
        # 7.3 joins a region with its left neighbour again while it walks if nothing tells them apart; splits of the
        # last window that found nothing end here instead of in the next merge.
        if i > 0 and _same(st, cur, i - 1, i):
            _join_left(st, cur, i)
            continue
        for k in range(st.scheme.shape[0]):
            if st.n[PASSED] < st.scheme[k, S_NEXT]:
                continue
            most = st.scheme[k, S_MAX_SNAPSHOTS]
            if most > 0 and st.stats[k, ST_SNAPSHOTS] >= most:
                continue
            if matches(st, k, i):
                _apply(st, k, i)
            if i == st.n[NR_REGIONS] - 1:
                st.stats[k, ST_SNAPSHOTS] += 1
        i += 1
    for k in range(st.scheme.shape[0]):
        if st.n[PASSED] >= st.scheme[k, S_NEXT]:
            st.scheme[k, S_NEXT] = st.n[PASSED] + apply_period(st, k)


@kernel
def _same(st, cur, a, b):
    return (
        st.end[cur, a] == st.start[cur, b]
        and st.age[cur, a] == st.age[cur, b]
        and st.nr_accesses[cur, a] == st.nr_accesses[cur, b]
        and st.last_nr_accesses[cur, a] == st.last_nr_accesses[cur, b]
        and st.end[cur, b] - st.start[cur, a] <= st.n[SIZE_LIMIT]
    )


@kernel
def _join_left(st, cur, i):
    st.end[cur, i - 1] = st.end[cur, i]
    for j in range(i, st.n[NR_REGIONS] - 1):
        copy_region(st, cur, j + 1, cur, j)
    st.n[NR_REGIONS] -= 1


@kernel
def _apply(st, k, i):
    cur = st.n[CUR]
    start, end = st.start[cur, i], st.end[cur, i]
    size = (end - start) * _PAGE
    action = st.scheme[k, S_ACTION]
    applied = 0
    if action != A_STAT:
        # madvise reports the whole length, or nothing on any error such as a hole, though mapped parts were processed.
        applied = size if _mapped_whole(st, start, end) else 0
        if action == A_PAGEOUT:
            _page_out(st, start, end)
        elif action == A_WILLNEED:
            work(st, prefetch(st, start, end) * st.c[C_SWAPIN])
        st.age[cur, i] = 0
    st.stats[k, ST_NR_TRIED] += 1
    st.stats[k, ST_SZ_TRIED] += size
    if applied > 0:
        st.stats[k, ST_NR_APPLIED] += 1
        st.stats[k, ST_SZ_APPLIED] += applied


@kernel
def _page_out(st, start, end):
    # Piece by piece as madvise does, so that the workload can fault back meanwhile.
    piece = max(_PIECE, (end - start) // 16)
    at = start
    while at < end and st.n[DONE] == 0:
        after = min(end, at + piece)
        work(st, evict(st, at, after) * st.c[C_PAGEOUT] + (after - at) * st.c[C_SCAN])
        at = after


@kernel
def _mapped_whole(st, start, end):
    for m in range(st.map_start.size):
        if st.map_start[m] <= start and end <= st.map_end[m]:
            return True
    return False


@kernel
def work(st, cpu_us):
    """kdamond works for that long. On a shared CPU it gets half of it while the workload wants the other half."""
    st.f[KDAMOND_CPU] += cpu_us
    left = cpu_us
    while left > 1e-6:
        shared = st.c[C_SHARED] != 0.0 and is_running(st)
        if st.n[DONE] == 1:
            elapse(st, left)
            return
        share = 0.5 if shared else 1.0
        wall = min(left / share, _STEADY_SLICE_US)
        if steady_intervals(st, 1, wall, share) == 1:
            advance_steadily(st, 1, wall, share)
        else:
            wall = advance_closely(st, min(wall, _SLICE_US), share)
        if st.n[DONE] == 1:
            return
        left -= wall * share
