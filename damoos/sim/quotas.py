"""Quotas: how many bytes a scheme may be applied to in a charge window, and where it goes on in the next one.

Restates mm/damon/core.c damos_adjust_quota(), damos_set_effective_quota(), damos_quota_is_full(),
damos_skip_charged_region() and the charging of damos_apply_scheme() of Linux 7.3, and where older kernels differ
(`State.n[KERNEL]`). Sizes are core addresses (bytes; with paddr over the address unit), positions pages, the
clock counts timer ticks.
"""

from __future__ import annotations

import numpy as np

from .goals import goal_quota
from .jit import kernel
from .phases import is_running
from .priorities import set_min_score
from .state import C_SHARED, C_TICK, CORE_PAGE, KERNEL, NOW, ST_QT, UNDONE, V6_18, V7_1, V7_3
from .tables import (
    NOWHERE,
    Q_BEGUN,
    Q_CHARGED,
    Q_ESZ,
    Q_FROM,
    Q_RESUME,
    Q_TOTAL_NS,
    Q_TOTAL_SZ,
    S_BYTES,
    S_FAIL_DENOM,
    S_FAIL_NUM,
    S_FIRST_GOAL,
    S_LAST_GOAL,
    S_MS,
    S_RESET_MS,
    S_SCORE,
    SCORE_SAME,
)
from .targets import target_of

_FIRST_THROUGHPUT = 4096 * 1024
"""Core addresses per ms that a time quota starts from, before anything was measured."""
_MOST = np.int64(2**63 - 1)


@kernel
def jiffies(st):
    """The kernel's clock, whole timer ticks."""
    return np.int64(st.f[NOW] / st.c[C_TICK])


@kernel
def adjust_quota(st, k):
    """Opens a new charge window if it is time to; sets the least score of regions that scheme `k` is applied to."""
    q = st.quota[k]
    now = jiffies(st)
    if q[Q_BEGUN] == 0:
        q[Q_BEGUN], q[Q_FROM] = 1, now
        # Before 6.18 there was no quota until the first window was over.
        if st.n[KERNEL] >= V6_18:
            set_effective_quota(st, k)
    ticks = np.int64(np.ceil(st.scheme[k, S_RESET_MS] * 1000.0 / st.c[C_TICK]))
    if now - q[Q_FROM] >= ticks:
        if is_full(st, k):
            st.stats[k, ST_QT] += 1
        q[Q_TOTAL_SZ] += q[Q_CHARGED]
        q[Q_FROM], q[Q_CHARGED] = now, 0
        set_effective_quota(st, k)
    if st.scheme[k, S_SCORE] != SCORE_SAME and not is_full(st, k):
        set_min_score(st, k)


@kernel
def set_effective_quota(st, k):
    """The effective size quota: the least of what goals, the time quota at the measured throughput and the size allow.

    Kernel: damos_set_effective_quota().
    """
    s, q = st.scheme[k], st.quota[k]
    esz = _MOST
    if s[S_FIRST_GOAL] < s[S_LAST_GOAL]:
        esz = goal_quota(st, k)
    if s[S_MS] > 0:
        throughput = np.int64(_FIRST_THROUGHPUT)
        if q[Q_TOTAL_NS] > 0:
            # In two steps, as the kernel's mult_frac(), so that long runs don't overflow.
            whole, rest = q[Q_TOTAL_SZ] // q[Q_TOTAL_NS], q[Q_TOTAL_SZ] % q[Q_TOTAL_NS]
            throughput = whole * 1_000_000 + rest * 1_000_000 // q[Q_TOTAL_NS]
        in_time = throughput * s[S_MS] if s[S_MS] <= _MOST // max(throughput, 1) else _MOST
        if st.n[KERNEL] >= V7_3:
            in_time = max(in_time, st.n[CORE_PAGE])
        esz = min(esz, in_time)
        if V7_1 <= st.n[KERNEL] < V7_3:
            esz = max(esz, st.n[CORE_PAGE])
    if s[S_BYTES] > 0:
        esz = min(esz, s[S_BYTES])
    q[Q_ESZ] = esz


@kernel
def is_limited(st, k):
    """Whether a quota is in force. Kernel: the effective quota is not 0, which up to 7.0 also meant no limit."""
    return st.quota[k, Q_ESZ] != 0


@kernel
def is_full(st, k):
    """Whether nothing is left of the window. Kernel: damos_quota_is_full(); up to 7.0 a quota of 0 was no limit."""
    left = st.quota[k, Q_ESZ] - st.quota[k, Q_CHARGED]
    if st.n[KERNEL] >= V7_3:
        return left < st.n[CORE_PAGE]
    return left <= 0 and (st.quota[k, Q_ESZ] != 0 or st.n[KERNEL] >= V7_1)


@kernel
def room(st, k):
    """Whole pages that are left of the window, at least 0."""
    return max(st.quota[k, Q_ESZ] - st.quota[k, Q_CHARGED], 0) // st.n[CORE_PAGE]


@kernel
def clock_ns(st):
    """The coarse clock, ns in whole timer ticks, by which the kernel measures how long an action takes.

    kdamond's work that is put off to pass with more of it counts as done: at half the speed beside the workload.
    """
    share = 0.5 if st.c[C_SHARED] != 0.0 and is_running(st) else 1.0
    ticks = np.int64((st.f[NOW] + st.f[UNDONE] / share) / st.c[C_TICK])
    return ticks * np.int64(st.c[C_TICK] * 1000.0)


@kernel
def charge(st, k, size, applied, end, begin_ns):
    """Charges the `size` tried, of which `applied` worked, to the window; if it is full, the next resumes at `end`.

    `begin_ns`: `clock_ns` when the action began.
    """
    s, q = st.scheme[k], st.quota[k]
    q[Q_TOTAL_NS] += clock_ns(st) - begin_ns
    if s[S_FAIL_DENOM] > 0 and applied <= size:
        q[Q_CHARGED] += applied + (size - applied) * s[S_FAIL_NUM] // s[S_FAIL_DENOM]
    else:
        q[Q_CHARGED] += size
    if is_full(st, k):
        q[Q_RESUME] = end


KEEP, SKIP, CUT = np.int64(0), np.int64(1), np.int64(2)
"""What `resume` says of a region: apply; leave out; cut it there first."""


@kernel
def resume(st, k, start, end, last):
    """What is to be done with region [start, end) since the last full window of scheme `k` ended inside the targets.

    Returns (KEEP | SKIP | CUT, page of the cut). `last`: no region of its target follows.
    Kernel: damos_skip_charged_region().
    """
    q = st.quota[k]
    at = q[Q_RESUME]
    if at == NOWHERE:
        return KEEP, at
    if target_of(st, start) != target_of(st, at):
        return SKIP, at
    newest = st.n[KERNEL] >= V7_3
    if last and not newest:
        q[Q_RESUME] = NOWHERE
        return SKIP, at
    # Up to 7.0 the remembered address was one byte further, so that a region which starts there loses a page.
    reaches = start <= at if st.n[KERNEL] < V7_1 else start < at
    if end <= at:
        if last:
            q[Q_RESUME] = NOWHERE
        return SKIP, at
    if reaches:
        cut = max(at, start + 1)
        if cut >= end:
            return SKIP, at
        if st.n[KERNEL] < V7_1:
            q[Q_RESUME] = NOWHERE
        return CUT, cut
    if last or not newest:
        q[Q_RESUME] = NOWHERE
    return KEEP, at
