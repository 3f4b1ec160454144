"""What becomes of schedules and monitoring results when attributes change while DAMON runs.

Restates damon_set_attrs(), damon_update_monitoring_results() of mm/damon/core.c, Linux 7.3. Scheme patterns are not
converted: their bounds keep their raw numbers although an aggregation now has another length.
"""

from __future__ import annotations

from .jit import kernel
from .regions import samples_per_aggregation
from .schemes import apply_period
from .state import (
    AGGR_US,
    CUR,
    KERNEL,
    NEXT_AGGR,
    NEXT_OPS,
    NR_REGIONS,
    PASSED,
    S_NEXT,
    SAMPLE_US,
    UPDATE_US,
    V7_3,
)


@kernel
def schedule(st):
    """Sets the next aggregation, operations update and scheme passes from the attributes, counted from now."""
    passed = st.n[PASSED]
    st.n[NEXT_AGGR] = passed + samples_per_aggregation(st)
    st.n[NEXT_OPS] = passed + st.n[UPDATE_US] // max(1, st.n[SAMPLE_US])
    for k in range(st.scheme.shape[0]):
        st.scheme[k, S_NEXT] = passed + apply_period(st, k)


@kernel
def set_intervals(st, sample_us, aggr_us):
    """Goes over to other sampling and aggregation intervals: converts all regions, begins all schedules anew.

    In the middle of a window its counters are dropped. Nothing is converted when any interval is 0.
    """
    old_sample, old_aggr = st.n[SAMPLE_US], st.n[AGGR_US]
    mid_window = st.n[PASSED] < st.n[NEXT_AGGR]
    st.n[SAMPLE_US], st.n[AGGR_US] = sample_us, aggr_us
    if old_sample > 0 and old_aggr > 0 and sample_us > 0 and aggr_us > 0:
        old_samples, new_samples = old_aggr // old_sample, aggr_us // sample_us
        cur = st.n[CUR]
        nr, last, age = st.nr_accesses[cur], st.last_nr_accesses[cur], st.age[cur]
        # Up to 7.2 the last window's counters were left as they were at the end of a window.
        both = mid_window or st.n[KERNEL] >= V7_3
        for i in range(st.n[NR_REGIONS]):
            age[i] = age[i] * old_aggr // aggr_us
            nr[i] = 0 if mid_window else converted(nr[i], old_samples, new_samples)
            if both:
                last[i] = converted(last[i], old_samples, new_samples)
    schedule(st)


@kernel
def converted(nr_accesses, old_samples, new_samples):
    """nr_accesses of `old_samples` checks as of `new_samples`: in basis points, truncated twice as in the kernel."""
    return nr_accesses * 10_000 // max(1, old_samples) * new_samples // 10_000
