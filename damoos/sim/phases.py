"""masim's way of working: phases, and batches of accesses of one pattern.

A phase repeats batches; each batch picks one pattern by its weight and makes a fixed number of accesses (131,072) with
it, either sequentially with a stride, wrapping at the region's end, or at random. A phase is over after a time or after
an amount of work.
"""

from __future__ import annotations

import math

from .jit import kernel
from .rng import WORKLOAD, uniform
from .state import (
    BATCH_LEFT,
    C_BATCH,
    C_BY_TIME,
    C_LIMIT,
    DONE,
    END_PHASE,
    NOW,
    NR_RUNNING,
    PHASE,
    PHASE_ACCESSES,
    PHASE_END_AT,
    PHASE_START,
)

COARSE = 8.0
"""Fewer batches than that in a sampling interval are followed one by one."""


@kernel
def undisturbed_rate(st, ph):
    """Accesses per µs of phase `ph` with a CPU of its own and no faults."""
    return rate_now(st, ph, 1.0)


@kernel
def rate_now(st, ph, cpu_share):
    """The same per µs of wall time with a share of the CPU; a paced workload makes up for stolen CPU time."""
    rate = cpu_share / st.phase_cost[ph]
    limit = st.c[C_LIMIT]
    return min(rate, limit) if limit > 0.0 else rate


@kernel
def choose_pattern(st, first, last):
    u = uniform(st.rng, WORKLOAD)
    for q in range(first, last - 1):
        u -= st.pattern_weight[q]
        if u < 0.0:
            return q
    return last - 1


@kernel
def begin_phase(st):
    """Sets up the current phase; marks the end of the process after the last."""
    ph = st.n[PHASE]
    if ph >= st.n[END_PHASE]:
        st.n[DONE] = 1
        return
    st.f[PHASE_START] = st.f[NOW]
    st.f[PHASE_ACCESSES] = 0.0
    st.f[BATCH_LEFT] = 0.0
    first, last = st.phase_first[ph], st.phase_first[ph + 1]
    end = st.f[NOW] + st.phase_us[ph]
    if first == last or st.c[C_BY_TIME] != 0.0:
        if first < last:
            # masim looks at the clock after each batch, so a phase ends up to a batch late.
            end += uniform(st.rng, WORKLOAD) * st.c[C_BATCH] / undisturbed_rate(st, ph)
        st.f[PHASE_END_AT] = end
    else:
        st.f[PHASE_END_AT] = math.inf
    for q in range(first, last):
        st.area_at[st.pattern_area[q]] = 0.0
        if st.pattern_hardens[q] == 1:
            st.area_hard[st.pattern_area[q]] = 1


@kernel
def end_phase(st):
    ph = st.n[PHASE]
    st.phase_elapsed[ph] = st.f[NOW] - st.f[PHASE_START]
    st.phase_done[ph] = st.f[PHASE_ACCESSES]
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        a = st.pattern_area[q]
        step = 1.0 if st.pattern_random[q] == 1 else min(1.0, st.pattern_step[q])
        st.area_touched[a] += st.f[PHASE_ACCESSES] * st.pattern_weight[q] * step / (st.area_end[a] - st.area_start[a])
        st.area_last[a] = st.f[NOW]
    st.n[PHASE] = ph + 1
    begin_phase(st)


@kernel
def is_running(st):
    """Whether the workload, any process of it, makes accesses now (and does not sleep)."""
    if st.process_n.shape[0] > 1:
        return st.n[NR_RUNNING] > 0
    ph = st.n[PHASE]
    return st.n[DONE] == 0 and st.phase_first[ph] < st.phase_first[ph + 1]


@kernel
def phase_of(st, a):
    """The phase of the process that has area `a`; behind its last one, in which nothing is done, if it has ended."""
    if st.process_n.shape[0] == 1:
        return st.n[PHASE]
    return st.process_n[st.area_process[a], 0]


@kernel
def accesses_of(st, a):
    """Accesses in that phase so far."""
    if st.process_n.shape[0] == 1:
        return st.f[PHASE_ACCESSES]
    return st.process_f[st.area_process[a], PHASE_ACCESSES - PHASE_START]
