"""Access checks: which regions are seen accessed in a run of sampling intervals.

DAMON checks one page of each region in each sampling interval, drawn anew at random. Given what the workload does in
these intervals the checks of a region are independent, so the sum over n intervals is drawn at once: Binomial(n, p) with
p the mean over the region's pages. `check_each` does it check by check and is kept as the oracle.
Kernel: mm/damon/vaddr.c damon_va_prepare_access_checks(), damon_va_check_accesses(); 7.3.
"""

from __future__ import annotations

import math

from .jit import kernel
from .rng import MONITOR, below, binomial, uniform
from .state import CUR, NR_REGIONS, NR_SAMPLED


@kernel
def _draw_inside(st, a):
    # A draw for a region that lies in area a, by inversion in a table kept while (n, p) stay the same.
    n, p = st.hit_n[a], st.hit_p[a]
    if p <= 0.0 or n <= 0:
        return 0
    if p >= 1.0:
        return n
    if n >= st.draw_cdf.shape[1]:
        return binomial(st.rng, MONITOR, n, p)
    if st.draw_n[a] != n or st.draw_p[a] != p:
        _tabulate(st, a, n, p)
    u = uniform(st.rng, MONITOR)
    cdf = st.draw_cdf[a]
    k = 0
    while u >= cdf[k]:
        k += 1
    return k


@kernel
def _tabulate(st, a, n, p):
    st.draw_n[a], st.draw_p[a] = n, p
    odds = p / (1.0 - p)
    term = math.exp(n * math.log1p(-p))
    total = 0.0
    for k in range(n):
        total += term
        st.draw_cdf[a, k] = total
        term *= odds * (n - k) / (k + 1)
    st.draw_cdf[a, n] = 2.0
    if term == 0.0 and total == 0.0:
        # p so near to 1 that the first term underflows: everything hits but for a chance below 1e-300.
        st.draw_cdf[a, 0] = 0.0


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
    last_area = st.area_start.size
    a = 0
    for i in range(count):
        s, e = start[i], end[i]
        while a < last_area and st.area_end[a] <= s:
            a += 1
        if a == last_area:
            break
        if st.area_start[a] >= e:
            continue
        if st.area_start[a] <= s and e <= st.area_end[a] and st.sweep_pages[a] == 0.0:
            hits[i] += _draw_inside(st, a)
            continue
        size = float(e - s)
        p, swept = 0.0, 0
        b = a
        while b < last_area and st.area_start[b] < e:
            lo, hi = max(s, st.area_start[b]), min(e, st.area_end[b])
            if st.hit_p[b] > 0.0 and st.hit_n[b] > 0:
                p += (hi - lo) / size * st.hit_p[b] * st.hit_n[b] / n
            if st.sweep_pages[b] > 0.0:
                swept += _swept_hits(st, b, lo, hi, size, n)
            b += 1
        hits[i] += min(n, swept + binomial(st.rng, MONITOR, n, min(p, 1.0)))
    st.n[NR_SAMPLED] += count * n


@kernel
def check_each(st):
    """The plain method for one sampling interval: a page of each region is drawn and checked."""
    cur = st.n[CUR]
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
    st.n[NR_SAMPLED] += st.n[NR_REGIONS]
