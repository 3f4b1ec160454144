"""Access checks: which regions are seen accessed in a run of sampling intervals.

DAMON checks one page of each region in each sampling interval, drawn anew at random. Given what the workload does in
these intervals the checks of a region are independent, so the sum over n intervals is drawn at once: Binomial(n, p)
with p the mean over the region's pages. `check_each` does it check by check and is kept as the oracle.
Kernel: mm/damon/vaddr.c damon_va_prepare_access_checks(), damon_va_check_accesses(); 7.3.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import kernel
from .regions import sampled_end
from .rng import GOLDEN, MONITOR, below, binomial, binomial_of_few, by_inversion, mixed, uniform, unit
from .state import CUR, DRAW_SLOTS, MAX_NR_ACCESSES, NR_REGIONS, NR_SAMPLED

_OFTEN = 24
"""Draws for the same (n, p) after which a table pays."""
_ONE, _OPEN = 2.0**32, 255
"""In a table: a share of 1; another value that is not chosen yet."""
_MOSTLY_ALIKE = 0.15
"""Below that many expected hits, or misses, one uniform number mostly tells that there are none."""
_LOW32 = np.uint64(0xFFFFFFFF)
_LOW8 = np.uint64(0xFF)
_S32, _S8 = np.uint64(32), np.uint64(8)


@kernel
def _draw(rng, n, p):
    return binomial_of_few(rng, MONITOR, n, p) if n <= 64 else binomial(rng, MONITOR, n, p)


@kernel
def _draw_inside(st, a, hits, first, stop):
    # Draws for the regions `first` to `stop`, which lie in area a.
    n, p = st.hit_n[a], st.hit_p[a]
    if n <= 0 or p <= 0.0:
        return
    q = min(p, 1.0 - p)
    if q <= 0.0:
        for i in range(first, stop):
            hits[i] += n
    elif n * q < _MOSTLY_ALIKE:
        _draw_mostly_alike(st, hits, first, stop, n, p, q)
    elif n < DRAW_SLOTS and _has_table(st, a, stop - first):
        _draw_by_table(st, hits, first, stop, n, st.draw_table[a])
    else:
        for i in range(first, stop):
            hits[i] += _draw(st.rng, n, p)


@kernel
def _draw_mostly_alike(st, hits, first, stop, n, p, q):
    # One uniform number mostly tells that all n checks are hits, or none is.
    most = n if p > 0.5 else 0
    sure = 1.0 - n * q
    z = st.rng[MONITOR]
    for i in range(first, stop):
        z += GOLDEN
        u = unit(mixed(z))
        hits[i] += most
        if u >= sure:
            k = by_inversion(u, n, q)
            hits[i] += k if most == 0 else -k
    st.rng[MONITOR] = z


@kernel
def _has_table(st, a, more):
    # Whether there is a table for the (n, p) of area a, for which `more` draws are to be made now.
    n, p = st.hit_n[a], st.hit_p[a]
    if st.draw_n[a] != n or st.draw_p[a] != p:
        st.draw_n[a], st.draw_p[a], st.draw_uses[a] = n, p, 0
    if st.draw_uses[a] < _OFTEN:
        st.draw_uses[a] += more
        if st.draw_uses[a] < _OFTEN:
            return False
        _tabulate(st.draw_table[a], n, p)
    return True


@kernel
def _draw_by_table(st, hits, first, stop, n, table):
    slots = np.uint64(n + 1)
    z = st.rng[MONITOR]
    for i in range(first, stop):
        z += GOLDEN
        # The upper half of the random number chooses a slot and, by what is left, one of its two values.
        x = (mixed(z) >> _S32) * slots
        slot = x >> _S32
        entry = table[slot]
        hits[i] += np.int64(slot if (x & _LOW32) < (entry >> _S8) else entry & _LOW8)
    st.rng[MONITOR] = z


@kernel
def _tabulate(table, n, p):
    # An alias table (Walker 1977) of Binomial(n, p). A slot's entry is the share of its own value, in units of 2^-32,
    # and in the low 8 bits the slot's other value. Shares are whole numbers that add up, so that no slot is left over.
    slots = n + 1
    q = p if p <= 0.5 else 1.0 - p
    odds = q / (1.0 - q)
    # From the side where the first probability can't underflow.
    share = math.exp(n * math.log1p(-q)) * slots * _ONE
    left, greatest, mode = slots << 32, 0, 0
    for i in range(slots):
        whole = np.int64(share + 0.5)
        k = i if p <= 0.5 else n - i
        table[k] = np.uint64(whole << 8 | _OPEN)
        left -= whole
        if whole > greatest:
            greatest, mode = whole, k
        share *= odds * (n - i) / (i + 1)
    table[mode] = np.uint64((greatest + left) << 8 | _OPEN)
    # Slots below 1 are filled up from those above, which is followed from the left.
    big = 0
    for i in range(slots):
        small = i
        while small >= 0:
            entry = np.int64(table[small])
            if entry >> 8 >= 1 << 32 or entry & 255 != _OPEN:
                break
            while np.int64(table[big]) >> 8 <= 1 << 32:
                big += 1
            table[small] = np.uint64((entry | 255) - 255 + big)
            table[big] -= np.uint64(((1 << 32) - (entry >> 8)) << 8)
            # A slot left of i that fell below 1 must be filled now, it will not be visited again.
            small = big if big < i else -1


@kernel
def _swept_hits(st, a, lo, hi, size, n):
    # Hits that a slow sweep of area a leaves in its pages [lo, hi) (from 0 on) of a region of `size` pages.
    pages = float(st.area_end[a] - st.area_start[a])
    covered, at = st.sweep_pages[a], st.sweep_from[a]
    passes = math.floor(covered / pages)
    rest = covered - passes * pages
    x, y = float(lo), float(hi)
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
    view_start, view_end, view_area, sweep = st.view_start, st.view_end, st.view_area, st.sweep_pages
    v = i = 0
    while i < count:
        s, e = start[i], end[i]
        while v < view_end.size and view_end[v] <= s:
            v += 1
        if v == view_end.size:
            break
        first = i
        i += 1
        if view_start[v] <= s and e <= view_end[v] and sweep[view_area[v]] == 0.0:
            stop = view_end[v]
            while i < count and end[i] <= stop:
                i += 1
            _draw_inside(st, view_area[v], hits, first, i)
        elif view_start[v] < e:
            hits[first] += _draw_across(st, v, s, sampled_end(st, s, e), n)
    greatest = 0
    for i in range(count):
        greatest = max(greatest, hits[i])
    st.n[MAX_NR_ACCESSES] = greatest
    st.n[NR_SAMPLED] += count * n


@kernel
def _draw_across(st, v, s, e, n):
    # A draw for a region over several areas, or one that a slow sweep passes: from pages [s, e) of it; `v` is the first
    # of their pieces.
    expected, swept = 0.0, 0
    lo = max(s, st.view_start[v])
    while lo < e:
        a, hi = st.view_area[v], min(e, st.view_end[v])
        expected += (hi - lo) * (st.hit_p[a] * st.hit_n[a])
        if st.sweep_pages[a] > 0.0:
            shift = st.view_page[v] - st.view_start[v] - st.area_start[a]
            swept += _swept_hits(st, a, lo + shift, hi + shift, float(e - s), n)
        v += 1
        lo = st.view_start[v] if v < st.view_start.size else e
    if expected > 0.0:
        swept += _draw(st.rng, n, min(expected / ((e - s) * n), 1.0))
    return min(n, swept)


@kernel
def check_each(st):
    """The plain method for one sampling interval: a page of each region is drawn and checked."""
    cur = st.n[CUR]
    greatest = 0
    for i in range(st.n[NR_REGIONS]):
        s, e = st.start[cur, i], st.end[cur, i]
        page = s + below(st.rng, MONITOR, sampled_end(st, s, e) - s)
        for v in range(st.view_start.size):
            if st.view_start[v] <= page < st.view_end[v]:
                a = st.view_area[v]
                hit = st.hit_n[a] > 0 and uniform(st.rng, MONITOR) < st.hit_p[a]
                if not hit and st.sweep_pages[a] > 0.0:
                    pages = st.area_end[a] - st.area_start[a]
                    at = page - st.view_start[v] + st.view_page[v] - st.area_start[a] + 0.5
                    behind = (at - st.sweep_from[a]) % pages
                    hit = behind < st.sweep_pages[a]
                if hit:
                    st.nr_accesses[cur, i] += 1
        greatest = max(greatest, st.nr_accesses[cur, i])
    st.n[MAX_NR_ACCESSES] = greatest
    st.n[NR_SAMPLED] += st.n[NR_REGIONS]
