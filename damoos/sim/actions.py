"""What the actions of DAMOS do to memory, and the time that kdamond needs for it.

Restates mm/damon/vaddr.c damon_va_apply_scheme() of Linux 7.3 for the madvise actions.
"""

from __future__ import annotations

import numpy as np

from .closely import advance_closely
from .jit import kernel
from .memory import coalesce, evict, prefetch
from .phases import is_running
from .recorder import elapse
from .state import (
    A_PAGEOUT,
    A_STAT,
    A_WILLNEED,
    C_PAGEOUT,
    C_PAGEOUT_HARD,
    C_SCAN,
    C_SHARED,
    C_SWAPIN,
    DONE,
    HARD_OUT,
    KDAMOND_CPU,
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
def act(st, action, start, end):
    """Applies `action` to pages `start` to `end`; the bytes that the kernel then reports as applied."""
    if action == A_STAT:
        return 0
    # madvise reports the whole length, or nothing on any error such as a hole, though mapped parts were processed.
    applied = (end - start) * _PAGE if _mapped_whole(st, start, end) else 0
    if action == A_PAGEOUT:
        _page_out(st, start, end)
    elif action == A_WILLNEED:
        st.f[UNDONE] += prefetch(st, start, end) * st.c[C_SWAPIN]
        if st.f[UNDONE] >= _LEAST_WORK_US:
            work(st)
    return applied


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
