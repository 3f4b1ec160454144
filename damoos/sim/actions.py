"""What the actions of DAMOS do to memory, and the time that kdamond needs for it.

Restates mm/damon/vaddr.c damon_va_apply_scheme() and mm/damon/paddr.c damon_pa_apply_scheme() of Linux 7.3.
"""

from __future__ import annotations

import numpy as np

from .hugepages import advise, block_ceil, block_floor, collapse_blocks, khugepaged_block, split_at
from .jit import kernel
from .lru import old_share, prioritise
from .memory import coalesce, evict, evict_some, first_extent, isolate, prefetch, resident_pages
from .moving import move_noted, note_moved
from .ops_filters import passing_pages, passing_share, passing_stretch
from .others import act_on_others
from .phases import is_running
from .processes import advance_together, steady_together
from .recorder import elapse
from .rng import WORKLOAD, binomial
from .state import (
    A_COLLAPSE,
    A_HUGEPAGE,
    A_LRU_DEPRIO,
    A_LRU_PRIO,
    A_MIGRATE,
    A_NOHUGEPAGE,
    A_PAGEOUT,
    A_STAT,
    A_WILLNEED,
    ACTED_ON,
    BACKGROUND,
    BLOCK,
    C_COLLAPSE,
    C_KHUGEPAGED,
    C_LRU,
    C_MIGRATE,
    C_PAGEOUT,
    C_PAGEOUT_HARD,
    C_PAGEOUT_HUGE,
    C_SCAN,
    C_SHARED,
    C_SWAPIN,
    C_WALK,
    C_WALK_ABSENT,
    CORE_PAGE,
    DONE,
    HARD_OUT,
    HUGE,
    KDAMOND_CPU,
    NEXT_COLLAPSE,
    NOW,
    NR_EXTENTS,
    PHYSICAL,
    RATES_STALE,
    S_ACTION,
    ST_PASSED,
    UNDONE,
    X_DEPRIO,
    X_PRIO,
)
from .tables import LIMIT_OPS, LIMIT_YOUNG, S_LIMITS
from .targets import area_shift, is_valid, target_of
from .tiers import migrate, refresh_rates

# As a numpy integer, so that functions are not compiled again for the literal 1.
_ONE = np.int64(1)
_SLICE_US, _STEADY_SLICE_US = 5_000.0, 100_000.0
_LEAST_WORK_US = 1_000.0
"""Less work than that of kdamond is put together before it takes time."""
_PIECE = 128
"""Least pages paged out at once: a quarter of what a page table maps; more if they take less than a few ms."""


@kernel
def act(st, k, start, end):
    """Applies the action of scheme `k` to pages `start` to `end`; what the kernel then reports as applied, in core
    addresses."""
    action = st.scheme[k, S_ACTION]
    if action == A_STAT:
        if st.scheme[k, S_LIMITS] & LIMIT_OPS != 0:
            _count_passing(st, k, start, end)
        return 0
    if st.n[PHYSICAL] == 1:
        return _act_on_frames(st, k, action, start, end) * st.n[CORE_PAGE]
    shift = area_shift(st, start)
    if not is_valid(st, target_of(st, start)):
        return 0
    start, end = start + shift, end + shift
    if action == A_LRU_PRIO or action == A_LRU_DEPRIO:
        return 0
    if action == A_MIGRATE:
        return _migrate(st, k, start, end) * st.n[CORE_PAGE]
    # madvise reports the whole length, or nothing on any error such as a hole, though mapped parts were processed.
    applied = (end - start) * st.n[CORE_PAGE] if _mapped_whole(st, start, end) else 0
    if action == A_PAGEOUT:
        _page_out(st, start, end)
    elif action == A_WILLNEED:
        st.f[UNDONE] += prefetch(st, start, end) * st.c[C_SWAPIN]
        _work_if_much(st)
    elif action == A_HUGEPAGE or action == A_NOHUGEPAGE:
        advise(st, start, end, 1 if action == A_HUGEPAGE else 2)
    elif action == A_COLLAPSE:
        _collapse(st, start, end)
    return applied


@kernel
def _count_passing(st, k, start, end):
    if st.n[PHYSICAL] == 0:
        shift = area_shift(st, start)
        start, end = start + shift, end + shift
        st.stats[k, ST_PASSED] += passing_pages(st, k, start, end) * st.n[CORE_PAGE]
        return
    for v in range(st.view_start.size):
        lo, hi = max(start, st.view_start[v]), min(end, st.view_end[v])
        if lo < hi:
            page = st.view_page[v] + lo - st.view_start[v]
            st.n[ACTED_ON] = v + 1
            st.stats[k, ST_PASSED] += passing_pages(st, k, page, page + hi - lo) * st.n[CORE_PAGE]


@kernel
def _act_on_frames(st, k, action, start, end):
    # Page frames [start, end); pages that something was done to. Kernel: mm/damon/paddr.c damon_pa_apply_scheme(),
    # where the actions of madvise do nothing.
    if action not in (A_PAGEOUT, A_MIGRATE, A_LRU_PRIO, A_LRU_DEPRIO):
        return 0
    applied = covered = 0
    for v in range(st.view_start.size):
        lo, hi = max(start, st.view_start[v]), min(end, st.view_end[v])
        if lo < hi:
            covered += hi - lo
            page = st.view_page[v] + lo - st.view_start[v]
            st.n[ACTED_ON] = v + 1
            done = _act_on_folios(st, k, action, page, page + hi - lo)
            if action == A_MIGRATE and 2 * done > hi - lo:
                note_moved(st, v, lo, hi)
            applied += done
            _work_if_much(st)
    if st.other.shape[0] > 0:
        done, passed = act_on_others(st, k, action, start, end)
        applied += done
        st.stats[k, ST_PASSED] += passed * st.n[CORE_PAGE]
    st.f[UNDONE] += (end - start - covered) * st.c[C_WALK_ABSENT]
    _work_if_much(st)
    if action == A_MIGRATE and applied > 0:
        move_noted(st, st.scheme_dests[k])
    coalesce(st, False)
    return applied


@kernel
def _act_on_folios(st, k, action, start, end):
    if action == A_MIGRATE:
        return _migrate(st, k, start, end)
    applied = 0
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if resident_pages(st, i) > 0:
            i = isolate(st, i, start, end)
        resident = resident_pages(st, i)
        if resident > 0:
            st.f[UNDONE] += resident * (st.c[C_WALK] if action == A_PAGEOUT else st.c[C_LRU])
            share = passing_share(st, k, i)
            if action == A_PAGEOUT and st.scheme[k, S_LIMITS] & LIMIT_YOUNG == 0:
                # Young pages are filtered out, unless the scheme has a filter of its own.
                share *= old_share(st, i)
            pages = binomial(st.rng, WORKLOAD, resident, share)
            if action == A_PAGEOUT:
                evict_some(st, i, pages, -1)
                hard = st.area_hard[st.ext_area[i]] == 1
                st.f[UNDONE] += pages * (st.c[C_PAGEOUT_HARD] if hard else st.c[C_PAGEOUT])
            else:
                prioritise(st, i, X_PRIO if action == A_LRU_PRIO else X_DEPRIO, pages)
            applied += pages
        i += 1
    st.stats[k, ST_PASSED] += applied * st.n[CORE_PAGE]
    return applied


@kernel
def _page_out(st, start, end):
    # Piece by piece as madvise does, so that the workload can fault back meanwhile.
    piece = max(_PIECE, int(_SLICE_US / max(st.c[C_PAGEOUT], 0.1)), (end - start) // 16)
    at = start
    out = 0
    if st.ext_more.shape[1] > 0:
        split_at(st, start)
        split_at(st, end)
    while at < end and st.n[DONE] == 0:
        after = min(end, at + piece)
        hard, huge = -st.n[HARD_OUT], st.n[HUGE]
        gone = evict(st, at, after)
        hard, huge = hard + st.n[HARD_OUT], huge - st.n[HUGE]
        out += gone
        st.f[UNDONE] += huge * (st.c[C_PAGEOUT_HUGE] - st.c[C_PAGEOUT])
        st.f[UNDONE] += (gone - hard) * st.c[C_PAGEOUT] + hard * st.c[C_PAGEOUT_HARD] + (after - at) * st.c[C_SCAN]
        _work_if_much(st)
        at = after
    if out > 0:
        coalesce(st, False)


@kernel
def _collapse(st, start, end):
    # Whole blocks only, extent by extent and a few at a time, so that the workload runs meanwhile.
    at, stop = block_ceil(st, start), block_floor(st, end)
    few = BLOCK * max(1, int(_SLICE_US / max(st.c[C_COLLAPSE], 0.1)))
    while at < stop and st.n[DONE] == 0:
        i = first_extent(st, at)
        if i >= st.n[NR_EXTENTS]:
            break
        at = max(at, block_ceil(st, st.ext_start[i]))
        after = min(at + few, stop, block_floor(st, st.ext_end[i]))
        if after <= at:
            at = max(at, st.ext_end[i])
            continue
        blocks, swapped = collapse_blocks(st, at, after)
        st.f[UNDONE] += blocks * st.c[C_COLLAPSE] + swapped * st.c[C_SWAPIN]
        _work_if_much(st)
        at = after
    coalesce(st, False)


@kernel
def _migrate(st, k, start, end):
    piece = max(_PIECE, int(_SLICE_US / max(st.c[C_MIGRATE], 0.1)), (end - start) // 16)
    at = start
    moved = 0
    while at < end and st.n[DONE] == 0:
        after = min(end, at + piece)
        passes, after = passing_stretch(st, k, at, after)
        if not passes:
            at = after
            continue
        now, looked = migrate(st, at, after, st.scheme_dests[k])
        moved += now
        st.stats[k, ST_PASSED] += looked * st.n[CORE_PAGE]
        st.f[UNDONE] += now * st.c[C_MIGRATE] + looked * st.c[C_WALK]
        _work_if_much(st)
        at = after
    if moved > 0:
        coalesce(st, False)
    return moved


@kernel
def _work_if_much(st):
    if st.f[UNDONE] >= _LEAST_WORK_US:
        work(st)


@kernel
def in_background(st):
    """What the kernel does beside DAMON, as often as its time has come: khugepaged, which where it shares the
    workload's CPU takes its time from that evenly, since its priority is the lowest."""
    while st.f[NEXT_COLLAPSE] <= st.f[NOW]:
        st.f[NEXT_COLLAPSE] += st.c[C_KHUGEPAGED]
        busy = khugepaged_block(st) > 0 and st.c[C_SHARED] != 0.0
        st.f[BACKGROUND] = st.c[C_COLLAPSE] / st.c[C_KHUGEPAGED] if busy else 0.0
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
        if st.n[RATES_STALE] == 1:
            refresh_rates(st)
        shared = st.c[C_SHARED] != 0.0 and is_running(st)
        if st.n[DONE] == 1:
            elapse(st, left)
            return
        share = 0.5 if shared else 1.0
        wall = min(left / share, _STEADY_SLICE_US)
        n = steady_together(st, _ONE, wall, share)
        if n == 0:
            wall = min(wall, _SLICE_US)
        wall = advance_together(st, n, wall, share)
        if st.n[DONE] == 1:
            return
        left -= wall * share
