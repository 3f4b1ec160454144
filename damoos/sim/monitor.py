"""Access checks: which regions are seen accessed in a run of sampling intervals.

DAMON checks one page of each region in each sampling interval, drawn anew at random. Given what the workload does in
these intervals the checks of a region are independent, so the sum over n intervals is drawn at once: Binomial(n, p)
with p the mean over the region's pages. `check_each` does it check by check and is kept as the oracle.
Kernel: mm/damon/vaddr.c damon_va_prepare_access_checks(), damon_va_check_accesses(); 7.3.

The binomial numbers of all regions are drawn side by side, without a jump that depends on a draw, so that several
regions share an instruction. The checks of a region are the bits of a word; binary digits of their uniform numbers are
drawn, first digit first, for those checks whose numbers don't differ from p yet. Regions that are surely hit or surely
not, as most are, are left out; the others get the numbers that they would get if none was.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import kernel
from .regions import sampled_end
from .rng import GOLDEN, MONITOR, below, binomial, mixed, ones, uniform
from .state import CUR, MAX_NR_ACCESSES, NR_REGIONS, NR_SAMPLED, SIDE_BY_SIDE

_AT_ONCE, _MANY = 21, 105
"""Checks of a region that a word has three digits for; from how many on one draw for all of them takes less time."""
_NONE, _ONE, _S1, _S63 = (np.uint64(x) for x in (0, 1, 1, 63))
_DIGITS = 9
"""That many are drawn for all checks; they leave one region in twenty undecided."""
_TO_DIGITS, _S11 = 2.0**53, np.uint64(11)
_SECOND, _THIRD, _DRAWN = (np.uint64(x) for x in (_AT_ONCE, 2 * _AT_ONCE, _DIGITS))
_OF_A_REGION = np.uint64(3 * int(GOLDEN) % 2**64)
"""By how much counters differ from region to region, which each have three numbers."""


@kernel
def check_accesses(st, n):
    """Adds to each region's nr_accesses the hits of `n` sampling intervals that the workload has just run through."""
    hits, count = st.nr_accesses[st.n[CUR]], st.n[NR_REGIONS]
    v = 0
    for i in range(0, count, SIDE_BY_SIDE):
        stop = min(i + SIDE_BY_SIDE, count)
        v, any_chance, open_ones = _find_chances(st, n, i, stop, v)
        if not any_chance:
            continue
        if n < _MANY:
            for first in range(0, n, _AT_ONCE):
                _draw_some(st, hits, i, stop - i, open_ones, first)
        else:
            for j in range(open_ones):
                hits[i + st.place[j]] += binomial(st.rng, MONITOR, st.checks[j], st.chance[j])
    st.n[NR_SAMPLED] += count * n


@kernel
def note_greatest(st):
    """Notes the greatest nr_accesses so far, which merging goes by."""
    hits = st.nr_accesses[st.n[CUR]]
    greatest = 0
    for i in range(st.n[NR_REGIONS]):
        greatest = max(greatest, hits[i])
    st.n[MAX_NR_ACCESSES] = greatest


@kernel
def _find_chances(st, n, begin, count, v):
    # For regions `begin` to `count`: those with checks that find an access by chance, with how many and which chance;
    # checks that surely do are counted here. `v`: a piece at or before the first region. Returns that of the last,
    # whether there is any chance, and how many regions there are that have checks with one.
    start, end, hits = st.start[st.n[CUR]], st.end[st.n[CUR]], st.nr_accesses[st.n[CUR]]
    view_start, view_end, view_area, sweep = st.view_start, st.view_end, st.view_area, st.sweep_pages
    chance, checks, place = st.chance, st.checks, st.place
    any_chance = 0.0
    i, k = begin, 0
    while i < count:
        s, e = start[i], end[i]
        while v < view_end.size and view_end[v] <= s:
            v += 1
        p, tried, stop = 0.0, n, e
        if v < view_end.size and view_start[v] < e:
            a = view_area[v]
            if view_start[v] <= s and e <= view_end[v] and sweep[a] == 0.0:
                # So do the regions up to the end of the piece.
                p, tried, stop = st.hit_p[a], st.hit_n[a], view_end[v]
            else:
                p = _chance_across(st, hits, i, v, s, sampled_end(st, s, e), n)
        sure = 0
        if p >= 1.0:
            p, sure = 0.0, tried
        any_chance += p
        first = i
        while i < count and end[i] <= stop:
            i += 1
        if p > 0.0 and tried > 0:
            for j in range(first, i):
                chance[k], checks[k], place[k] = p, tried, j - begin
                k += 1
        elif sure > 0:
            for j in range(first, i):
                hits[j] += sure
    return v, any_chance > 0.0, k


@kernel
def _chance_across(st, hits, i, v, s, e, n):
    # Of region i over several areas, or one that a slow sweep passes: from its pages [s, e); `v` is the first of their
    # pieces. What a sweep leaves is counted here, with the other hits.
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
    p = expected / ((e - s) * n)
    if swept > 0:
        hits[i] += min(n, swept + binomial(st.rng, MONITOR, n, p))
        return 0.0
    return p


@kernel
def _draw_some(st, hits, begin, count, open_ones, first):
    # Hits of the first `open_ones` in `place`, of `count` regions from `begin` on, among the checks from `first` on, as
    # many as a word has digits for.
    chance, checks, place, undecided, drawn = st.chance, st.checks, st.place, st.undecided, st.drawn
    z0 = st.rng[MONITOR]
    for k in range(open_ones):
        z = z0 + np.uint64(place[k]) * _OF_A_REGION
        digits = np.uint64(np.int64(chance[k] * _TO_DIGITS)) << _S11
        n = min(max(checks[k] - first, 0), _AT_ONCE)
        hit, left = _NONE, (_ONE << np.uint64(n)) - _ONE
        hit, left, digits = _three_digits(z, hit, left, digits)
        hit, left, digits = _three_digits(z + GOLDEN, hit, left, digits)
        hit, left, digits = _three_digits(z + GOLDEN + GOLDEN, hit, left, digits)
        drawn[k] = ones(hit)
        undecided[k] = left if digits != _NONE else _NONE
    z = z0 + np.uint64(count) * _OF_A_REGION
    for k in range(open_ones):
        left, more = undecided[k], drawn[k]
        if left != _NONE:
            digits = np.uint64(np.int64(chance[k] * _TO_DIGITS)) << (_S11 + _DRAWN)
            hit = _NONE
            while left != _NONE and digits != _NONE:
                hit, left, digits = _digit(mixed(z), hit, left, digits)
                z += GOLDEN
            more += ones(hit)
        hits[begin + place[k]] += more
    st.rng[MONITOR] = z


@kernel
def _three_digits(z, hit, left, digits):
    drawn = mixed(z)
    hit, left, digits = _digit(drawn, hit, left, digits)
    hit, left, digits = _digit(drawn >> _SECOND, hit, left, digits)
    return _digit(drawn >> _THIRD, hit, left, digits)


@kernel
def _digit(drawn, hit, left, digits):
    # The next digit of each check in `left`: below p's it is a hit, above it none, else undecided.
    of_p = _NONE - (digits >> _S63)
    return hit | (left & ~drawn & of_p), left & ~(drawn ^ of_p), digits << _S1


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
def check_each(st):
    """The plain method for one sampling interval: a page of each region is drawn and checked."""
    cur = st.n[CUR]
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
    st.n[NR_SAMPLED] += st.n[NR_REGIONS]
