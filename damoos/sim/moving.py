"""Frames that pages get when they are moved to another node.

What is moved comes to lie in free memory of the target node, side by side with what was moved before, however scattered
it was. Kernel: mm/damon/paddr.c damon_pa_migrate(); a dump of the page tables after it shows one piece.
"""

from __future__ import annotations

from .jit import kernel
from .state import FREE_SLOT


@kernel
def note_moved(st, v, lo, hi):
    """Notes that the frames [lo, hi) of piece `v` are to be given up; `move_noted` does it."""
    st.view_moved[v, 0], st.view_moved[v, 1] = lo, hi


@kernel
def move_noted(st, dests):
    """Gives the pages of all frames that were noted new frames where `dests` (see `State.scheme_dests`) has the
    greatest weight, as long as there is room."""
    node = 0
    for other in range(st.node_room.size):
        if dests[other] > dests[node]:
            node = other
    count = 0
    while count < st.view_start.size and st.view_start[count] != FREE_SLOT:
        count += 1
    for k in range(count):
        lo, hi = st.view_moved[k, 0], st.view_moved[k, 1]
        st.view_moved[k, 1] = lo
        if lo < hi and count + 2 <= st.view_start.size:
            at = _largest_gap(st, count, node, hi - lo)
            if at >= 0:
                count = _move(st, count, lo, hi, at)


@kernel
def _largest_gap(st, count, node, pages):
    # First frame of the largest piece of free memory of the node, -1: it has less than `pages`.
    first, last = st.node_frames[node], st.node_frames[node + 1]
    at, largest, free = -1, pages - 1, first
    for v in range(count + 1):
        used = min(last, st.view_start[v]) if v < count else last
        if used - free > largest:
            at, largest = free, used - free
        if v < count:
            free = max(free, st.view_end[v])
    return at


@kernel
def _move(st, count, lo, hi, at):
    # Moves frames [lo, hi), which lie in one piece, to those from `at` on; returns how many pieces there are then.
    v = 0
    while st.view_end[v] <= lo:
        v += 1
    area, page = st.view_area[v], st.view_page[v] + lo - st.view_start[v]
    idle, touched = st.view_idle[v], st.view_touched[v]
    start, end = st.view_start[v], st.view_end[v]
    if hi < end:
        # What is right of it stays as a piece of its own.
        _shift(st, v + 1, count, 1)
        count += 1
        _copy(st, v, v + 1)
        st.view_start[v + 1], st.view_page[v + 1] = hi, page + hi - lo
    if start < lo:
        st.view_end[v] = lo
    else:
        _shift(st, v + 1, count, -1)
        count -= 1
    v = 0
    while v < count and st.view_start[v] < at:
        v += 1
    _shift(st, v, count, 1)
    st.view_start[v], st.view_end[v], st.view_area[v], st.view_page[v] = at, at + hi - lo, area, page
    st.view_idle[v], st.view_touched[v] = idle, touched
    return count + 1


@kernel
def _shift(st, first, count, by):
    # Pieces `first` to `count` go one place up or down (by 1 or -1); a place that gets free at the end is marked so.
    if by > 0:
        for v in range(count, first, -1):
            _copy(st, v - 1, v)
    else:
        for v in range(first, count):
            _copy(st, v, v - 1)
        st.view_start[count - 1] = st.view_end[count - 1] = FREE_SLOT


@kernel
def _copy(st, v, to):
    st.view_start[to], st.view_end[to] = st.view_start[v], st.view_end[v]
    st.view_area[to], st.view_page[to] = st.view_area[v], st.view_page[v]
    st.view_idle[to], st.view_touched[to] = st.view_idle[v], st.view_touched[v]
