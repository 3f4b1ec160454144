"""Several processes at once: phases and speed of their own, shared memory, targets and cgroups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.backend.result import Result
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import QuotaGoal, Quotas
from damoos.damon.schemes import ANYTHING, U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme
from damoos.errors import BackendError, KdamondsError
from damoos.sim import vmstat
from damoos.sim.backend import SimBackend
from damoos.sim.handle import handle_of
from damoos.sim.jit import callable_kernel
from damoos.sim.session import SimSession
from damoos.sim.state import CUR
from damoos.sim.tables import Q_RESUME
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace
from damoos.workload.processes import ProcessesWorkload

from .memory_states import check_books, machine

memcg_used_bp = callable_kernel(vmstat.memcg_used_bp)
MIB = 1 << 20


def program(name: str, seconds: float, used: int, idle: int) -> MasimWorkload:
    """Touches `used` MiB for some seconds, and `idle` MiB once before that, in 0.5 s."""
    first = Phase("fill", 500, (Pattern("idle", False, 4096, 1), Pattern("used", False, 4096, 1)))
    then = Phase("run", int(seconds * 1000) - 500, (Pattern("used", False, 4096, 1),))
    return MasimWorkload(name, (Region("used", used * MIB), Region("idle", idle * MIB)), (first, then))


SHORT, LONG = program("short", 3, 16, 32), program("long", 8, 24, 40)
BOTH = ProcessesWorkload("both", (SHORT, LONG))
STAT = Scheme(Action.STAT, ANYTHING)
COLD = AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(8, U32_MAX))
PAGEOUT = Scheme(Action.PAGEOUT, COLD)


def value(*schemes: Scheme, **more: object) -> Kdamonds:
    return Kdamonds((Kdamond((Context(schemes=schemes, **more),)),))  # type: ignore[arg-type]


def backend(*, timing: str = "time", prefault: bool = True, trace: bool = False, **changes: object) -> SimBackend:
    return SimBackend(machine(**{"memory_bytes": 512 * MIB, **changes}), Pace(timing, prefault=prefault), trace=trace)  # type: ignore[arg-type]


def run(asked: Kdamonds | None, workload=BOTH, seed: int = 1, **changes: object) -> Result:
    with backend(**changes).start(workload, asked, seed) as session:
        result = session.finish()
        if session.state.ext_more.shape[1]:
            check_books(session.state)
    return result


def at(result: Result, t_s: float) -> int:
    return int(np.searchsorted(result.samples.t_s, t_s))


def test_each_runs_as_it_does_alone_and_the_last_ends_the_run() -> None:
    for timing in ("time", "work"):
        both, short, long = (run(None, w, timing=timing, prefault=False) for w in (BOTH, SHORT, LONG))
        assert both.runtime_s == pytest.approx(long.runtime_s, rel=1e-3)
        names = [f"short: {p.name}" for p in short.phases] + [f"long: {p.name}" for p in long.phases]
        assert [p.name for p in both.phases] == names
        for here, alone in zip(both.phases, short.phases + long.phases, strict=True):
            assert here.elapsed_ms == pytest.approx(alone.elapsed_ms, abs=15)
            assert here.accesses == pytest.approx(alone.accesses, rel=0.01)


def test_memory_adds_up_and_what_has_ended_is_freed() -> None:
    result, base = run(None), machine().rss_base_bytes
    rss = result.samples.rss_bytes
    # Besides regions a process has a few pages of its program, and what can't be paged out.
    assert rss[at(result, 2.0)] == pytest.approx(2 * base + 112 * MIB, abs=2 * 400_000)
    assert rss[at(result, 5.0)] == rss[-1] == pytest.approx(base + 64 * MIB, abs=400_000)
    assert rss[at(result, 2.0)] - rss[-1] == pytest.approx(base + 48 * MIB, abs=400_000)


def test_what_has_ended_leaves_swap_and_nodes_too() -> None:
    result = run(value(PAGEOUT))
    swap = result.samples.swap_bytes
    assert swap.max() > 45 * MIB
    assert swap[at(result, 6.0)] == pytest.approx(40 * MIB, rel=0.02)
    run(value(PAGEOUT), limit_bytes=90 * MIB)


def test_one_target_stands_for_all_processes() -> None:
    with backend().start(BOTH, value(STAT), 1) as session:
        session.advance(2.0)
        seen = session.snapshot()
        for target, used in ((0, 16), (1, 24)):
            mine = seen.target == target
            hot = mine & (seen.nr_accesses >= 15)
            assert (seen.end - seen.start)[hot].sum() == pytest.approx(used * MIB, rel=0.15)
            assert seen.start[mine][0] == 0x400000


def test_a_target_for_each_is_the_same() -> None:
    one, two = run(value(PAGEOUT)), run(value(PAGEOUT, targets=(Target(), Target())))
    assert one.scheme_stats == two.scheme_stats and (one.samples.rss_bytes == two.samples.rss_bytes).all()
    with pytest.raises(BackendError, match="targets.*2 processes"):
        run(value(targets=(Target(),) * 3))


@pytest.mark.parametrize(("kernel", "tried"), [("6.18", True), ("7.0", False), ("7.3", False)])
def test_a_target_that_has_ended_is_not_accessed_and_since_7_0_skipped(kernel: str, tried: bool) -> None:
    asked = value(Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(0, U32_MAX))))
    only = Filter("target", True, True, damon_target_idx=0)
    asked = asked.with_schemes([dataclasses.replace(asked.context.schemes[0], core_filters=(only,))])
    with backend(kernel=kernel).start(BOTH, asked, 1) as session:
        session.advance(4.0)
        before, seen = session.stats()[0], session.snapshot()
        assert (seen.nr_accesses[seen.target == 0] == 0).all() and (seen.target == 0).any()
        session.advance(1.0)
        after = session.stats()[0]
    assert (after.nr_tried > before.nr_tried) == tried
    assert after.sz_applied == before.sz_applied


@pytest.mark.parametrize(("kernel", "goes_on"), [("6.18", True), ("7.3", False)])
def test_a_quota_that_is_to_resume_in_what_has_ended(kernel: str, goes_on: bool) -> None:
    asked = value(dataclasses.replace(STAT, quotas=Quotas(bytes=4 * MIB, reset_interval_ms=100)))
    with backend(kernel=kernel).start(BOTH, asked, 1) as session:
        session.advance(3.2)
        session.state.quota[0, Q_RESUME] = session.state.start[session.state.n[CUR], 0] + 1
        session.advance(1.0)
        before = session.stats()[0].nr_tried
        session.advance(2.0)
        assert (session.stats()[0].nr_tried > before) == goes_on


def test_a_commit_can_let_go_of_a_process() -> None:
    asked = value(STAT)
    with backend().start(BOTH, asked, 1) as session:
        session.advance(1.0)
        gone = dataclasses.replace(asked.context, targets=(Target(obsolete=True), Target()))
        session.commit(asked.with_context(gone))
        session.advance(1.0)
        seen = session.snapshot()
        assert set(seen.target.tolist()) == {0}
        hot = seen.nr_accesses >= 15
        assert (seen.end - seen.start)[hot].sum() == pytest.approx(24 * MIB, rel=0.15)


def by_group(path: str, ops: str = "paddr") -> Result:
    only = Filter("memcg", matching=True, allow=True, memcg_path=path)
    young = Filter("young", matching=True, allow=False)
    scheme = Scheme(Action.PAGEOUT, ANYTHING, ops_filters=(young, only))
    return run(value(scheme, ops=ops))


def test_each_process_is_in_a_cgroup_of_its_own() -> None:
    peak = {g: by_group(f"/workload{g}").samples.swap_bytes.max() / MIB for g in ("/short", "/long", "")}
    assert 25 < peak["/short"] < 33 and 34 < peak["/long"] < 41
    # A page belongs to its process's group, not to the one above.
    assert peak[""] == 0
    with pytest.raises(KdamondsError, match="/workload/other.*allowed: /workload, /workload/short, /workload/long"):
        by_group("/workload/other")


def test_what_a_cgroup_has_in_memory_is_counted_by_process() -> None:
    with backend().start(BOTH, value(STAT), 1) as session:
        for t_s, short in ((2.0, 48), (5.0, 0)):
            session.advance(t_s - session.now_s)
            handle = handle_of(session.state)
            found = [memcg_used_bp(handle, 0, c) * 512 / 10_000 for c in (0, 1, -1)]
            assert found[:2] == pytest.approx([short, 64], abs=0.6)
            assert found[2] == pytest.approx(found[0] + found[1], abs=0.3)
        assert memcg_used_bp(handle, 1, 0) == 0


def test_a_goal_of_one_cgroup() -> None:
    # A fifteenth of memory is 34 MiB: the quota shuts down once that many are left of `long`, whatever `short` has.
    goal = QuotaGoal("node_memcg_free_bp", target_value=9_333, path="/workload/long")
    quotas = Quotas(reset_interval_ms=200, bytes=2 * MIB, goals=(goal,), goal_tuner="temporal")
    only = Filter("target", True, True, damon_target_idx=1)
    result = run(value(dataclasses.replace(PAGEOUT, quotas=quotas, core_filters=(only,))))
    assert result.samples.swap_bytes.max() == pytest.approx(30 * MIB, abs=3 * MIB)


def test_the_limit_of_memory_is_for_all_together() -> None:
    assert run(None, SHORT, limit_bytes=80 * MIB).swap_out_bytes == 0
    assert run(None, LONG, limit_bytes=80 * MIB).swap_out_bytes == 0
    both = run(None, limit_bytes=80 * MIB)
    assert both.swap_out_bytes >= 30 * MIB
    assert both.samples.rss_bytes[at(both, 2.0)] <= 81 * MIB


def test_physical_memory_has_the_pages_of_all() -> None:
    result = run(value(STAT, ops="paddr"), trace=True)
    trace = result.trace
    k = int(np.searchsorted(trace.t_ms, 2_500))
    rows = slice(trace.offset[k], trace.offset[k + 1])
    hot = trace.nr_accesses[rows] >= 10
    assert trace.pages[rows][hot].sum() == pytest.approx(40 * 256, rel=0.2)
    assert (trace.target == 0).all()


def test_pages_are_taken_off_a_cpu_in_equal_parts() -> None:
    # On a machine where kdamond shares the workload's CPU, of two processes it takes half as much from each.
    def lost(workload) -> float:
        asked = Kdamonds.of(schemes=(STAT,))
        runs = [run(a, workload, timing="work", sample_us=400.0, start_us=0.0) for a in (None, asked)]
        return runs[1].phases[-1].elapsed_ms - runs[0].phases[-1].elapsed_ms

    twins = ProcessesWorkload("twins", (LONG, dataclasses.replace(LONG, name="other")))
    assert lost(twins) == pytest.approx(lost(LONG) / 2, rel=0.15)


def test_a_run_is_a_function_of_its_inputs_whatever_the_steps() -> None:
    def stepped(step_s: float) -> tuple[object, ...]:
        with backend(timing="work", prefault=False).start(BOTH, value(PAGEOUT), 5) as session:
            while not session.done:
                session.advance(step_s)
            result = session.finish()
        return result.runtime_s, result.scheme_stats, result.samples.rss_bytes.tolist(), result.phases

    assert stepped(0.3) == stepped(2.0) == stepped(100.0)


def test_the_plain_method_agrees() -> None:
    def hot(exact: bool) -> float:
        found = []
        for seed in range(4):
            sim = dataclasses.replace(backend(), exact=exact)
            with sim.start(BOTH, value(STAT), seed) as session:
                session.advance(2.0)
                found.append(_hot_bytes(session))
        return float(np.mean(found))

    assert hot(True) == pytest.approx(hot(False), rel=0.1)


def _hot_bytes(session: SimSession) -> float:
    seen = session.snapshot()
    return float(((seen.end - seen.start) * seen.nr_accesses).sum() / 20)


@pytest.mark.parametrize("timing", ("time", "work"))
def test_the_work_that_is_done_is_all_but_what_the_longest_has_left(timing: str) -> None:
    with backend(timing=timing).start(BOTH, None, 1) as session:
        seen = [(0.0, session.work_done_ms())]
        while not session.done:
            session.advance(0.25)
            seen.append((session.now_s, session.work_done_ms()))
    done = [work_ms for _, work_ms in seen]
    assert done[0] == 0 and done == sorted(done) and done[-1] == BOTH.duration_ms
    # Without faults the longer one's work goes on evenly, also after the shorter one has ended.
    assert all(abs(work_ms - 1000 * t_s) <= 0.1 * BOTH.duration_ms for t_s, work_ms in seen)
