"""Auto-tuning of the monitoring intervals towards a share of memory that is seen accessed.

Restates mm/damon/core.c damon_get_intervals_adaptation_bp(), kdamond_tune_intervals() of Linux 7.3.
"""

from __future__ import annotations

import numpy as np

from .attributes import set_intervals
from .goals import feed_loop_next_input
from .jit import kernel
from .state import (
    AGGR_SAMPLES,
    CORE_PAGE,
    CUR,
    GOAL_ACCESS_BP,
    GOAL_AGGRS,
    GOAL_MAX_US,
    GOAL_MIN_US,
    NEXT_TUNE,
    NR_REGIONS,
    PASSED,
    SAMPLE_US,
)

_INPUT = np.uint64(100_000_000)
_BP = np.uint64(10_000)


@kernel
def tune_intervals(st):
    """Adapts the intervals by the window that has just ended, if it is time to and there is a goal."""
    if st.n[GOAL_AGGRS] == 0 or st.n[PASSED] < st.n[NEXT_TUNE]:
        return
    st.n[NEXT_TUNE] += st.n[AGGR_SAMPLES] * st.n[GOAL_AGGRS]
    adaptation = adaptation_bp(_access_score_bp(st))
    if adaptation == 10_000:
        return
    sample = min(st.n[SAMPLE_US] * adaptation // 10_000, st.n[GOAL_MAX_US])
    sample = max(sample, st.n[GOAL_MIN_US])
    set_intervals(st, sample, sample * st.n[AGGR_SAMPLES])


@kernel
def _access_score_bp(st):
    # Observed accesses against those of the goal; both in bytes times samples.
    cur = st.n[CUR]
    possible = observed = 0
    for i in range(st.n[NR_REGIONS]):
        size = (st.end[cur, i] - st.start[cur, i]) * st.n[CORE_PAGE]
        possible += size * st.n[AGGR_SAMPLES]
        observed += size * st.nr_accesses[cur, i]
    return observed * 10_000 // max(possible * st.n[GOAL_ACCESS_BP] // 10_000, 1)


@kernel
def adaptation_bp(score_bp):
    """By how much a score of `score_bp` (10,000: as wanted) changes the intervals: 5,000 to 20,000 basis points."""
    adaptation = np.int64(feed_loop_next_input(_INPUT, np.uint64(score_bp)) // _BP)
    # Shrinking to next to nothing at once is scaled down to halving.
    return 5_000 + adaptation // 2 if adaptation <= 10_000 else adaptation
