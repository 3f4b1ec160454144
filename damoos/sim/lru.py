"""Which pages in memory are active, which are seen as used lately, and reclaim by the kernel when memory gets short.

Restates what paddr's actions see and do (mm/damon/paddr.c of Linux 7.3: the young filter that page-out implies,
folio_activate() and folio_deactivate()), and a kernel's own reclaim by recency, in outline: it takes what was
deprioritised first, then areas in the order in which they were used last, but errs in a share of what it takes; what
DAMON has prioritised is spared such errors.
"""

from __future__ import annotations

from .jit import kernel
from .memory import coalesce, evict_some, resident_pages
from .phases import accesses_of, phase_of
from .processes import owe
from .rng import WORKLOAD, binomial, uniform
from .state import (
    ACTED_ON,
    C_LIMIT_PAGES,
    C_LRU_NOISE,
    C_PAGEOUT,
    CAME_IN,
    DONE,
    NR_EXTENTS,
    SWAP_IN,
    SWAPPED,
    UNTOUCHED,
    WORKLOAD_PAGES,
    X_DEPRIO,
    X_PRIO,
    X_SEEN,
)

_BATCH = 64
"""Reclaim goes on below the limit by that part of it, so that it need not run at each fault."""
_UNIT = 1024
"""Parts of an access per page in which `X_SEEN` counts."""


@kernel
def touches(st, a):
    """How often each page of area `a` has been accessed so far, on average."""
    total = st.area_touched[a]
    ph = phase_of(st, a)
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        if st.pattern_area[q] == a:
            step = 1.0 if st.pattern_random[q] == 1 else min(1.0, st.pattern_step[q])
            share = accesses_of(st, a) * st.pattern_weight[q] * step
            total += share / (st.area_end[a] - st.area_start[a])
    return total


@kernel
def old_share(st, i):
    """Share of the pages in memory of extent `i` that have not been used since this was last asked or a check marked
    them as idle (`idle`); the others are marked now. Asked for the first time, all but what checks marked have been."""
    now = int(touches(st, st.ext_area[i]) * _UNIT) + 1
    before = st.ext_more[i, X_SEEN]
    st.ext_more[i, X_SEEN] = now
    used = 1.0 if before == 0 else min(1.0, (now - before) / _UNIT)
    piece = st.n[ACTED_ON] - 1
    return 1.0 - used * (1.0 - st.view_idle[piece]) if piece >= 0 else 1.0 - used


@kernel
def prioritise(st, i, column, pages):
    """Marks that many of the pages in memory of extent `i` as prioritised (X_PRIO) or deprioritised (X_DEPRIO)."""
    a = st.ext_area[i]
    others = resident_pages(st, i) - pages
    for x in (X_DEPRIO, X_PRIO):
        before = st.ext_more[i, x]
        marked = max(before, pages) if x == column else min(before, others)
        st.area_more[a, x] += marked - before
        st.ext_more[i, x] = marked


@kernel
def is_filling(st):
    """Whether memory has a limit and pages have come in since this was last asked: then reclaim can't wait."""
    if st.c[C_LIMIT_PAGES] == 0.0:
        return False
    came_in = st.n[SWAP_IN] - st.n[UNTOUCHED]
    filling = came_in != st.n[CAME_IN]
    st.n[CAME_IN] = came_in
    return filling


@kernel
def relieve(st):
    """Reclaims memory if the workload has more than its limit; the workload does that work itself."""
    if st.n[DONE] == 1:
        return
    over = st.n[WORKLOAD_PAGES] - st.n[SWAPPED] - st.n[UNTOUCHED] - int(st.c[C_LIMIT_PAGES])
    if over <= 0:
        return
    need = over + int(st.c[C_LIMIT_PAGES]) // _BATCH
    taken = _take_marked(st, need)
    errors = int((need - taken) * st.c[C_LRU_NOISE])
    taken += _take_at_random(st, errors)
    while taken < need:
        now = _take_oldest(st, need - taken)
        if now == 0:
            break
        taken += now
    owe(st, taken * st.c[C_PAGEOUT])
    coalesce(st, False)


@kernel
def _in_use(st, a):
    ph = phase_of(st, a)
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        if st.pattern_area[q] == a:
            return True
    return False


@kernel
def _take_marked(st, need):
    # What was deprioritised and has not come into use again.
    taken = 0
    for i in range(st.n[NR_EXTENTS]):
        marked = st.ext_more[i, X_DEPRIO]
        if marked > 0 and taken < need and not _in_use(st, st.ext_area[i]):
            taken += evict_some(st, i, min(marked, need - taken), X_DEPRIO)
    return taken


@kernel
def _take_at_random(st, need):
    # An equal share of all extents, but for what was prioritised.
    total = 0
    for i in range(st.n[NR_EXTENTS]):
        total += resident_pages(st, i) - st.ext_more[i, X_PRIO]
    if total == 0:
        return 0
    share = min(1.0, need / total)
    taken = 0
    for i in range(st.n[NR_EXTENTS]):
        pages = binomial(st.rng, WORKLOAD, resident_pages(st, i) - st.ext_more[i, X_PRIO], share)
        if pages > 0:
            taken += evict_some(st, i, pages, -1)
    return taken


@kernel
def _take_oldest(st, need):
    # Of the area that has been out of use for longest, or where all are in use, of any.
    oldest, at = -1, 0.0
    for i in range(st.n[NR_EXTENTS]):
        a = st.ext_area[i]
        if resident_pages(st, i) > 0 and not _in_use(st, a) and (oldest < 0 or st.area_last[a] < at):
            oldest, at = a, st.area_last[a]
    if oldest < 0:
        return _take_at_random(st, need)
    taken = 0
    first = int(uniform(st.rng, WORKLOAD) * st.n[NR_EXTENTS])
    for k in range(st.n[NR_EXTENTS]):
        i = (first + k) % st.n[NR_EXTENTS]
        if st.ext_area[i] == oldest and taken < need:
            taken += evict_some(st, i, min(resident_pages(st, i), need - taken), -1)
    return taken
