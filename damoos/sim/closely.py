"""The workload followed closely: one sampling interval in which phases may change and faults may rule."""

from __future__ import annotations

import math

from .faulting import absent_pages, fault_us, first_touch_us, isolate_stretch, to_come, touch_extent, touchable_pages
from .jit import kernel
from .memory import coalesce, fault_at_random, first_extent
from .phases import COARSE, choose_pattern, end_phase, undisturbed_rate
from .recorder import elapse
from .state import (
    BATCH_LEFT,
    C_BATCH,
    C_BY_TIME,
    C_LIMIT,
    C_READAHEAD,
    DEBT,
    DONE,
    NOW,
    PATTERN,
    PHASE,
    PHASE_ACCESSES,
    PHASE_END_AT,
)
from .visible import clear_hits, see, see_own_pages, see_sweep, touched_share, wrapped


@kernel
def advance_closely(st, interval_us, cpu_share):
    """Lets the workload run for one sampling interval in which phases may change and faults may rule.

    Sets what DAMON can see of that interval; ends early when the workload does. Returns the time that passed, µs.
    """
    clear_hits(st, 1)
    left = interval_us
    running = 0.0
    accesses = 0.0
    while left > 1e-6 and st.n[DONE] == 0:
        ph = st.n[PHASE]
        first, last = st.phase_first[ph], st.phase_first[ph + 1]
        dt = min(left, st.f[PHASE_END_AT] - st.f[NOW])
        if first == last:
            elapse(st, max(dt, 0.0))
            left -= max(dt, 0.0)
            if st.f[NOW] >= st.f[PHASE_END_AT] - 1e-6:
                end_phase(st)
            continue
        if st.f[DEBT] > 0.0:
            paid = min(st.f[DEBT], dt * cpu_share)
            st.f[DEBT] -= paid
            elapse(st, paid / cpu_share)
            running += paid / cpu_share
            left -= paid / cpu_share
            if st.f[NOW] >= st.f[PHASE_END_AT] - 1e-6:
                end_phase(st)
            continue
        todo = math.inf
        if st.c[C_BY_TIME] == 0.0:
            todo = st.phase_work[ph] - st.f[PHASE_ACCESSES]
        if last - first == 1:
            used, made = _consume(st, first, dt * cpu_share, todo, cpu_share)
        elif undisturbed_rate(st, ph) * interval_us / st.c[C_BATCH] >= COARSE:
            used, made = _consume_mixed(st, first, last, dt * cpu_share, todo, cpu_share)
        else:
            if st.f[BATCH_LEFT] <= 0.0:
                st.n[PATTERN] = choose_pattern(st, first, last)
                st.f[BATCH_LEFT] = st.c[C_BATCH]
            used, made = _consume(st, st.n[PATTERN], dt * cpu_share, min(todo, st.f[BATCH_LEFT]), cpu_share)
            st.f[BATCH_LEFT] -= made
        if used > dt * cpu_share + 0.01:
            st.f[DEBT] += used - dt * cpu_share
        wall = min(used / cpu_share, dt)
        st.f[PHASE_ACCESSES] += made
        accesses += made
        elapse(st, wall)
        running += wall
        left -= wall
        over = st.f[NOW] >= st.f[PHASE_END_AT] - 1e-6
        if st.c[C_BY_TIME] == 0.0:
            over = st.phase_work[ph] - st.f[PHASE_ACCESSES] <= 0.5
        if over:
            end_phase(st)
        elif wall <= 0.0 and made <= 0.0:
            left = 0.0
    if running > 0.0:
        see_own_pages(st, accesses)
    return interval_us - max(left, 0.0)


@kernel
def _consume_mixed(st, first, last, cpu_us, todo, cpu_share):
    # Many short batches of several patterns: each gets CPU time in proportion to weight times cost.
    total = 0.0
    for q in range(first, last):
        total += st.pattern_weight[q] * _cost_now(st, q)
    rate = 1.0 / total
    limit = st.c[C_LIMIT]
    if limit > 0.0:
        rate = min(rate, limit / cpu_share)
    made = min(cpu_us * rate, todo)
    used = 0.0
    for q in range(first, last):
        # Without a bound on time: what it takes more than the estimate above is paid off afterwards.
        spent, _ = _consume(st, q, math.inf, made * st.pattern_weight[q], cpu_share)
        used += spent
    if used > cpu_us:
        # a tiny remainder is rounding, not a debt
        st.f[DEBT] = used - cpu_us if used - cpu_us > 0.01 else 0.0
        used = cpu_us
    return used, made


@kernel
def _cost_now(st, q):
    # µs of CPU per access of pattern q with the pages that are absent now.
    swapped, untouched = absent_pages(st, q)
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    per_page = 1.0 if st.pattern_random[q] == 1 else min(st.pattern_step[q], 1.0)
    fault = fault_us(st, a) if st.pattern_random[q] == 1 else fault_us(st, a) / st.c[C_READAHEAD]
    return 1.0 / st.pattern_rate[q] + per_page * (swapped * fault + untouched * first_touch_us(st, a)) / pages


@kernel
def _consume(st, q, cpu_us, todo, cpu_share):
    # Pattern q runs for cpu_us of CPU time or `todo` accesses, whichever is less; returns (CPU time, accesses).
    rate = st.pattern_rate[q]
    limit = st.c[C_LIMIT]
    if limit > 0.0:
        rate = min(rate, limit / cpu_share)
    if st.pattern_random[q] == 1:
        return _consume_random(st, q, cpu_us, todo, rate)
    return _consume_sweep(st, q, cpu_us, todo, rate)


@kernel
def _consume_random(st, q, cpu_us, todo, rate):
    a = st.pattern_area[q]
    pages = float(st.area_end[a] - st.area_start[a])
    waiting = st.area_swapped[a] * fault_us(st, a) + st.area_untouched[a] * first_touch_us(st, a)
    m = min(cpu_us * rate, todo)
    used = m / rate
    if waiting > 0.0:
        # m accesses take m / rate + waiting (1 - exp(-m / pages)); Newton from below, the left side is concave.
        used = m / rate + waiting * touched_share(m / pages)
        if used > cpu_us:
            m = cpu_us / (1.0 / rate + waiting / pages)
            for _ in range(8):
                e = math.exp(-m / pages)
                gap = cpu_us - m / rate - waiting * (1.0 - e)
                if gap <= 1e-3 * cpu_us:
                    break
                m += gap / (1.0 / rate + waiting * e / pages)
            used = cpu_us
        fault_at_random(st, a, touched_share(m / pages))
    see(st, a, touched_share(m / pages))
    return used, m


@kernel
def _consume_sweep(st, q, cpu_us, todo, rate):
    a = st.pattern_area[q]
    pages = float(st.area_end[a] - st.area_start[a])
    step = st.pattern_step[q]
    used, made, covered = 0.0, 0.0, 0.0
    # Extent by extent while pages are absent, at most one pass; after that at the undisturbed rate.
    while covered < pages and used < cpu_us and made < todo and to_come(st, q):
        at = wrapped(st.area_at[a] + covered, pages)
        page = st.area_start[a] + int(at)
        i = first_extent(st, page)
        stretch = st.ext_end[i] - st.area_start[a] - at
        inside = float(st.ext_end[i] - st.ext_start[i])
        before_s, before_u = touchable_pages(st, q, i)
        per_page = (
            1.0 / (rate * step)
            + (before_s * fault_us(st, a) / st.c[C_READAHEAD] + before_u * first_touch_us(st, a)) / inside
        )
        go = min(stretch, pages - covered, (cpu_us - used) / per_page, (todo - made) * step)
        if before_s + before_u > 0:
            # Whole pages come in and are paid for, at least one; the caller takes a debt for what that is too much.
            go = max(math.floor(at + go), math.floor(at) + 1.0) - at
            i = isolate_stretch(st, i, page, page + int(math.floor(at + go) - math.floor(at)))
            # The rest of a huge page comes in with what is passed now.
            used += max(0.0, st.ext_end[i] - page - go - 1.0) * (before_u / inside) * first_touch_us(st, a)
            touch_extent(st, q, i)
        used += go * per_page
        made += go / step
        covered += max(go, 1e-3)
    if st.area_swapped[a] + st.area_untouched[a] == 0:
        coalesce(st, False)
    rest = min((cpu_us - used) * rate, todo - made)
    if rest > 0.0:
        made += rest
        covered += rest * step
        used += rest / rate
    if covered >= pages:
        see(st, a, 1.0 / step if step > 1.0 else 1.0)
        st.area_at[a] = wrapped(st.area_at[a] + covered, pages)
    else:
        see_sweep(st, a, covered, covered)
    return used, made
