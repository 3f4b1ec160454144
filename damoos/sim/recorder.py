"""The clock of a run, and what is written down while it passes."""

from __future__ import annotations

from .jit import kernel
from .state import (
    CUR,
    DAMON_ON,
    DONE,
    HUGE,
    KDAMOND_CPU,
    LAST_RSS,
    MAJOR_FAULTS,
    MUTED,
    NEXT_SAMPLE_AT,
    NOW,
    NR_REGIONS,
    NR_SAMPLES,
    NR_TRACE_REGIONS,
    NR_TRACE_ROWS,
    RSS_INTEGRAL,
    SAMPLE_EVERY,
    SWAP_IN,
    SWAP_OUT,
    SWAPPED,
    TRACE,
    UNTOUCHED,
    WORKLOAD_PAGES,
    X_NODE,
)


@kernel
def elapse(st, us):
    """Moves the clock; resident memory is taken to have changed evenly since the clock last moved. For one of several
    processes, whose time is also the others', only the clock."""
    if st.n[MUTED] == 1:
        st.f[NOW] += max(us, 0.0)
        return
    if us <= 0.0:
        return
    now, later = st.f[NOW], st.f[NOW] + us
    before = st.f[LAST_RSS]
    rss = float(st.n[WORKLOAD_PAGES] - st.n[SWAPPED] - st.n[UNTOUCHED])
    while st.f[NEXT_SAMPLE_AT] <= later and st.n[NR_SAMPLES] < st.samples.shape[0]:
        at = st.f[NEXT_SAMPLE_AT]
        _sample(st, at, before + (rss - before) * max(0.0, at - now) / us)
        st.f[NEXT_SAMPLE_AT] = at + st.f[SAMPLE_EVERY]
    st.f[RSS_INTEGRAL] += us * (before + rss) * 0.5
    st.f[NOW] = later
    st.f[LAST_RSS] = rss


@kernel
def _sample(st, at, rss):
    _fill(st, st.samples[st.n[NR_SAMPLES]], at, rss)
    st.n[NR_SAMPLES] += 1


@kernel
def show(st, row):
    """Writes down where the run is now: a sample, and whether the workload has ended."""
    _fill(st, row, st.f[NOW], st.f[LAST_RSS])
    row[10] = st.n[DONE]


@kernel
def _fill(st, row, at, rss):
    row[0], row[1] = at, rss
    row[2] = st.n[WORKLOAD_PAGES] - st.n[UNTOUCHED] - rss
    row[3], row[4], row[5] = st.n[MAJOR_FAULTS], st.n[SWAP_IN], st.n[SWAP_OUT]
    row[6] = st.f[KDAMOND_CPU]
    row[7] = st.n[NR_REGIONS] if st.n[DAMON_ON] == 1 else 0
    row[8] = st.n[HUGE]
    row[9] = 0
    for x in range(X_NODE, st.area_more.shape[1]):
        for a in range(st.area_more.shape[0]):
            row[9] += st.area_more[a, x]


@kernel
def last_sample(st):
    """One more sample at the end of the run."""
    if st.n[NR_SAMPLES] < st.samples.shape[0]:
        _sample(st, st.f[NOW], st.f[LAST_RSS])


@kernel
def trace_aggregation(st):
    """Keeps the regions as they are now: after merging and the schemes, before counters are reset."""
    if st.n[TRACE] == 0:
        return
    row, k = st.n[NR_TRACE_ROWS], st.n[NR_TRACE_REGIONS]
    count, cur = st.n[NR_REGIONS], st.n[CUR]
    st.trace_t[row] = st.f[NOW]
    for i in range(count):
        st.trace_regions[k + i, 0] = st.start[cur, i]
        st.trace_regions[k + i, 1] = st.end[cur, i] - st.start[cur, i]
        st.trace_regions[k + i, 2] = st.nr_accesses[cur, i]
        st.trace_regions[k + i, 3] = st.age[cur, i]
    st.n[NR_TRACE_ROWS] = row + 1
    st.n[NR_TRACE_REGIONS] = k + count
    st.trace_offset[row + 1] = k + count


@kernel
def buffers_full(st):
    """Whether Python must empty the buffers before the run can go on."""
    if st.n[NR_SAMPLES] + 512 >= st.samples.shape[0]:
        return True
    if st.n[TRACE] == 0:
        return False
    room = st.trace_regions.shape[0] - st.n[NR_TRACE_REGIONS]
    return st.n[NR_TRACE_ROWS] + 2 >= st.trace_t.size or room < st.start.shape[1] + 16
