"""NUMA nodes: where pages are, moving them, and what their place does to the workload's speed.

Restates mm/damon/ops-common.c damon_migrate_pages() and vaddr.c damos_va_migrate() of Linux 7.3. Which page goes to
which of several destinations is fixed by its address in the kernel; here only their shares are kept.
"""

from __future__ import annotations

import math

from .jit import kernel
from .memory import first_extent, isolate, resident_pages
from .state import (
    MIGRATED,
    NR_EXTENTS,
    PHASE,
    RATES_STALE,
    SEEN_PHASE,
    X_HUGE,
    X_NODE,
)


@kernel
def pages_on(st, i, node):
    """Pages of extent `i` in memory on `node`."""
    if node > 0:
        return st.ext_more[i, X_NODE + node - 1]
    near = resident_pages(st, i)
    for x in range(X_NODE, st.ext_more.shape[1]):
        near -= st.ext_more[i, x]
    return near


@kernel
def _add(st, i, node, pages):
    st.node_room[node] -= pages
    if node > 0:
        st.ext_more[i, X_NODE + node - 1] += pages
        st.area_more[st.ext_area[i], X_NODE + node - 1] += pages


@kernel
def migrate(st, start, end, dests):
    """Moves what is in memory of pages [start, end) to nodes in proportion to the weights `dests` (one more than there
    are nodes, see `State.scheme_dests`), as far as they have room. Returns (pages moved, pages looked at)."""
    moved = looked = 0
    total = 0
    for node in range(dests.size):
        total += dests[node]
    if total == 0:
        return 0, 0
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        resident = resident_pages(st, i)
        if resident > 0:
            i = isolate(st, i, start, end)
            resident = resident_pages(st, i)
            looked += resident
            for node in range(st.node_room.size):
                lacking = resident * dests[node] // total - pages_on(st, i, node)
                if dests[node] > 0 and lacking > 0:
                    moved += _fetch(st, i, node, min(lacking, max(0, st.node_room[node])), dests, total)
        i += 1
    if moved > 0:
        st.n[MIGRATED] += moved
        st.n[RATES_STALE] = 1
    return moved, looked


@kernel
def _fetch(st, i, node, pages, dests, total):
    # Brings `pages` of extent i to `node`, from the nodes that have more than their share of them.
    resident = resident_pages(st, i)
    left = pages
    for other in range(st.node_room.size):
        if other != node and left > 0:
            surplus = min(left, max(0, pages_on(st, i, other) - resident * dests[other] // total))
            _add(st, i, other, -surplus)
            _add(st, i, node, surplus)
            left -= surplus
    return pages - left


@kernel
def refresh_rates(st):
    """Works out anew how fast each pattern is with its memory where it is: on which nodes, in what pages."""
    st.n[RATES_STALE], st.n[SEEN_PHASE] = 0, -1
    for c in range(st.process_n.shape[0]):
        st.process_n[c, SEEN_PHASE - PHASE] = -1
    for q in range(st.pattern_rate.size):
        a = st.pattern_area[q]
        resident = max(1, st.area_end[a] - st.area_start[a] - st.area_swapped[a] - st.area_untouched[a])
        factor = 1.0
        for x in range(X_NODE, st.area_more.shape[1]):
            factor += (st.node_factor[st.pattern_random[q], x - X_NODE + 1] - 1.0) * st.area_more[a, x] / resident
        factor *= 1.0 - st.pattern_gain[q] * st.area_more[a, X_HUGE] / resident
        # In steps of half a percent, so that what DAMON can see stays valid while pages trickle.
        factor = math.floor(factor * 200.0 + 0.5) / 200.0
        st.pattern_rate[q] = 1.0 / (st.pattern_access_us[q] * factor + st.pattern_batch_us[q])
    for ph in range(st.phase_cost.size):
        cost = 0.0
        for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
            cost += st.pattern_weight[q] / st.pattern_rate[q]
        st.phase_cost[ph] = cost
