"""Where runs are, in numbers that `fleet.Looks` names, and how much memory is how hot and how long idle."""

from __future__ import annotations

import math

import numpy as np

from .handle import handle_at
from .jit import entry, kernel
from .layout import PAGE
from .state import (
    AGGR_US,
    C_FAULT,
    C_STALL,
    CORE_PAGE,
    CUR,
    DAMON_ON,
    DONE,
    END_PHASE,
    KDAMOND_CPU,
    LAST_RSS,
    MAJOR_FAULTS,
    NOW,
    NR_AGGREGATIONS,
    NR_REGIONS,
    PHASE,
    PHASE_ACCESSES,
    PHASE_END_AT,
    PHASE_START,
    RSS_INTEGRAL,
    SAMPLE_US,
    ST_SZ_APPLIED,
    ST_SZ_TRIED,
    SWAP_IN,
    SWAP_OUT,
    UNTOUCHED,
    WORKLOAD_PAGES,
)
from .tables import Q_ESZ

FLOATS = ("t_s", "work_done_ms", "byte_s", "kdamond_cpu_s", "stall_s")
INTS = (
    "rss_bytes",
    "swap_bytes",
    "major_faults",
    "swap_in_pages",
    "swap_out_pages",
    "nr_regions",
    "esz_bytes",
    "sz_tried",
    "sz_applied",
    "done",
)
"""Columns of what `look` fills, in this order."""


@kernel
def _part_left_us(st, phase, end, by_time, since, accesses):
    # Of one process: phases to come, and the running one's rest.
    left = 0.0
    for p in range(phase, end):
        left += st.phase_us[p]
    part = st.f[NOW] - since if by_time else accesses
    whole = st.phase_us[phase] if by_time else st.phase_work[phase]
    if whole > 0.0:
        left -= st.phase_us[phase] * min(part / whole, 1.0)
    return left


@kernel
def work_left_us(st):
    """See `outcome.work_left_ms`."""
    if st.process_n.shape[0] == 1:
        by_time = math.isfinite(st.f[PHASE_END_AT])
        left = _part_left_us(st, st.n[PHASE], st.n[END_PHASE], by_time, st.f[PHASE_START], st.f[PHASE_ACCESSES])
        return max(0.0, left)
    most = 0.0
    for c in range(st.process_n.shape[0]):
        n, f = st.process_n[c], st.process_f[c]
        by_time = math.isfinite(f[PHASE_END_AT - PHASE_START])
        accesses = f[PHASE_ACCESSES - PHASE_START]
        most = max(most, _part_left_us(st, n[0], n[END_PHASE - PHASE], by_time, f[0], accesses))
    return most


@kernel
def bytes_by(st, rate_edges, idle_edges_s, found):
    """Fills `found` [rates, idle times] with the bytes of the regions that `SimSession.snapshot` shows.

    Row r: access rates up to `rate_edges[r]` and above the edge before; the last one all above. Column c: without an
    access for `idle_edges_s[c]` s and more, below the next; what has accesses is in column 0.
    """
    for r in range(found.shape[0]):
        for c in range(found.shape[1]):
            found[r, c] = 0.0
    if st.n[DAMON_ON] == 0:
        return
    cur = st.n[CUR]
    counters = st.last_nr_accesses[cur] if st.n[NR_AGGREGATIONS] > 0 else st.nr_accesses[cur]
    start, end, age = st.start[cur], st.end[cur], st.age[cur]
    aggr_us = st.n[AGGR_US]
    samples = max(1, aggr_us // max(1, st.n[SAMPLE_US]))
    for i in range(st.n[NR_REGIONS]):
        r = c = 0
        if counters[i] > 0:
            rate = counters[i] / samples
            while r < rate_edges.size and rate > rate_edges[r]:
                r += 1
        else:
            idle_s = age[i] * aggr_us / 1e6
            while c + 1 < idle_edges_s.size and idle_s >= idle_edges_s[c + 1]:
                c += 1
        found[r, c] += (end[i] - start[i]) * PAGE


@entry
def look(addresses, rss_base_bytes, duration_ms, rate_edges, idle_edges_s, floats, ints, by):
    """Fills `floats` [N, FLOATS], `ints` [N, INTS] and `by` [N, rates, idle times] with where the runs are.

    `addresses`: int64 [N], of the tables of the runs' states; `rss_base_bytes`: int64 [N]; `duration_ms`: float64 [N],
    nominal ones of the workloads.
    """
    for i in range(addresses.size):
        st = handle_at(addresses[i])
        n, f = st.n, st.f
        floats[i, 0] = f[NOW] / 1e6
        floats[i, 1] = duration_ms[i] - work_left_us(st) / 1e3
        floats[i, 2] = (f[RSS_INTEGRAL] * PAGE + f[NOW] * rss_base_bytes[i]) / 1e6
        floats[i, 3] = f[KDAMOND_CPU] / 1e6
        floats[i, 4] = n[MAJOR_FAULTS] * st.c[C_FAULT] * st.c[C_STALL] / 1e6
        rss = np.int64(f[LAST_RSS])
        ints[i, 0] = rss * PAGE + rss_base_bytes[i]
        ints[i, 1] = (n[WORKLOAD_PAGES] - n[UNTOUCHED] - rss) * PAGE
        ints[i, 2], ints[i, 3], ints[i, 4] = n[MAJOR_FAULTS], n[SWAP_IN], n[SWAP_OUT]
        ints[i, 5] = n[NR_REGIONS] if n[DAMON_ON] == 1 else 0
        unit = PAGE // n[CORE_PAGE]
        schemes = st.scheme.shape[0] > 0
        ints[i, 6] = st.quota[0, Q_ESZ] * unit if schemes else 0
        ints[i, 7] = st.stats[0, ST_SZ_TRIED] * unit if schemes else 0
        ints[i, 8] = st.stats[0, ST_SZ_APPLIED] * unit if schemes else 0
        ints[i, 9] = n[DONE]
        bytes_by(st, rate_edges, idle_edges_s, by[i])
