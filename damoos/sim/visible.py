"""What DAMON can see of a stretch of sampling intervals: how likely a page of each area is touched in one of them.

- Random access touches a page with probability 1 - exp(-accesses / pages).
- A sequential sweep that passes the whole area within a sampling interval always touches it.
- A slower sweep touches a page in the interval in which it passes; `monitor` works that out per region.
"""

from __future__ import annotations

import math

from .jit import kernel
from .state import BLOCK, C_BATCH, C_LIMIT, END_AREA, FIRST_AREA, PHASE, SEEN_PHASE, X_HUGE


@kernel
def touched_share(x):
    """Share of pages that are touched by `x` random accesses per page: 1 - exp(-x), quickly where it is easy."""
    if x < 0.02:
        return x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x / 24.0)))
    return 1.0 if x > 40.0 else 1.0 - math.exp(-x)


@kernel
def wrapped(at, pages):
    """`at` % `pages`, 0 or more each, without a division where it is `at`, as mostly."""
    return at if at < pages else at % pages


@kernel
def clear_hits(st, n):
    st.n[SEEN_PHASE] = -1
    for a in range(st.n[FIRST_AREA], st.n[END_AREA]):
        st.hit_p[a] = 0.0
        st.hit_n[a] = n
        st.sweep_pages[a] = 0.0


@kernel
def see(st, a, p):
    """Adds that a page of area `a` is touched with probability `p`; a huge page is seen touched where one of its 512
    is."""
    if st.area_more.shape[1] > 0 and 0.0 < p < 1.0 and st.area_more[a, X_HUGE] > 0:
        share = st.area_more[a, X_HUGE] / (st.area_end[a] - st.area_start[a])
        p += share * (1.0 - math.exp(BLOCK * math.log1p(-p)) - p)
    st.hit_p[a] = 1.0 - (1.0 - st.hit_p[a]) * (1.0 - p)


@kernel
def see_sweep(st, a, covered, per_interval):
    pages = st.area_end[a] - st.area_start[a]
    if st.sweep_pages[a] == 0.0:
        st.sweep_from[a] = st.area_at[a]
        st.sweep_step[a] = per_interval
    else:
        st.sweep_step[a] = max(st.sweep_step[a], per_interval)
    st.sweep_pages[a] += covered
    st.area_at[a] = wrapped(st.area_at[a] + covered, pages)


@kernel
def see_own_pages(st, accesses):
    """What a workload that runs and makes that many accesses in a sampling interval shows of its program: the code of
    its innermost loop always, its other code, variables and stack around each batch. When pages have to come in, a
    batch takes many intervals. A paced workload sleeps after each batch."""
    p = min(1.0, accesses / st.c[C_BATCH])
    loop = 1.0 if st.c[C_LIMIT] == 0.0 else p
    ph = st.n[PHASE]
    for a in range(st.n[FIRST_AREA], st.n[END_AREA]):
        if st.area_hot[a] > 0 and st.area_phases[a, 0] <= ph <= st.area_phases[a, 1]:
            touched = loop * st.area_loop[a] + p * (st.area_hot[a] - st.area_loop[a])
            st.hit_p[a] = touched / (st.area_end[a] - st.area_start[a])
