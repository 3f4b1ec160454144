"""Memory of others than the workload that physical memory is made of too, as far as DAMON's actions reach it.

It lies in a few places, is idle, belongs to files, and comes in two kinds: what can be paged out, once, and what is
locked in memory, which passes every filter and can be moved and sorted, but not paged out.
Kernel: mm/damon/paddr.c, where an action does not ask whose a page is.
"""

from __future__ import annotations

from .jit import kernel
from .ops_filters import passes_other
from .state import A_MIGRATE, A_PAGEOUT, C_PAGEOUT, C_WALK, SWAP_OUT, UNDONE
from .tables import LIMIT_YOUNG, S_LIMITS

O_START, O_END, O_FREE, O_LOCKED, O_SEEN = range(5)
"""Columns of `State.other`: page frames; pages in them that can be paged out and that can't; share that was looked at
before, and so is no longer young."""


@kernel
def act_on_others(st, k, action, start, end):
    """Applies an action of scheme `k` to what lies in frames [start, end); returns (pages done, pages that passed)."""
    applied = passed = 0.0
    for o in range(st.other.shape[0]):
        row = st.other[o]
        inside = (min(end, row[O_END]) - max(start, row[O_START])) / (row[O_END] - row[O_START])
        if inside <= 0.0:
            continue
        share = inside * _passing(st, k, action, row[O_SEEN])
        free, locked = share * row[O_FREE], share * row[O_LOCKED]
        row[O_SEEN] = 1.0 - (1.0 - row[O_SEEN]) * (1.0 - inside)
        st.f[UNDONE] += inside * (row[O_FREE] + row[O_LOCKED]) * st.c[C_WALK]
        passed += free + locked
        if action == A_PAGEOUT:
            applied += free
            row[O_FREE] -= free
        else:
            applied += free + locked
        if action == A_MIGRATE:
            row[O_FREE] -= free
            row[O_LOCKED] -= locked
    if action == A_PAGEOUT:
        st.n[SWAP_OUT] += int(applied + 0.5)
        st.f[UNDONE] += applied * st.c[C_PAGEOUT]
    return int(applied + 0.5), int(passed + 0.5)


@kernel
def _passing(st, k, action, old):
    # Share of them that passes the scheme's filters, and with page-out its own for young pages.
    if action == A_PAGEOUT and st.scheme[k, S_LIMITS] & LIMIT_YOUNG == 0:
        return old if passes_other(st, k, False) else 0.0
    share = old if passes_other(st, k, False) else 0.0
    return share + (1.0 - old if passes_other(st, k, True) else 0.0)
