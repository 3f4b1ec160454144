"""The workload's processes side by side: each has a CPU, phases and progress of its own, all share memory.

What runs one process sees the numbers of `State.n` from `PHASE` on and of `State.f` from `PHASE_START` on. Of several,
each in turn has its own put there and passes the same stretch of time; then the clock moves once. One process alone has
them there all the time.
"""

from __future__ import annotations

from .closely import advance_closely
from .jit import kernel
from .memory import release
from .phases import begin_phase
from .recorder import elapse
from .state import (
    C_BASE,
    DEBT,
    DONE,
    END_AREA,
    FIRST_AREA,
    MUTED,
    NOW,
    NR_ALIVE,
    NR_RUNNING,
    PHASE,
    PHASE_START,
    WORKLOAD_PAGES,
)
from .steady import advance_steadily, steady_intervals


@kernel
def begin_all(st):
    """Begins the first phase of each process."""
    count = st.process_n.shape[0]
    for c in range(count):
        if count > 1:
            _enter(st, c)
        begin_phase(st)
        if count > 1:
            _leave(st, c)
    if count > 1:
        _settle(st, st.f[NOW], 0.0)


@kernel
def steady_together(st, wanted, interval_us, cpu_share):
    """How many of the next `wanted` sampling intervals all processes pass steadily; see `steady.steady_intervals`."""
    count = st.process_n.shape[0]
    share = _share_of_each(st, cpu_share)
    n, agreed, c = wanted, 0, 0
    while agreed < count and n > 0:
        if count == 1 or _enter(st, c):
            k = steady_intervals(st, n, interval_us, share)
            if count > 1:
                _leave(st, c)
            if k < n:
                # The others have to be asked again, since of fewer intervals other accesses come out.
                n, agreed = k, 0
        agreed += 1
        c = c + 1 if c + 1 < count else 0
    if count > 1:
        st.n[DONE] = st.n[NR_ALIVE] == 0
    return n


@kernel
def advance_together(st, n, interval_us, cpu_share):
    """Lets all processes run: for `n` sampling intervals found by `steady_together`, or with none for one followed
    closely, less if the last process ends before. Returns the time that passed, µs."""
    count = st.process_n.shape[0]
    share = _share_of_each(st, cpu_share)
    start = st.f[NOW]
    passed = 0.0
    for c in range(count):
        if count == 1 or _enter(st, c):
            st.f[NOW] = start
            if n > 0:
                advance_steadily(st, n, interval_us, share)
                passed = n * interval_us
            else:
                passed = max(passed, advance_closely(st, interval_us, share))
            if count > 1:
                _leave(st, c)
    if count > 1:
        _settle(st, start, passed)
    return passed


@kernel
def _share_of_each(st, cpu_share):
    # What kdamond takes of one CPU comes from the processes' in turn.
    if st.process_n.shape[0] == 1:
        return cpu_share
    return 1.0 - (1.0 - cpu_share) / max(1, st.n[NR_RUNNING])


@kernel
def _enter(st, c):
    # Puts process c where what runs it looks; whether it has not ended.
    for i in range(st.process_n.shape[1]):
        st.n[PHASE + i] = st.process_n[c, i]
    for i in range(st.process_f.shape[1]):
        st.f[PHASE_START + i] = st.process_f[c, i]
    st.n[MUTED] = 1
    return st.n[DONE] == 0


@kernel
def _leave(st, c):
    for i in range(st.process_n.shape[1]):
        st.process_n[c, i] = st.n[PHASE + i]
    for i in range(st.process_f.shape[1]):
        st.process_f[c, i] = st.f[PHASE_START + i]
    st.n[MUTED] = 0


@kernel
def _settle(st, start, us):
    # All processes have passed `us` since `start`, or ended.
    alive = running = 0
    for c in range(st.process_n.shape[0]):
        if st.process_n[c, DONE - PHASE] == 0:
            alive += 1
            ph = st.process_n[c, 0]
            running += st.phase_first[ph] < st.phase_first[ph + 1]
    for c in range(st.process_n.shape[0]):
        ended = st.process_n[c, DONE - PHASE] == 1
        if ended and alive > 0 and st.process_n[c, FIRST_AREA - PHASE] < st.process_n[c, END_AREA - PHASE]:
            release(st, st.process_n[c, FIRST_AREA - PHASE], st.process_n[c, END_AREA - PHASE])
            st.n[WORKLOAD_PAGES] -= int(st.c[C_BASE])
            st.process_n[c, END_AREA - PHASE] = st.process_n[c, FIRST_AREA - PHASE]
    st.n[NR_ALIVE], st.n[NR_RUNNING], st.n[DONE], st.n[MUTED] = alive, running, alive == 0, 0
    st.f[NOW] = start
    elapse(st, us)


@kernel
def owe(st, us):
    """Takes the running processes CPU time, µs in all, before they go on."""
    if st.process_n.shape[0] == 1:
        st.f[DEBT] += us
        return
    for c in range(st.process_n.shape[0]):
        if st.process_n[c, DONE - PHASE] == 0:
            st.process_f[c, DEBT - PHASE_START] += us / st.n[NR_ALIVE]
