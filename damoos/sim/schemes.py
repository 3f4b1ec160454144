"""DAMOS: which regions a scheme is applied to.

Restates mm/damon/core.c kdamond_apply_schemes(), damon_do_apply_schemes(), damos_apply_scheme() of Linux 7.3, and where
older kernels differ (`State.n[KERNEL]`).
"""

from __future__ import annotations

from .actions import act, work
from .filters import core_verdict
from .jit import kernel
from .patterns import matches
from .priorities import score
from .quotas import CUT, KEEP, adjust_quota, charge, clock_ns, is_full, is_limited, resume, room
from .regions import copy_region, left_of_window_bp, moving_sum
from .state import (
    A_STAT,
    AGGR_US,
    CORE_PAGE,
    CUR,
    KERNEL,
    NR_REGIONS,
    PASSED,
    S_ACTION,
    S_AGE_MAX,
    S_AGE_MIN,
    S_APPLY_US,
    S_MAX_SNAPSHOTS,
    S_NEXT,
    SAMPLE_US,
    SIZE_LIMIT,
    ST_NR_APPLIED,
    ST_NR_TRIED,
    ST_SNAPSHOTS,
    ST_SZ_APPLIED,
    ST_SZ_TRIED,
    UNVISITED,
    V7_0,
    V7_1,
    V7_3,
    WALK_NEXT,
)
from .tables import LIMIT_CORE, LIMIT_QUOTA, Q_ACTIVE, Q_ALLOWED, Q_DUE, Q_MIN_SCORE, S_LIMITS
from .targets import is_last_of_target, is_valid, target_of


@kernel
def apply_period(st, k):
    """Sampling iterations between two passes of scheme `k`."""
    us = st.scheme[k, S_APPLY_US]
    if us == 0:
        us = st.n[AGGR_US]
    return us // max(1, st.n[SAMPLE_US])


@kernel
def apply_schemes(st):
    """Applies every scheme whose time has come to every region of its pattern. Regions are the outer loop."""
    schemes, private = st.scheme, st.quota
    any_due = limited = False
    for k in range(schemes.shape[0]):
        due = st.n[PASSED] >= schemes[k, S_NEXT] and private[k, Q_ACTIVE] != 0
        private[k, Q_DUE] = due
        if due:
            any_due = True
            limited = limited or schemes[k, S_LIMITS] != 0
            if schemes[k, S_LIMITS] & LIMIT_QUOTA != 0:
                adjust_quota(st, k)
    if not any_due:
        return
    cur, limit = st.n[CUR], st.n[SIZE_LIMIT]
    start, end, nr, last, age = (
        st.start[cur],
        st.end[cur],
        st.nr_accesses[cur],
        st.last_nr_accesses[cur],
        st.age[cur],
    )
    left_bp = left_of_window_bp(st)
    joins = st.n[KERNEL] >= V7_3
    if not limited and _finds_nothing(st, cur, left_bp):
        if joins:
            _join_alike(st, cur)
        _set_next(st)
        return
    out = -1
    i = 0
    count = st.n[NR_REGIONS]
    while i < count:
        out += 1
        if out < i:
            start[out], end[out], nr[out], last[out], age[out] = start[i], end[i], nr[i], last[i], age[i]
        i += 1
        if limited and st.n[UNVISITED] > 0:
            st.n[UNVISITED] -= 1
            continue
        if not is_valid(st, target_of(st, start[out])) and st.n[KERNEL] >= V7_0:
            continue
        rate = moving_sum(nr[out], last[out], left_bp)
        for k in range(schemes.shape[0]):
            if private[k, Q_DUE] == 0:
                continue
            if schemes[k, S_LIMITS] == 0:
                if _exhausted(st, k):
                    continue
                if matches(schemes, k, (end[out] - start[out]) * st.n[CORE_PAGE], rate, age[out]):
                    _apply(st, k, start[out], end[out])
                    if schemes[k, S_ACTION] != A_STAT:
                        age[out] = 0
                if is_last_of_target(st, cur, out, i):
                    st.stats[k, ST_SNAPSHOTS] += 1
            else:
                st.n[WALK_NEXT] = i
                out = _apply_within_limits(st, k, cur, out, rate)
                i, count = st.n[WALK_NEXT], st.n[NR_REGIONS]
        # 7.3 joins a region with its left neighbour again if nothing tells them apart, so that pieces cut for a quota
        # do not stay.
        if (
            joins
            and out > 0
            and end[out - 1] == start[out]
            and age[out - 1] == age[out]
            and nr[out - 1] == nr[out]
            and last[out - 1] == last[out]
            and end[out] - start[out - 1] <= limit
        ):
            end[out - 1] = end[out]
            out -= 1
    st.n[NR_REGIONS] = out + 1
    work(st)
    _set_next(st)


@kernel
def _set_next(st):
    for k in range(st.scheme.shape[0]):
        if st.n[PASSED] >= st.scheme[k, S_NEXT]:
            st.scheme[k, S_NEXT] = st.n[PASSED] + apply_period(st, k)


@kernel
def _finds_nothing(st, cur, left_bp):
    # Whether schemes without limits find no region, as in most passes; then counts these.
    start, end, nr, last, age = (
        st.start[cur],
        st.end[cur],
        st.nr_accesses[cur],
        st.last_nr_accesses[cur],
        st.age[cur],
    )
    count = st.n[NR_REGIONS]
    for k in range(st.scheme.shape[0]):
        if st.quota[k, Q_DUE] != 0 and not _exhausted(st, k):
            youngest, oldest = st.scheme[k, S_AGE_MIN], st.scheme[k, S_AGE_MAX]
            # Without leaving the loop early, so that several regions are looked at in one instruction.
            found = 0
            for i in range(count):
                found += (youngest <= age[i]) & (age[i] <= oldest)
            for i in range(count if found > 0 else 0):
                rate = moving_sum(nr[i], last[i], left_bp)
                if matches(st.scheme, k, (end[i] - start[i]) * st.n[CORE_PAGE], rate, age[i]):
                    return False
    for k in range(st.scheme.shape[0]):
        if st.quota[k, Q_DUE] != 0:
            for i in range(count if st.target.shape[0] > 1 else min(count, 1)):
                last = st.target.shape[0] == 1 or is_last_of_target(st, cur, i, i + 1)
                valid = st.n[KERNEL] < V7_0 or is_valid(st, target_of(st, st.start[cur, i]))
                if last and valid and not _exhausted(st, k):
                    st.stats[k, ST_SNAPSHOTS] += 1
    return True


@kernel
def _join_alike(st, cur):
    # Joins neighbours that nothing tells apart, as the walk does where no region is applied to.
    start, end, nr, last, age = (
        st.start[cur],
        st.end[cur],
        st.nr_accesses[cur],
        st.last_nr_accesses[cur],
        st.age[cur],
    )
    count, limit = st.n[NR_REGIONS], st.n[SIZE_LIMIT]
    found = 0
    for i in range(1, count):
        alike = (age[i - 1] == age[i]) & (nr[i - 1] == nr[i]) & (last[i - 1] == last[i])
        found += alike & (end[i - 1] == start[i]) & (end[i] - start[i - 1] <= limit)
    if found == 0:
        return
    out = 0
    for i in range(1, count):
        alike = (age[out] == age[i]) & (nr[out] == nr[i]) & (last[out] == last[i])
        if alike & (end[out] == start[i]) & (end[i] - start[out] <= limit):
            end[out] = end[i]
        else:
            out += 1
            start[out], end[out], nr[out], last[out], age[out] = start[i], end[i], nr[i], last[i], age[i]
    st.n[NR_REGIONS] = out + 1


@kernel
def _exhausted(st, k):
    most = st.scheme[k, S_MAX_SNAPSHOTS]
    return most > 0 and st.stats[k, ST_SNAPSHOTS] >= most


@kernel
def _apply(st, k, start, end):
    applied = act(st, k, start, end)
    _count(st, k, (end - start) * st.n[CORE_PAGE], applied)


@kernel
def _count(st, k, size, applied):
    st.stats[k, ST_NR_TRIED] += 1
    st.stats[k, ST_SZ_TRIED] += size
    if applied > 0:
        st.stats[k, ST_NR_APPLIED] += 1
        st.stats[k, ST_SZ_APPLIED] += applied


@kernel
def _apply_within_limits(st, k, cur, out, rate):
    # Scheme k, which has a quota, core filters or both, and the region at `out`; the walk goes on at `n[WALK_NEXT]`.
    # Returns where the region is now: older kernels go on with the right part of what they cut.
    start, end, age = st.start[cur], st.end[cur], st.age[cur]
    quota = st.scheme[k, S_LIMITS] & LIMIT_QUOTA != 0
    if quota:
        if is_full(st, k):
            return out
        what, page = resume(st, k, start[out], end[out], is_last_of_target(st, cur, out, st.n[WALK_NEXT]))
        if what == CUT:
            if not cut(st, cur, out, page):
                return out
            if st.n[KERNEL] >= V7_1:
                return out
            # Unlike the rest of what was cut, this part is visited now.
            st.n[UNVISITED] -= 1
            out += 1
            if st.n[WALK_NEXT] > out:
                copy_region(st, cur, st.n[WALK_NEXT], cur, out)
            st.n[WALK_NEXT] += 1
        elif what != KEEP:
            return out
    if _exhausted(st, k):
        return out
    size = (end[out] - start[out]) * st.n[CORE_PAGE]
    if matches(st.scheme, k, size, rate, age[out]) and (
        not quota or not is_limited(st, k) or _scores(st, k, cur, out, rate)
    ):
        _try(st, k, cur, out, quota)
    if is_last_of_target(st, cur, out, st.n[WALK_NEXT]):
        st.stats[k, ST_SNAPSHOTS] += 1
    return out


@kernel
def _scores(st, k, cur, out, rate):
    return score(st, k, st.nr_accesses[cur, out], rate, st.age[cur, out]) >= st.quota[k, Q_MIN_SCORE]


@kernel
def _try(st, k, cur, out, quota):
    start, end = st.start[cur], st.end[cur]
    size = (end[out] - start[out]) * st.n[CORE_PAGE]
    if quota and is_limited(st, k):
        left = room(st, k)
        if left == 0:
            st.stats[k, ST_NR_TRIED] += 1
            return
        if left < end[out] - start[out] and cut(st, cur, out, start[out] + left):
            size = left * st.n[CORE_PAGE]
    if st.scheme[k, S_LIMITS] & LIMIT_CORE != 0:
        rejected, allowed, upto = core_verdict(st, k, start[out], end[out])
        st.quota[k, Q_ALLOWED] = allowed
        if upto < end[out]:
            cut(st, cur, out, upto)
            # Older kernels charged and counted what the region was before.
            if st.n[KERNEL] >= V7_3:
                size = (end[out] - start[out]) * st.n[CORE_PAGE]
        if rejected:
            return
    begin = clock_ns(st)
    applied = act(st, k, start[out], end[out])
    if quota:
        charge(st, k, size, applied, end[out], begin)
    if st.scheme[k, S_ACTION] != A_STAT:
        st.age[cur, out] = 0
    _count(st, k, size, applied)


@kernel
def cut(st, cur, out, page):
    """Cuts the region at `out` at `page`; the rest becomes the next of the walk, or up to 7.0 the next unvisited one.

    Returns False, and does nothing, where there is no room for one more region.
    """
    at = st.n[WALK_NEXT]
    if out < at - 1:
        at -= 1
    else:
        count = st.n[NR_REGIONS]
        if count + 1 > st.start.shape[1]:
            return False
        for i in range(count, at, -1):
            copy_region(st, cur, i - 1, cur, i)
        st.n[NR_REGIONS] = count + 1
    copy_region(st, cur, out, cur, at)
    st.start[cur, at] = page
    st.end[cur, out] = page
    st.n[WALK_NEXT] = at
    if st.n[KERNEL] < V7_1:
        st.n[UNVISITED] += 1
    return True
