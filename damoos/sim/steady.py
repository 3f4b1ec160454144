"""Stretches in which the workload does the same all the time: many sampling intervals pass at once.

What happens in them is drawn from the same law as if they were followed one by one (`closely`).
"""

from __future__ import annotations

import math

from .faulting import FAULT_SHARE, any_to_come, even_share, fault_in_sweep, fault_time, slowed_by_faults, to_come
from .jit import kernel
from .memory import fault_at_random
from .phases import COARSE, choose_pattern, rate_now
from .recorder import elapse
from .rng import WORKLOAD, binomial
from .state import (
    BATCH_LEFT,
    C_BATCH,
    C_BY_TIME,
    C_LIMIT,
    DEBT,
    DONE,
    END_AREA,
    FIRST_AREA,
    NOW,
    PATTERN,
    PHASE,
    PHASE_ACCESSES,
    PHASE_END_AT,
    SEEN_ACCESSES,
    SEEN_PHASE,
    SEEN_US,
    SLOWDOWN,
    STEADY_ACCESSES,
)
from .visible import clear_hits, see, see_own_pages, see_sweep, touched_share, wrapped

_ABSENT_WINDOW_US = 250_000.0
"""While pages may still come in, resident memory is followed at least that closely."""


@kernel
def steady_intervals(st, wanted, interval_us, cpu_share):
    """How many of the next `wanted` sampling intervals lie in the current phase and are not ruled by faults.

    0 means that the next one must be followed closely (`advance_closely`).
    """
    if st.n[DONE] == 1 or st.f[DEBT] > 0.0:
        return 0
    ph = st.n[PHASE]
    if st.phase_first[ph] == st.phase_first[ph + 1]:
        return min(wanted, int((st.f[PHASE_END_AT] - st.f[NOW]) / interval_us))
    rate = rate_now(st, ph, cpu_share)
    left = st.f[PHASE_END_AT] - st.f[NOW]
    if st.c[C_BY_TIME] == 0.0:
        left = (st.phase_work[ph] - st.f[PHASE_ACCESSES]) / rate
    # The margin keeps the end of a phase out of a steady stretch in spite of the faults that slow it.
    n = wanted if left >= (wanted + 0.001) * interval_us else int(left / interval_us - 0.001)
    if n <= 0:
        return 0
    absent = any_to_come(st, ph)
    if not absent or st.c[C_LIMIT] > 0.0:
        st.f[STEADY_ACCESSES] = n * interval_us * rate
        if absent and fault_time(st, n * interval_us * rate) > FAULT_SHARE * n * interval_us * cpu_share:
            return 0
        return n
    n = max(1, min(n, int(_ABSENT_WINDOW_US / interval_us)))
    for _ in range(3):
        window = n * interval_us
        accesses = window * rate
        made, faults = slowed_by_faults(st, accesses, window * cpu_share)
        share = even_share(st, faults, made, window * cpu_share)
        if share >= 1.0:
            st.f[STEADY_ACCESSES] = made
            return n
        n = int(n * share)
        if n == 0:
            break
    return 0


@kernel
def advance_steadily(st, n, interval_us, cpu_share):
    """Lets the workload run for `n` sampling intervals found by `steady_intervals`; sets what DAMON can see of them."""
    window = n * interval_us
    ph = st.n[PHASE]
    first, last = st.phase_first[ph], st.phase_first[ph + 1]
    if first == last:
        clear_hits(st, n)
        elapse(st, window)
        return
    accesses = st.f[STEADY_ACCESSES]
    st.f[PHASE_ACCESSES] += accesses
    per_interval = accesses / n
    undisturbed = interval_us * rate_now(st, ph, cpu_share)
    if per_interval < 0.999 * undisturbed:
        # What DAMON can see is rounded to about 1 % when faults slow the workload, so that it stays valid.
        slowdown = math.log(per_interval / undisturbed) * 100.0
        if abs(slowdown - st.f[SLOWDOWN]) > 1.0:
            st.f[SLOWDOWN] = math.floor(slowdown + 0.5)
        per_interval = undisturbed * math.exp(st.f[SLOWDOWN] / 100.0)
    else:
        per_interval = undisturbed
    if last - first > 1 and per_interval < COARSE * st.c[C_BATCH]:
        clear_hits(st, n)
        see_own_pages(st, per_interval)
        _follow_batches(st, first, last, n, per_interval)
    else:
        _see_phase(st, ph, interval_us, per_interval)
        for a in range(st.n[FIRST_AREA], st.n[END_AREA]):
            st.hit_n[a] = n
            st.sweep_pages[a] = 0.0
        for q in range(first, last):
            _steady_pattern(st, q, n, per_interval, accesses * st.pattern_weight[q])
    elapse(st, window)


@kernel
def _see_phase(st, ph, interval_us, per_interval):
    # What DAMON can see of a sampling interval of phase ph with that many accesses, but for slow sweeps: the same from
    # stretch to stretch most of the time.
    if st.n[SEEN_PHASE] == ph and st.f[SEEN_US] == interval_us and st.f[SEEN_ACCESSES] == per_interval:
        return
    clear_hits(st, 0)
    st.n[SEEN_PHASE], st.f[SEEN_US], st.f[SEEN_ACCESSES] = ph, interval_us, per_interval
    see_own_pages(st, per_interval)
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        a, w = st.pattern_area[q], st.pattern_weight[q]
        pages = st.area_end[a] - st.area_start[a]
        # The chance that the pattern is chosen for any of the interval's batches.
        active = touched_share(st.pattern_evasion[q] * (per_interval / st.c[C_BATCH] + 1.0))
        st.pattern_active[q] = active
        per_active = per_interval * w / active
        step = st.pattern_step[q]
        if st.pattern_random[q] == 1:
            see(st, a, touched_share(per_active / pages))
        elif per_active * step >= pages:
            see(st, a, 1.0 / step if step > 1.0 else 1.0)


@kernel
def _steady_pattern(st, q, n, per_interval, accesses):
    # Pattern q makes `accesses` in those of the n sampling intervals in which it is active.
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    active = st.pattern_active[q]
    seen = n
    if active < 0.9999:
        seen = binomial(st.rng, WORKLOAD, n, active)
    absent = to_come(st, q)
    if st.pattern_random[q] == 1:
        st.hit_n[a] = seen
        if absent:
            fault_at_random(st, a, touched_share(accesses / pages))
        return
    step = st.pattern_step[q]
    covered = accesses * step
    if absent:
        fault_in_sweep(st, q, min(covered, float(pages)))
    swept = per_interval * st.pattern_weight[q] / active * step
    if swept >= pages:
        st.hit_n[a] = seen
        st.area_at[a] = wrapped(st.area_at[a] + covered, pages)
    else:
        see_sweep(st, a, covered, swept)


@kernel
def _follow_batches(st, first, last, n, per_interval):
    # Few batches in an interval: which patterns run when is drawn batch by batch.
    # In registers, since each store to an array might be to the place where these are.
    batch, batch_left, pattern = st.c[C_BATCH], st.f[BATCH_LEFT], st.n[PATTERN]
    for q in range(first, last):
        st.hit_n[st.pattern_area[q]] = 0
    # Where several patterns share an area the accesses of the last one count; masim configurations don't do that.
    for _ in range(n):
        left = per_interval
        for q in range(first, last):
            st.sweep_from[st.pattern_area[q]] = 0.0
        while left > 0.0:
            if batch_left <= 0.0:
                pattern = choose_pattern(st, first, last)
                batch_left = batch
            m = min(left, batch_left)
            batch_left -= m
            left -= m
            st.sweep_from[st.pattern_area[pattern]] += m
        for q in range(first, last):
            a = st.pattern_area[q]
            m = st.sweep_from[a]
            if m > 0.0:
                pages = st.area_end[a] - st.area_start[a]
                if st.pattern_random[q] == 1:
                    p = touched_share(m / pages)
                else:
                    step = st.pattern_step[q]
                    p = min(1.0, m * step / pages) / max(1.0, step)
                    st.area_at[a] = wrapped(st.area_at[a] + m * step, pages)
                st.hit_n[a] += 1
                st.hit_p[a] += p
                if st.area_swapped[a] + st.area_untouched[a] > 0:
                    fault_at_random(st, a, p)
    st.f[BATCH_LEFT], st.n[PATTERN] = batch_left, pattern
    for q in range(first, last):
        a = st.pattern_area[q]
        if st.hit_n[a] > 0:
            st.hit_p[a] /= st.hit_n[a]
