"""What the simulated machine would tell of itself: free memory and time stalled for memory."""

from __future__ import annotations

import math

from .jit import kernel
from .state import (
    C_FAULT,
    C_MEMORY,
    C_MEMORY_USED,
    C_PCP,
    C_STALL,
    C_SWAP_MEMORY,
    LISTED,
    MAJOR_FAULTS,
    NOW,
    SWAPPED,
    TAKEN,
    UNTOUCHED,
    WORKLOAD_PAGES,
    X_DEPRIO,
    X_NODE,
)

_LEAST_LIMIT = 1.0 / 16.0


@kernel
def resident_pages(st):
    """Pages of the workload that are in memory."""
    return st.n[WORKLOAD_PAGES] - st.n[SWAPPED] - st.n[UNTOUCHED]


@kernel
def free_pages(st):
    """Free pages of the machine as the kernel counts them.

    What is in swap takes its share of memory too (zram), and pages freed lately wait in per-CPU lists, where they don't
    count as free.
    """
    taken = resident_pages(st) + st.n[SWAPPED] * st.c[C_SWAP_MEMORY]
    return max(st.c[C_MEMORY] - st.c[C_MEMORY_USED] - taken - _listed_pages(st, taken), 0.0)


@kernel
def _listed_pages(st, taken):
    # Pages in per-CPU lists, now that the workload and its swap take `taken` pages. Frees go there up to a limit and
    # allocations come from there first. The limit, high when a run begins since much was allocated just before, shrinks
    # by an eighth every second. Kernel: mm/page_alloc.c nr_pcp_high(), decay_pcp_high(), 6.7 and later.
    most = st.c[C_PCP]
    if most == 0.0:
        return 0.0
    limit = max(most * 0.875 ** math.floor(st.f[NOW] / 1e6), most * _LEAST_LIMIT)
    st.f[LISTED] = min(max(st.f[LISTED] + st.f[TAKEN] - taken, 0.0), limit)
    st.f[TAKEN] = taken
    return st.f[LISTED]


@kernel
def free_permil(st):
    """Share of memory that is free, permil. Kernel: damos_get_wmark_metric_value()."""
    return int(free_pages(st) * 1_000.0 / st.c[C_MEMORY])


@kernel
def node_free_bp(st, node):
    """Share of a NUMA node's memory that is free, basis points; of a machine without tiers, node 0 is all of it."""
    if node < 0 or node >= st.node_room.size:
        return 10_000
    if st.node_room.size == 1:
        return int(free_pages(st) * 10_000.0 / st.c[C_MEMORY])
    return max(st.node_room[node], 0) * 10_000 // st.node_pages[node]


@kernel
def node_used_bp(st, node):
    """Share of a NUMA node's memory that is in use, basis points."""
    if node < 0 or node >= st.node_room.size:
        return 0
    if st.node_room.size == 1:
        return int((st.c[C_MEMORY] - free_pages(st)) * 10_000.0 / st.c[C_MEMORY])
    return (st.node_pages[node] - max(st.node_room[node], 0)) * 10_000 // st.node_pages[node]


@kernel
def memcg_used_bp(st, node, process):
    """Share of a NUMA node's memory that a process of the workload, or with -1 all of it, has in use, basis points."""
    if node < 0 or node >= st.node_room.size:
        return 0
    pages = resident_pages(st) if process < 0 else _pages_of_process(st, process)
    if st.node_room.size == 1:
        return int(pages * 10_000.0 / st.c[C_MEMORY])
    far = on_node = 0
    for x in range(X_NODE, st.area_more.shape[1]):
        for a in range(st.area_more.shape[0]):
            if process >= 0 and st.area_process[a] != process:
                continue
            far += st.area_more[a, x]
            if x == X_NODE + node - 1:
                on_node += st.area_more[a, x]
    # A few pages of the program itself have no place on a node.
    return min((on_node if node > 0 else pages - far) * 10_000 // st.node_pages[node], 10_000)


@kernel
def _pages_of_process(st, process):
    pages = 0
    for a in range(st.area_process.size):
        if st.area_process[a] == process and st.area_hot[a] == 0:
            pages += st.area_end[a] - st.area_start[a] - st.area_swapped[a] - st.area_untouched[a]
    return pages


@kernel
def active_bp(st):
    """Share of the workload's memory that is on the active lists, basis points: all but what was deprioritised."""
    inactive = 0
    if st.area_more.shape[1] > X_DEPRIO:
        for a in range(st.area_more.shape[0]):
            inactive += st.area_more[a, X_DEPRIO]
    return 10_000 - inactive * 10_000 // max(1, resident_pages(st))


@kernel
def stall_us(st):
    """Time in which the workload was stalled for memory so far, whole µs: what counts of its major faults' time."""
    return int(st.n[MAJOR_FAULTS] * st.c[C_FAULT] * st.c[C_STALL])
