"""What the workload does with time: accesses, faults, progress through its phases.

masim's way of working: a phase repeats batches; each batch picks one pattern by its weight and makes a fixed number of
accesses (131,072) with it, either sequentially with a stride, wrapping at the region's end, or at random. A phase is
over after a time or after an amount of work. From that follow, for a time window, the chance that a page is touched
(what DAMON sees), the pages faulted in (what the workload pays), and how far the phase gets.

Within a window a sampled page of an area is touched
- for random access with probability 1 - exp(-accesses / pages),
- for a sequential sweep that passes the whole area within a sampling interval always,
- for a slower sweep when the sampled page lies in the stretch that the sweep covers in that interval.
"""

from __future__ import annotations

import math

from .jit import kernel
from .memory import bring_in, coalesce, cut_extent, fault_at_random, first_extent
from .recorder import elapse
from .rng import WORKLOAD, binomial, uniform
from .state import (
    BATCH_LEFT,
    C_BATCH,
    C_BY_TIME,
    C_FAULT,
    C_LIMIT,
    C_MINOR,
    C_READAHEAD,
    DEBT,
    DONE,
    MAJOR_FAULTS,
    NOW,
    NR_EXTENTS,
    PATTERN,
    PHASE,
    PHASE_ACCESSES,
    PHASE_END_AT,
    PHASE_START,
    SLOWDOWN,
    STEADY_ACCESSES,
)

_COARSE = 8.0
"""Fewer batches than that in a sampling interval are followed one by one."""
_FAULT_SHARE = 0.03
"""Faults that take a greater share of a window make it be followed sampling interval by sampling interval."""

_ABSENT_WINDOW_US = 250_000.0
"""While pages may still come in, resident memory is followed at least that closely."""
_TRICKLE = 0.2
"""Up to that many accesses per page in a window its absent pages hardly become fewer."""


@kernel
def touched_share(x):
    """Share of pages that are touched by `x` random accesses per page: 1 - exp(-x), quickly where it is easy."""
    if x < 0.02:
        return x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x / 24.0)))
    return 1.0 if x > 40.0 else 1.0 - math.exp(-x)


@kernel
def begin_phase(st):
    """Sets up the current phase; marks the end of the workload after the last."""
    ph = st.n[PHASE]
    if ph >= st.phase_us.size:
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


@kernel
def end_phase(st):
    ph = st.n[PHASE]
    st.phase_elapsed[ph] = st.f[NOW] - st.f[PHASE_START]
    st.phase_done[ph] = st.f[PHASE_ACCESSES]
    st.n[PHASE] = ph + 1
    begin_phase(st)


@kernel
def is_running(st):
    """Whether the workload makes accesses now (and does not sleep)."""
    ph = st.n[PHASE]
    return st.n[DONE] == 0 and st.phase_first[ph] < st.phase_first[ph + 1]


@kernel
def undisturbed_rate(st, ph):
    """Accesses per µs of phase `ph` with a CPU of its own and no faults."""
    cost = 0.0
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        cost += st.pattern_weight[q] / st.pattern_rate[q]
    rate = 1.0 / cost
    limit = st.c[C_LIMIT]
    return min(rate, limit) if limit > 0.0 else rate


@kernel
def _rate(st, ph, cpu_share):
    # Accesses per µs of wall time without faults; a paced workload makes up for stolen CPU time.
    cost = 0.0
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        cost += st.pattern_weight[q] / st.pattern_rate[q]
    rate = cpu_share / cost
    limit = st.c[C_LIMIT]
    return min(rate, limit) if limit > 0.0 else rate


@kernel
def _absent(st, q):
    # Pages of pattern q's area that it would have to fault in: (swapped, untouched). A stride above a page leaves
    # out pages, always the same ones.
    a = st.pattern_area[q]
    swapped, untouched = st.area_swapped[a], st.area_untouched[a]
    if st.pattern_random[q] == 0 and st.pattern_step[q] > 1.0 and swapped + untouched > 0:
        pages = st.area_end[a] - st.area_start[a]
        skipped = pages - math.ceil(pages / st.pattern_step[q])
        left = max(0, swapped + untouched - skipped)
        share = left / (swapped + untouched)
        return swapped * share, untouched * share
    return float(swapped), float(untouched)


@kernel
def _fault_time(st, accesses):
    # Expected time of the faults in the current phase's next `accesses`, µs.
    ph = st.n[PHASE]
    total = 0.0
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        swapped, untouched = _absent(st, q)
        if swapped + untouched <= 0.0:
            continue
        a = st.pattern_area[q]
        pages = st.area_end[a] - st.area_start[a]
        m = accesses * st.pattern_weight[q]
        if st.pattern_random[q] == 1:
            share = touched_share(m / pages)
            total += share * (swapped * st.c[C_FAULT] + untouched * st.c[C_MINOR])
        else:
            share = min(1.0, m * min(st.pattern_step[q], 1.0) / pages)
            total += share * (swapped * st.c[C_FAULT] / st.c[C_READAHEAD] + untouched * st.c[C_MINOR])
    return total


@kernel
def _any_absent(st, ph):
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        if _to_come(st, q):
            return True
    return False


@kernel
def _to_come(st, q):
    # Whether pages of pattern q's area are absent that it touches.
    a = st.pattern_area[q]
    if st.area_swapped[a] + st.area_untouched[a] == 0:
        return False
    swapped, untouched = _absent(st, q)
    return swapped + untouched > 0.5


@kernel
def _even_share(st, faults, made, cpu_us):
    # How much of a window is even in spite of faults, 1: all of it. They make it uneven when they take much of it and
    # the absent pages of an area become clearly fewer in it, or a sweep has stretches with and without them; a trickle
    # of random faults slows it evenly. `faults`: µs they would take without slowing anything; `made`: accesses.
    if faults <= _FAULT_SHARE * cpu_us:
        return 1.0
    share = 1.0
    ph = st.n[PHASE]
    for q in range(st.phase_first[ph], st.phase_first[ph + 1]):
        a = st.pattern_area[q]
        swapped, untouched = _absent(st, q)
        waiting = swapped * st.c[C_FAULT] + untouched * st.c[C_MINOR]
        if waiting > 0.3 * _FAULT_SHARE * cpu_us:
            if st.pattern_random[q] == 0:
                return 0.0
            pages = st.area_end[a] - st.area_start[a]
            share = min(share, _TRICKLE * pages / (made * st.pattern_weight[q]))
    return share


@kernel
def _slowed_by_faults(st, accesses, cpu_us):
    # How many accesses fit into cpu_us, of which `accesses` would fit without faults. Their time plus that of their
    # faults is concave and growing in the accesses; the root is found by regula falsi (Illinois). Returns the number
    # and the time of the faults that all of `accesses` would take.
    lo, hi = 0.0, accesses
    below, above = -cpu_us, _fault_time(st, accesses)
    made = accesses
    full = above
    if above <= 1e-3 * cpu_us:
        return made, full
    for _ in range(12):
        made = lo - below * (hi - lo) / (above - below)
        gap = made / accesses * cpu_us + _fault_time(st, made) - cpu_us
        if abs(gap) <= 2e-3 * cpu_us:
            break
        if gap < 0.0:
            lo, below = made, gap
            above *= 0.5
        else:
            hi, above = made, gap
            below *= 0.5
    return made, full


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
    rate = _rate(st, ph, cpu_share)
    left = st.f[PHASE_END_AT] - st.f[NOW]
    if st.c[C_BY_TIME] == 0.0:
        left = (st.phase_work[ph] - st.f[PHASE_ACCESSES]) / rate
    # The margin keeps the end of a phase out of a steady stretch in spite of the faults that slow it.
    n = wanted if left >= (wanted + 0.001) * interval_us else int(left / interval_us - 0.001)
    if n <= 0:
        return 0
    if not _any_absent(st, ph) or st.c[C_LIMIT] > 0.0:
        st.f[STEADY_ACCESSES] = n * interval_us * rate
        if _any_absent(st, ph) and _fault_time(st, n * interval_us * rate) > _FAULT_SHARE * n * interval_us * cpu_share:
            return 0
        return n
    n = max(1, min(n, int(_ABSENT_WINDOW_US / interval_us)))
    for _ in range(3):
        window = n * interval_us
        accesses = window * rate
        made, faults = _slowed_by_faults(st, accesses, window * cpu_share)
        share = _even_share(st, faults, made, window * cpu_share)
        if share >= 1.0:
            st.f[STEADY_ACCESSES] = made
            return n
        n = int(n * share)
        if n == 0:
            break
    return 0


@kernel
def _own_pages(st, running_us, rate):
    # The program's own code, variables and stack are touched around each batch.
    batch_us = st.c[C_BATCH] / rate
    p = min(1.0, running_us / batch_us)
    ph = st.n[PHASE]
    for a in range(st.area_hot.size):
        if st.area_hot[a] > 0 and st.area_phases[a, 0] <= ph <= st.area_phases[a, 1]:
            st.hit_p[a] = p * st.area_hot[a] / (st.area_end[a] - st.area_start[a])


@kernel
def clear_hits(st, n):
    for a in range(st.hit_p.size):
        st.hit_p[a] = 0.0
        st.hit_n[a] = n
        st.sweep_pages[a] = 0.0


@kernel
def advance_steadily(st, n, interval_us, cpu_share):
    """Lets the workload run for `n` sampling intervals found by `steady_intervals`; sets what DAMON can see of them."""
    window = n * interval_us
    clear_hits(st, n)
    ph = st.n[PHASE]
    first, last = st.phase_first[ph], st.phase_first[ph + 1]
    if first == last:
        elapse(st, window)
        return
    accesses = st.f[STEADY_ACCESSES]
    st.f[PHASE_ACCESSES] += accesses
    per_interval = accesses / n
    undisturbed = interval_us * _rate(st, ph, cpu_share)
    if per_interval < 0.999 * undisturbed:
        # What DAMON can see is rounded to about 1 % when faults slow the workload, so that tables stay valid.
        slowdown = math.log(per_interval / undisturbed) * 100.0
        if abs(slowdown - st.f[SLOWDOWN]) > 1.0:
            st.f[SLOWDOWN] = math.floor(slowdown + 0.5)
        per_interval = undisturbed * math.exp(st.f[SLOWDOWN] / 100.0)
    _own_pages(st, interval_us, per_interval / interval_us)
    batches = per_interval / st.c[C_BATCH]
    if last - first == 1:
        _steady_pattern(st, first, n, n, per_interval, accesses)
    elif batches >= _COARSE:
        for q in range(first, last):
            w = st.pattern_weight[q]
            active = 1.0 - (1.0 - w) ** (batches + 1.0)
            seen = binomial(st.rng, WORKLOAD, n, active) if active < 0.9999 else n
            _steady_pattern(st, q, n, seen, per_interval * w / active, accesses * w)
    else:
        _follow_batches(st, first, last, n, per_interval)
    elapse(st, window)


@kernel
def _steady_pattern(st, q, n, active, per_active, accesses):
    # Pattern q makes `per_active` accesses in each of `active` of the n sampling intervals, `accesses` altogether.
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    absent = _to_come(st, q)
    if st.pattern_random[q] == 1:
        st.hit_n[a] = active
        _see(st, a, touched_share(per_active / pages))
        if absent:
            fault_at_random(st, a, touched_share(accesses / pages))
        return
    step = st.pattern_step[q]
    density = 1.0 / step if step > 1.0 else 1.0
    per_interval = per_active * step
    covered = accesses * step
    if absent:
        _fault_in_sweep(st, q, min(covered, float(pages)))
    if per_interval >= pages:
        st.hit_n[a] = active
        _see(st, a, density)
        st.area_at[a] = (st.area_at[a] + covered) % pages
    else:
        _sweep(st, a, covered, per_interval)


@kernel
def _see(st, a, p):
    st.hit_p[a] = 1.0 - (1.0 - st.hit_p[a]) * (1.0 - p)


@kernel
def _sweep(st, a, covered, per_interval):
    pages = st.area_end[a] - st.area_start[a]
    if st.sweep_pages[a] == 0.0:
        st.sweep_from[a] = st.area_at[a]
        st.sweep_step[a] = per_interval
    else:
        st.sweep_step[a] = max(st.sweep_step[a], per_interval)
    st.sweep_pages[a] += covered
    st.area_at[a] = (st.area_at[a] + covered) % pages


@kernel
def _fault_in_sweep(st, q, covered):
    # The sweep of pattern q passes `covered` pages from its position, wrapping; absent pages there come in.
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    left = covered
    at = st.area_at[a]
    while left > 0.5 and _to_come(st, q):
        stop = min(float(pages), at + left)
        _fault_stretch(st, q, st.area_start[a] + int(at), st.area_start[a] + int(math.ceil(stop)))
        left -= stop - at
        at = 0.0
    if st.area_swapped[a] + st.area_untouched[a] == 0:
        coalesce(st, False)


@kernel
def _fault_stretch(st, q, start, end):
    i = first_extent(st, start)
    while i < st.n[NR_EXTENTS] and st.ext_start[i] < end:
        if st.ext_swapped[i] + st.ext_untouched[i] > 0:
            if st.ext_start[i] < start:
                cut_extent(st, i, start)
                if st.ext_end[i] <= start:
                    i += 1
                    continue
            cut_extent(st, i, end)
            _touch_extent(st, q, i)
        i += 1


@kernel
def _touch_extent(st, q, i):
    swapped, untouched = _touchable(st, q, i)
    bring_in(st, i, swapped, untouched)
    st.n[MAJOR_FAULTS] += int(math.ceil(swapped / st.c[C_READAHEAD]))


@kernel
def _touchable(st, q, i):
    # Absent pages of extent i that a sweep of pattern q touches, (swapped, untouched): all but those a stride skips.
    swapped, untouched = st.ext_swapped[i], st.ext_untouched[i]
    step = st.pattern_step[q]
    if step > 1.0 and swapped + untouched > 0:
        size = st.ext_end[i] - st.ext_start[i]
        skipped = size - int(math.ceil(size / step))
        taken = max(0, swapped + untouched - skipped)
        share = swapped / (swapped + untouched)
        swapped = int(taken * share + 0.5)
        untouched = taken - swapped
    return swapped, untouched


@kernel
def _follow_batches(st, first, last, n, per_interval):
    # Few batches in an interval: which patterns run when is drawn batch by batch.
    batch = st.c[C_BATCH]
    for q in range(first, last):
        st.hit_n[st.pattern_area[q]] = 0
    # Where several patterns share an area the accesses of the last one count; masim configurations don't do that.
    for _ in range(n):
        left = per_interval
        for q in range(first, last):
            st.sweep_from[st.pattern_area[q]] = 0.0
        while left > 0.0:
            if st.f[BATCH_LEFT] <= 0.0:
                st.n[PATTERN] = _choose(st, first, last)
                st.f[BATCH_LEFT] = batch
            m = min(left, st.f[BATCH_LEFT])
            st.f[BATCH_LEFT] -= m
            left -= m
            st.sweep_from[st.pattern_area[st.n[PATTERN]]] += m
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
                    st.area_at[a] = (st.area_at[a] + m * step) % pages
                st.hit_n[a] += 1
                st.hit_p[a] += p
                if st.area_swapped[a] + st.area_untouched[a] > 0:
                    fault_at_random(st, a, p)
    for q in range(first, last):
        a = st.pattern_area[q]
        if st.hit_n[a] > 0:
            st.hit_p[a] /= st.hit_n[a]


@kernel
def _choose(st, first, last):
    u = uniform(st.rng, WORKLOAD)
    for q in range(first, last - 1):
        u -= st.pattern_weight[q]
        if u < 0.0:
            return q
    return last - 1


@kernel
def advance_closely(st, interval_us, cpu_share):
    """Lets the workload run for one sampling interval in which phases may change and faults may rule.

    Sets what DAMON can see of that interval; ends early when the workload does. Returns the time that passed, µs.
    """
    clear_hits(st, 1)
    left = interval_us
    running = 0.0
    own_rate = 0.0
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
        own_rate = undisturbed_rate(st, ph)
        if last - first == 1:
            used, made = _consume(st, first, dt * cpu_share, todo, cpu_share)
        elif own_rate * interval_us / st.c[C_BATCH] >= _COARSE:
            used, made = _consume_mixed(st, first, last, dt * cpu_share, todo, cpu_share)
        else:
            if st.f[BATCH_LEFT] <= 0.0:
                st.n[PATTERN] = _choose(st, first, last)
                st.f[BATCH_LEFT] = st.c[C_BATCH]
            used, made = _consume(st, st.n[PATTERN], dt * cpu_share, min(todo, st.f[BATCH_LEFT]), cpu_share)
            st.f[BATCH_LEFT] -= made
        wall = min(used / cpu_share, dt)
        st.f[PHASE_ACCESSES] += made
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
        _own_pages(st, running, own_rate)
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
    swapped, untouched = _absent(st, q)
    a = st.pattern_area[q]
    pages = st.area_end[a] - st.area_start[a]
    per_page = 1.0 if st.pattern_random[q] == 1 else min(st.pattern_step[q], 1.0)
    fault = st.c[C_FAULT] if st.pattern_random[q] == 1 else st.c[C_FAULT] / st.c[C_READAHEAD]
    return 1.0 / st.pattern_rate[q] + per_page * (swapped * fault + untouched * st.c[C_MINOR]) / pages


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
    waiting = st.area_swapped[a] * st.c[C_FAULT] + st.area_untouched[a] * st.c[C_MINOR]
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
    _see(st, a, touched_share(m / pages))
    return used, m


@kernel
def _consume_sweep(st, q, cpu_us, todo, rate):
    a = st.pattern_area[q]
    pages = float(st.area_end[a] - st.area_start[a])
    step = st.pattern_step[q]
    used, made, covered = 0.0, 0.0, 0.0
    # Extent by extent while pages are absent, at most one pass; after that at the undisturbed rate.
    while covered < pages and used < cpu_us and made < todo and _to_come(st, q):
        at = (st.area_at[a] + covered) % pages
        page = st.area_start[a] + int(at)
        i = first_extent(st, page)
        stretch = st.ext_end[i] - st.area_start[a] - at
        inside = float(st.ext_end[i] - st.ext_start[i])
        before_s, before_u = _touchable(st, q, i)
        per_page = (
            1.0 / (rate * step) + (before_s * st.c[C_FAULT] / st.c[C_READAHEAD] + before_u * st.c[C_MINOR]) / inside
        )
        go = min(stretch, pages - covered, (cpu_us - used) / per_page, (todo - made) / (1.0 / step))
        if before_s + before_u > 0:
            stop = page + int(math.ceil(go))
            if st.ext_start[i] < page:
                cut_extent(st, i, page)
                if st.ext_end[i] <= page:
                    i += 1
            cut_extent(st, i, stop)
            if st.ext_start[i] >= page and st.ext_end[i] <= max(stop, page + 1):
                _touch_extent(st, q, i)
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
        _see(st, a, 1.0 / step if step > 1.0 else 1.0)
        st.area_at[a] = (st.area_at[a] + covered) % pages
    else:
        _sweep(st, a, covered, covered)
    return used, made
