"""Watermarks: schemes that are active only while the share of free memory is in a range.

Restates mm/damon/core.c damos_wmark_wait_us(), kdamond_wait_activation() of Linux 7.3.
"""

from __future__ import annotations

from .jit import kernel
from .tables import METRIC_FREE, Q_ACTIVE, S_HIGH, S_LOW, S_MID, S_WMARK, S_WMARK_US
from .vmstat import free_permil


@kernel
def update_activations(st):
    """Switches schemes by their watermarks; µs to sleep until the next look if all are inactive, 0 otherwise."""
    least = 0
    for k in range(st.scheme.shape[0]):
        wait = _wait_us(st, k)
        if k == 0 or wait < least:
            least = wait
    return least


@kernel
def _wait_us(st, k):
    s = st.scheme[k]
    if s[S_WMARK] != METRIC_FREE:
        return 0
    free = free_permil(st)
    if free > s[S_HIGH] or free < s[S_LOW]:
        st.quota[k, Q_ACTIVE] = 0
        return s[S_WMARK_US]
    if free >= s[S_MID] and st.quota[k, Q_ACTIVE] == 0:
        return s[S_WMARK_US]
    st.quota[k, Q_ACTIVE] = 1
    return 0
