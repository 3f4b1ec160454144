"""Goals of quotas: the feedback loop that tunes a quota until a metric has its target value.

Restates mm/damon/core.c damon_feed_loop_next_input(), damos_quota_score(), damos_goal_tune_esz_bp_consist() and
..._temporal() of Linux 7.3. Scores are basis points, 10,000 being the goal; arithmetic is unsigned 64 bit.
"""

from __future__ import annotations

import numpy as np

from .eligible import eligible_bp
from .jit import kernel
from .tables import (
    G_CURRENT,
    G_GROUP,
    G_LAST,
    G_METRIC,
    G_NODE,
    G_TARGET,
    METRIC_ACTIVE,
    METRIC_ELIGIBLE,
    METRIC_INACTIVE,
    METRIC_MEMCG_FREE,
    METRIC_MEMCG_USED,
    METRIC_NODE_FREE,
    METRIC_NODE_USED,
    METRIC_PSI,
    Q_ESZ_BP,
    S_BYTES,
    S_FIRST_GOAL,
    S_LAST_GOAL,
    S_TUNER,
    TUNER_TEMPORAL,
)
from .vmstat import active_bp, memcg_used_bp, node_free_bp, node_used_bp, stall_us

_GOAL = np.uint64(10_000)
_TWICE = np.uint64(20_000)
_LEAST = np.uint64(10_000)
_NONE = np.uint64(0)
_U64_MAX = np.uint64(2**64 - 1)


@kernel
def feed_loop_next_input(last, score):
    """The input that follows `last` (both in basis points of one unit, uint64) when it scored `score`.

    Too low a score makes it up to twice as large, too high a score smaller, at least 10,000.
    """
    if score == _GOAL:
        return last
    if score >= _TWICE:
        return _LEAST
    difference = _GOAL - score if score < _GOAL else score - _GOAL
    if last > _U64_MAX // difference:
        change = last // _GOAL * difference
    else:
        change = last * difference // _GOAL
    if score < _GOAL:
        return last + change if change <= _U64_MAX - last else _U64_MAX
    return max(last - change, _LEAST)


@kernel
def goal_quota(st, k):
    """Tunes scheme `k`'s quota once by its goals; the bytes that it then allows, int64."""
    best = _NONE
    for g in range(st.scheme[k, S_FIRST_GOAL], st.scheme[k, S_LAST_GOAL]):
        best = max(best, _score(st, k, g))
    if st.scheme[k, S_TUNER] == TUNER_TEMPORAL:
        input_bp = _U64_MAX
        if best >= _GOAL:
            input_bp = _NONE
        elif st.scheme[k, S_BYTES] > 0:
            input_bp = np.uint64(st.scheme[k, S_BYTES]) * _GOAL
    else:
        # The array has signed integers: the same 64 bits.
        input_bp = feed_loop_next_input(max(np.uint64(st.quota[k, Q_ESZ_BP]), _LEAST), best)
    st.quota[k, Q_ESZ_BP] = np.int64(input_bp)
    return np.int64(input_bp // _GOAL)


@kernel
def _score(st, k, g):
    target = np.uint64(st.goal[g, G_TARGET])
    current = np.uint64(_current(st, k, g))
    return current // target * _GOAL + current % target * _GOAL // target


@kernel
def _current(st, k, g):
    # The metric's value now; of stall time: how much it grew since it was last asked for.
    metric = st.goal[g, G_METRIC]
    if metric == METRIC_PSI:
        total = stall_us(st)
        last = st.goal[g, G_LAST]
        st.goal[g, G_LAST] = total
        # A first evaluation has nothing to compare with and counts as achieved (older kernels: as far exceeded).
        return st.goal[g, G_TARGET] if last < 0 else total - last
    node = st.goal[g, G_NODE]
    if metric == METRIC_NODE_USED:
        return node_used_bp(st, node)
    if metric == METRIC_NODE_FREE:
        return node_free_bp(st, node)
    if metric == METRIC_MEMCG_USED:
        return memcg_used_bp(st, node, st.goal[g, G_GROUP])
    if metric == METRIC_MEMCG_FREE:
        return 10_000 - memcg_used_bp(st, node, st.goal[g, G_GROUP])
    if metric == METRIC_ELIGIBLE:
        return eligible_bp(st, k, node)
    if metric == METRIC_ACTIVE:
        return active_bp(st)
    if metric == METRIC_INACTIVE:
        return 10_000 - active_bp(st)
    return st.goal[g, G_CURRENT]
