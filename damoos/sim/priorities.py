"""Prioritisation under a quota: each region's score, and from which score on regions are applied to.

Restates mm/damon/ops-common.c damon_hot_score(), damon_cold_score() and the histogram of mm/damon/core.c
damos_adjust_quota() of Linux 7.3; up to 7.2 scores took the counter of the running window instead of the moving rate.
"""

from __future__ import annotations

from .filters import core_verdict
from .jit import kernel
from .patterns import matches
from .regions import left_of_window_bp, moving_sum, samples_per_aggregation
from .state import AGGR_US, CORE_PAGE, CUR, KERNEL, NR_REGIONS, V7_1, V7_3
from .tables import LIMIT_CORE, Q_ESZ, Q_MIN_SCORE, S_LIMITS, S_SCORE, S_W_AGE, S_W_NR, SCORE_COLD, SCORE_HOT

MAX_SCORE = 99


@kernel
def hot_score(nr_accesses, age, samples, aggr_us, weight_nr, weight_age):
    """0 (cold) to 99 (hot) of a region seen accessed `nr_accesses` times of `samples` for `age` aggregations.

    The age counts by the logarithm of its seconds, for accessed regions upwards, for others downwards.
    """
    frequency = nr_accesses * 100 // samples
    seconds = age * aggr_us // 1_000_000
    log = 0
    while seconds > 0 and log < 32:
        log += 1
        seconds >>= 1
    if frequency == 0:
        log = -log
    hotness = weight_nr * frequency + weight_age * ((log + 32) * 100 // 32 // 2)
    if weight_nr + weight_age > 0:
        hotness //= weight_nr + weight_age
    return min(max(hotness * MAX_SCORE // 100, 0), MAX_SCORE)


@kernel
def score(st, k, nr_accesses, rate, age):
    """The score of a region for scheme `k`: how hot for some actions, how cold for others, the same for the rest."""
    s = st.scheme[k]
    kind = s[S_SCORE]
    if kind != SCORE_HOT and kind != SCORE_COLD:
        return MAX_SCORE
    frequency = rate if st.n[KERNEL] >= V7_3 else nr_accesses
    hot = hot_score(frequency, age, samples_per_aggregation(st), st.n[AGGR_US], s[S_W_NR], s[S_W_AGE])
    return hot if kind == SCORE_HOT else MAX_SCORE - hot


@kernel
def set_min_score(st, k):
    """Sets the greatest score from which on the regions of scheme `k`'s pattern fill its effective quota."""
    histogram = st.histogram
    for i in range(histogram.size):
        histogram[i] = 0
    cur = st.n[CUR]
    left_bp = left_of_window_bp(st)
    filtered = st.scheme[k, S_LIMITS] & LIMIT_CORE != 0 and st.n[KERNEL] >= V7_1
    most = 0
    for i in range(st.n[NR_REGIONS]):
        start, end, age = st.start[cur, i], st.end[cur, i], st.age[cur, i]
        nr = st.nr_accesses[cur, i]
        rate = moving_sum(nr, st.last_nr_accesses[cur, i], left_bp)
        if not matches(st.scheme, k, (end - start) * st.n[CORE_PAGE], rate, age):
            continue
        pages = end - start
        if filtered:
            pages = _allowed_pages(st, k, start, end)
            if pages == 0:
                continue
        points = score(st, k, nr, rate, age)
        histogram[points] += pages * st.n[CORE_PAGE]
        most = max(most, points)
    esz = st.quota[k, Q_ESZ]
    total = histogram[most]
    while total < esz and most > 0:
        most -= 1
        total += histogram[most]
    st.quota[k, Q_MIN_SCORE] = most


@kernel
def _allowed_pages(st, k, start, end):
    pages = 0
    while start < end:
        rejected, _, upto = core_verdict(st, k, start, end)
        if not rejected:
            pages += upto - start
        start = upto
    return pages
