"""The loop of kdamond, in simulated time, with the workload running beside it.

Restates mm/damon/core.c kdamond_fn() of Linux 7.3. The kernel counts sampling iterations; the simulator goes from event
to event (aggregation, scheme, operations update) and lets the iterations between two events pass at once.
"""

from __future__ import annotations

import math

import numpy as np

from .actions import in_background
from .attributes import schedule, set_intervals
from .handle import handle_at
from .idle import mark_checked
from .intervals import tune_intervals
from .jit import entry, kernel
from .lru import is_filling, relieve
from .monitor import check_accesses, check_each, note_greatest
from .phases import is_running
from .processes import advance_together, begin_all, owe, steady_together
from .recorder import buffers_full, elapse, last_sample, show, trace_aggregation
from .regions import (
    apply_min_nr_regions,
    count_pages,
    merge_regions,
    new_region,
    reset_aggregated,
    samples_per_aggregation,
    set_regions,
    split_evenly,
    split_regions,
)
from .schemes import apply_schemes
from .state import (
    ASKED_AGGR_US,
    ASKED_SAMPLE_US,
    BACKGROUND,
    C_COARSE,
    C_KHUGEPAGED,
    C_LIMIT_PAGES,
    C_REGION,
    C_SAMPLE,
    C_SHARED,
    C_SLACK,
    C_START,
    C_SWITCH,
    C_TICK,
    C_WAIT,
    CUR,
    DAMON_ON,
    DONE,
    EXACT,
    GOAL_AGGRS,
    KDAMOND_CPU,
    KERNEL,
    NEXT_AGGR,
    NEXT_OPS,
    NEXT_TUNE,
    NOW,
    NR_AGGREGATIONS,
    NR_REGIONS,
    OVERSLEPT,
    PASSED,
    RATES_STALE,
    REST_UNTIL,
    S_NEXT,
    SAMPLE_EVERY,
    SAMPLE_US,
    SUM_REGIONS,
    UPDATE_US,
    V7_1,
    WATERMARKS,
)
from .tiers import refresh_rates
from .watermarks import update_activations

_NO_DAMON_STEP_US = 5_000.0
# As a numpy integer, so that functions are not compiled again for the literal 0.
_NONE = np.int64(0)
_STRETCH_US = 250_000.0
"""Longest stretch that passes at once. It does not depend on when the caller wants to look: pausing changes nothing."""
_ROOM = 400
"""Samples that one stretch may write; `buffers_full` keeps room for more."""


@kernel
def turn_on(st):
    """Starts DAMON: the first regions of all targets, cut by the minimal number of regions; all schedules begin now."""
    cur = st.n[CUR]
    for i in range(st.first_start.size):
        new_region(st, cur, i, st.first_start[i], st.first_end[i])
    st.n[NR_REGIONS] = st.first_start.size
    count_pages(st)
    if st.n[KERNEL] < V7_1:
        split_evenly(st)
    apply_min_nr_regions(st)
    st.n[DAMON_ON] = 1
    if st.c[C_SHARED] != 0.0:
        owe(st, st.c[C_START])
    schedule(st)
    st.n[NEXT_TUNE] = st.n[NEXT_AGGR] * st.n[GOAL_AGGRS]


@kernel
def iteration(st):
    """(wall µs, kdamond's CPU µs, share of the CPU left to the workload) of a sampling iteration with today's regions.

    kdamond sleeps after its work, so the work lengthens the period; sleeps of `coarse_sleep_us` and more end on a timer
    tick, one tick later than asked.
    """
    cpu = st.c[C_SAMPLE] + st.c[C_REGION] * st.n[NR_REGIONS]
    shared = st.c[C_SHARED] != 0.0 and is_running(st)
    busy = cpu * (1.0 + st.c[C_WAIT]) if shared else cpu
    sleep = float(max(1, st.n[SAMPLE_US]))
    if sleep >= st.c[C_COARSE]:
        wall = _coarse_sleep(st, sleep) + math.floor(busy / st.c[C_TICK]) * st.c[C_TICK]
    else:
        # In steps of a five-hundredth of the interval, kept while they are within a step: far below the noise of real
        # wake-ups, and what DAMON can see stays valid from one aggregation to the next.
        step = sleep / 500.0
        over = (st.c[C_SLACK] + busy) / step
        if abs(over - st.f[OVERSLEPT]) > 1.0:
            st.f[OVERSLEPT] = math.floor(over + 0.5)
        wall = sleep + st.f[OVERSLEPT] * step
        busy = max(0.0, wall - sleep - st.c[C_SLACK])
    if not shared:
        return wall, cpu, 1.0
    return wall, cpu, 1.0 - min(0.9, (busy / (1.0 + st.c[C_WAIT]) + st.c[C_SWITCH]) / wall + st.f[BACKGROUND])


@kernel
def _coarse_sleep(st, us):
    return (math.ceil(us / st.c[C_TICK] - 1e-9) + 1.0) * st.c[C_TICK]


@kernel
def _workload_alone(st, most_us):
    left = min(most_us, _STRETCH_US, _ROOM * st.f[SAMPLE_EVERY])
    share = 1.0 - st.f[BACKGROUND]
    if is_filling(st):
        left = min(left, _NO_DAMON_STEP_US)
    n = steady_together(st, int(left / _NO_DAMON_STEP_US), _NO_DAMON_STEP_US, share)
    advance_together(st, n, min(left, _NO_DAMON_STEP_US), share)
    if st.c[C_LIMIT_PAGES] > 0.0:
        relieve(st)


@kernel
def _rest(st):
    # Sleeps while watermarks keep all schemes inactive; whether it does.
    if st.f[NOW] >= st.f[REST_UNTIL]:
        wait = update_activations(st)
        if wait == 0:
            return False
        us = float(wait)
        st.f[REST_UNTIL] = st.f[NOW] + (_coarse_sleep(st, us) if us >= st.c[C_COARSE] else us + st.c[C_SLACK])
    _workload_alone(st, st.f[REST_UNTIL] - st.f[NOW])
    return True


@kernel
def _sample(st, n):
    # n sampling iterations; fewer if the workload ends or they are long.
    done = 0
    while done < n and st.n[DONE] == 0:
        wall, cpu, share = iteration(st)
        if done == 0:
            n = min(n, max(1, int(min(_STRETCH_US, _ROOM * st.f[SAMPLE_EVERY]) / wall)))
        if st.n[EXACT] == 1:
            advance_together(st, _NONE, wall, share)
            check_each(st)
            mark_checked(st, np.int64(1))
            st.f[KDAMOND_CPU] += cpu
            done += 1
            continue
        m = steady_together(st, np.int64(1) if is_filling(st) else n - done, wall, share)
        advance_together(st, m, wall, share)
        m = max(m, 1)
        check_accesses(st, m)
        mark_checked(st, m)
        st.f[KDAMOND_CPU] += cpu * m
        if st.c[C_LIMIT_PAGES] > 0.0:
            relieve(st)
        done += m
    st.n[PASSED] += done
    note_greatest(st)


@kernel
def _next_event(st):
    event = st.n[NEXT_AGGR]
    if st.n[NEXT_OPS] < event:
        event = st.n[NEXT_OPS]
    for k in range(st.scheme.shape[0]):
        event = min(event, st.scheme[k, S_NEXT])
    return max(event, st.n[PASSED] + 1)


@kernel
def _kdamond(st):
    if st.n[WATERMARKS] != 0 and _rest(st):
        return
    _sample(st, _next_event(st) - st.n[PASSED])
    if st.n[DONE] == 1:
        return
    passed = st.n[PASSED]
    aggregated = passed >= st.n[NEXT_AGGR]
    if aggregated:
        merge_regions(st)
        apply_min_nr_regions(st)
    if st.n[WATERMARKS] != 0:
        # The kernel has looked a sampling interval ago.
        update_activations(st)
    apply_schemes(st)
    if st.n[DONE] == 1:
        return
    if aggregated:
        tune_intervals(st)
        st.n[NEXT_AGGR] = passed + samples_per_aggregation(st)
        st.n[NR_AGGREGATIONS] += 1
        st.n[SUM_REGIONS] += st.n[NR_REGIONS]
        trace_aggregation(st)
        reset_aggregated(st)
        split_regions(st)
    if passed >= st.n[NEXT_OPS]:
        st.n[NEXT_OPS] = passed + st.n[UPDATE_US] // max(1, st.n[SAMPLE_US])
        if st.range_start.size > 0:
            set_regions(st, st.range_start, st.range_end)


BEGIN, TURN_ON, SET_ATTRIBUTES, SET_TARGETS, RUN, FINISH, ADVANCE = range(7)
"""What `step` is asked to do: first sample and phase; DAMON on; other intervals after a commit; regions fitted to the
targets' first ones after it; go on until a time; the last sample; go on for a time."""


@kernel
def _step(st, what, until_us):
    if what == BEGIN:
        elapse(st, 1e-9)
        begin_all(st)
    elif what == TURN_ON:
        turn_on(st)
    elif what == SET_ATTRIBUTES:
        set_intervals(st, st.n[ASKED_SAMPLE_US], st.n[ASKED_AGGR_US])
    elif what == SET_TARGETS:
        set_regions(st, st.first_start, st.first_end)
    elif what == FINISH:
        last_sample(st)
    else:
        while st.n[DONE] == 0 and st.f[NOW] < until_us - 1e-6:
            if buffers_full(st):
                return True
            if st.ext_more.shape[1] > 0 and st.c[C_KHUGEPAGED] > 0.0:
                in_background(st)
            if st.n[RATES_STALE] == 1:
                refresh_rates(st)
            if st.n[DAMON_ON] == 1:
                _kdamond(st)
            else:
                _workload_alone(st, math.inf)
    return buffers_full(st)


@entry
def step(addresses, what, until_us, shown):
    """The only entry point, so that there is one thing to compile: does `what` to each run of a batch.

    `addresses`: int64 [N], of the tables of the runs' states; `until_us`: float64 [N]. RUN goes on to `until_us` or the
    end of the workload; for ADVANCE they are from now on, and are made absolute. `shown`: float64 [N, SHOWN], filled
    with where the runs are then. Returns True when buffers of a run are full and must be emptied before it can go on.
    """
    full = False
    for i in range(addresses.size):
        st = handle_at(addresses[i])
        if what == ADVANCE:
            until_us[i] += st.f[NOW]
        if _step(st, what, until_us[i]):
            full = True
        show(st, shown[i])
    return full
