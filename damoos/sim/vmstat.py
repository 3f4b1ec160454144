"""What the simulated machine would tell of itself: free memory and time stalled for memory."""

from __future__ import annotations

from .jit import kernel
from .state import (
    C_FAULT,
    C_MEMORY,
    C_MEMORY_USED,
    C_STALL,
    C_SWAP_MEMORY,
    MAJOR_FAULTS,
    SWAPPED,
    UNTOUCHED,
    WORKLOAD_PAGES,
)


@kernel
def resident_pages(st):
    """Pages of the workload that are in memory."""
    return st.n[WORKLOAD_PAGES] - st.n[SWAPPED] - st.n[UNTOUCHED]


@kernel
def free_pages(st):
    """Free pages of the machine; what is in swap takes its share of memory too (zram), and others have theirs."""
    taken = st.c[C_MEMORY_USED] + resident_pages(st) + st.n[SWAPPED] * st.c[C_SWAP_MEMORY]
    return max(st.c[C_MEMORY] - taken, 0.0)


@kernel
def free_bp(st):
    """Share of memory that is free, basis points."""
    return int(free_pages(st) * 10_000.0 / st.c[C_MEMORY])


@kernel
def free_permil(st):
    """Share of memory that is free, permil. Kernel: damos_get_wmark_metric_value()."""
    return int(free_pages(st) * 1_000.0 / st.c[C_MEMORY])


@kernel
def memcg_used_bp(st):
    """Share of memory that the workload, alone in its cgroup, has in use, basis points."""
    return int(resident_pages(st) * 10_000.0 / st.c[C_MEMORY])


@kernel
def stall_us(st):
    """Time in which the workload was stalled for memory so far, whole µs: what counts of its major faults' time."""
    return int(st.n[MAJOR_FAULTS] * st.c[C_FAULT] * st.c[C_STALL])
