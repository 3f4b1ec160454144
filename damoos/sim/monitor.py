"""Access checks: which regions are seen accessed in a run of sampling intervals.

DAMON checks one page of each region in each sampling interval, drawn anew at random. Given what the workload does in
these intervals the checks of a region are independent, so the sum over n intervals is drawn at once: Binomial(n, p)
with p the mean over the region's pages. `check_each` does it check by check and is kept as the oracle.
Kernel: mm/damon/vaddr.c damon_va_prepare_access_checks(), damon_va_check_accesses(); 7.3.
"""

from __future__ import annotations

import math

from .jit import kernel
from .rng import MONITOR, below, binomial, uniform
from .state import CUR, DRAW_SLOTS, MAX_NR_ACCESSES, NR_REGIONS, NR_SAMPLED

_OFTEN = 24
_ALIAS = -1
"""`State.draw_uses` of an area with an alias table."""


@kernel
def _draw_inside(st, a):
    # A draw for a region that lies in area a while there is no alias table for (n, p): by inversion of the cumulative
    # probabilities. They become an alias table (Walker 1977) when (n, p) turn out to be needed often.
    n, p = st.hit_n[a], st.hit_p[a]
    if n >= DRAW_SLOTS:
        return binomial(st.rng, MONITOR, n, p)
    table = st.draw_table[a]
    if st.draw_n[a] != n or st.draw_p[a] != p:
        st.draw_n[a], st.draw_p[a], st.draw_uses[a] = n, p, 0
        _tabulate(table, n, p)
    u = uniform(st.rng, MONITOR)
    k = 0
    while u >= table[k] and k < n:
        k += 1
    st.draw_uses[a] += 1
    if st.draw_uses[a] == _OFTEN:
        _alias(st, a)
    return k


@kernel
def _tabulate(table, n, p):
    # Cumulative probabilities of Binomial(n, p), from the side where the first term can't underflow.
    q = p if p <= 0.5 else 1.0 - p
    odds = q / (1.0 - q)
    term = math.exp(n * math.log1p(-q))
    total = 0.0
    for k in range(n):
        total += term
        table[k if p <= 0.5 else n - 1 - k] = total if p <= 0.5 else 1.0 - total
        term *= odds * (n - k) / (k + 1)
    table[n] = 1.0


@kernel
def _alias(st, a):
    # Turns the cumulative table of area a into an alias table.
    n = st.draw_n[a]
    share, other = st.draw_table[a], st.draw_alias[a]
    slots = n + 1
    for k in range(n, 0, -1):
        share[k] = (share[k] - share[k - 1]) * slots
    share[0] *= slots
    for k in range(slots):
        other[k] = -1
    # Slots below 1 are filled up from those above, which is followed from the left.
    big = 0
    for k in range(slots):
        small = k
        while small >= 0 and share[small] < 1.0 and other[small] < 0:
            while big < slots and (share[big] <= 1.0 or other[big] >= 0):
                big += 1
            if big == slots:
                other[small] = small
                break
            other[small] = big
            share[big] -= 1.0 - share[small]
            # A slot left of k that fell below 1 must be filled now, it will not be visited again.
            small = big if big < k else -1
    for k in range(slots):
        if other[k] < 0:
            other[k] = k
    st.draw_uses[a] = _ALIAS


@kernel
def _swept_hits(st, a, lo, hi, size, n):
    # Hits that a slow sweep of area a leaves in its pages [lo, hi) of a region of `size` pages.
    pages = float(st.area_end[a] - st.area_start[a])
    covered, at = st.sweep_pages[a], st.sweep_from[a]
    passes = math.floor(covered / pages)
    rest = covered - passes * pages
    x, y = float(lo - st.area_start[a]), float(hi - st.area_start[a])
    in_rest = max(0.0, min(y, at + rest) - max(x, at))
    if at + rest > pages:
        in_rest += max(0.0, min(y, at + rest - pages) - x)
    swept = passes * (y - x) + in_rest
    if swept <= 0.0:
        return 0
    step = min(st.sweep_step[a], y - x)
    expected = swept / step
    times = int(expected)
    if uniform(st.rng, MONITOR) < expected - times:
        times += 1
    return min(n, binomial(st.rng, MONITOR, times, step / size))


@kernel
def check_accesses(st, n):
    """Adds to each region's nr_accesses the hits of `n` sampling intervals that the workload has just run through."""
    cur, count = st.n[CUR], st.n[NR_REGIONS]
    start, end, hits = st.start[cur], st.end[cur], st.nr_accesses[cur]
    area_start, area_end, hit_p, hit_n, sweep = st.area_start, st.area_end, st.hit_p, st.hit_n, st.sweep_pages
    uses, table_n, table_p, share, other = st.draw_uses, st.draw_n, st.draw_p, st.draw_table, st.draw_alias
    rng = st.rng
    last_area = area_start.size
    a = 0
    greatest = 0
    for i in range(count):
        s, e = start[i], end[i]
        while a < last_area and area_end[a] <= s:
            a += 1
        k = 0
        if a < last_area and area_start[a] < e:
            if area_start[a] <= s and e <= area_end[a] and sweep[a] == 0.0:
                p, m = hit_p[a], hit_n[a]
                if p >= 1.0:
                    k = m
                elif p > 0.0 and m > 0:
                    if uses[a] == _ALIAS and table_n[a] == m and table_p[a] == p:
                        x = uniform(rng, MONITOR) * (m + 1)
                        slot = int(x)
                        # both sides are read: a branch would be mispredicted half of the time
                        alias = other[a, slot]
                        k = slot if x - slot < share[a, slot] else alias
                    elif m == 1:
                        k = 1 if uniform(rng, MONITOR) < p else 0
                    else:
                        k = _draw_inside(st, a)
            else:
                k = _draw_across(st, a, s, e, n)
        total = hits[i] + k
        hits[i] = total
        greatest = max(greatest, total)
    st.n[MAX_NR_ACCESSES] = greatest
    st.n[NR_SAMPLED] += count * n


@kernel
def _draw_across(st, a, s, e, n):
    # A draw for a region [s, e) over several areas, or one that a slow sweep passes; `a` is the first of them.
    size = float(e - s)
    p, swept = 0.0, 0
    while a < st.area_start.size and st.area_start[a] < e:
        lo, hi = max(s, st.area_start[a]), min(e, st.area_end[a])
        if st.hit_p[a] > 0.0 and st.hit_n[a] > 0:
            p += (hi - lo) / size * st.hit_p[a] * st.hit_n[a] / n
        if st.sweep_pages[a] > 0.0:
            swept += _swept_hits(st, a, lo, hi, size, n)
        a += 1
    return min(n, swept + binomial(st.rng, MONITOR, n, min(p, 1.0)))


@kernel
def check_each(st):
    """The plain method for one sampling interval: a page of each region is drawn and checked."""
    cur = st.n[CUR]
    greatest = 0
    for i in range(st.n[NR_REGIONS]):
        s, e = st.start[cur, i], st.end[cur, i]
        page = s + below(st.rng, MONITOR, e - s)
        for a in range(st.area_start.size):
            if st.area_start[a] <= page < st.area_end[a]:
                hit = st.hit_n[a] > 0 and uniform(st.rng, MONITOR) < st.hit_p[a]
                if not hit and st.sweep_pages[a] > 0.0:
                    pages = st.area_end[a] - st.area_start[a]
                    behind = (page + 0.5 - st.area_start[a] - st.sweep_from[a]) % pages
                    hit = behind < st.sweep_pages[a]
                if hit:
                    st.nr_accesses[cur, i] += 1
        greatest = max(greatest, st.nr_accesses[cur, i])
    st.n[MAX_NR_ACCESSES] = greatest
    st.n[NR_SAMPLED] += st.n[NR_REGIONS]
