"""What every backend owes: a class of tests to subclass.

    class TestMine(BackendConformance):
        def make_backend(self, *, trace: bool = False) -> Backend:
            return open_backend("mine", trace=trace)

pytest collects the inherited tests; `pytest.register_assert_rewrite("damoos.backend.testing")` in a conftest makes
their failures readable. A run takes about three seconds of the workload's time and 24 MiB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Range, Scheme
from damoos.damon.snapshot import SchemeStats, Snapshot, side_by_side
from damoos.errors import BackendError, KdamondsError
from damoos.units import U32_MAX, U64_MAX
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.processes import AnyMasim, ProcessesWorkload, processes_of

from .base import Backend
from .result import Result, Samples

MIB = 1 << 20

WORKLOAD = MasimWorkload(
    name="conformance",
    regions=(Region("hot", 8 * MIB), Region("idle", 16 * MIB)),
    phases=(
        Phase("touch both", 300, (Pattern("hot", False, 4096, 1), Pattern("idle", False, 4096, 1))),
        Phase("touch one", 2_700, (Pattern("hot", False, 4096, 1),)),
    ),
)
"""8 MiB that are always in use and 16 MiB that are idle from 0.3 s on."""

PROCESSES = ProcessesWorkload(
    "conformance-processes",
    (
        WORKLOAD,
        dataclasses.replace(
            WORKLOAD, name="shorter", phases=(Phase("touch one", 2_000, (Pattern("hot", False, 64, 1),)),)
        ),
    ),
)
"""The same beside a process that ends after two seconds."""

FAST = Intervals(sample_us=2_000, aggr_us=40_000, ops_update_us=1_000_000)
SLOW = Intervals(sample_us=10_000, aggr_us=200_000, ops_update_us=1_000_000)
WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)
RECLAIM = Scheme(
    action=Action.PAGEOUT,
    access_pattern=AccessPattern(sz=Range(4096, U64_MAX), nr_accesses=Range(0, 0), age=Range(10, U32_MAX)),
)


def kdamonds_of(*schemes: Scheme, intervals: Intervals = FAST, nr_regions: NrRegions | None = None) -> Kdamonds:
    """Kdamonds over one process with the given schemes; 10 to 100 regions unless told."""
    return Kdamonds.of(intervals, nr_regions or NrRegions(10, 100), schemes)


REFUSED_BY_THE_KERNEL = {
    "fewer than three regions": kdamonds_of(nr_regions=NrRegions(2, 100)),
    "more regions at least than at most": kdamonds_of(nr_regions=NrRegions(100, 10)),
    "samples longer than an aggregation": kdamonds_of(intervals=Intervals(sample_us=200_000, aggr_us=100_000)),
}
"""What `damon_set_attrs()` answers with EINVAL."""


class BackendConformance:
    """Tests that hold for any backend. `deterministic`: equal seeds give equal runs. `slack_s`: how late the backend
    may stop or sample, s beyond one sampling interval of DAMON. `workload`: what runs, `WORKLOAD` or `PROCESSES` where
    the backend runs several at once."""

    workload: AnyMasim = WORKLOAD
    deterministic = True
    slack_s = 0.01

    def make_backend(self, *, trace: bool = False) -> Backend:
        """The backend under test; with `trace` its results carry DAMON's regions, where it can."""
        raise NotImplementedError

    def test_says_what_it_is(self) -> None:
        backend = self.make_backend()
        offered = backend.probe()
        assert offered.backend == backend.name
        assert offered.time_kind in ("simulated", "virtual", "real")
        assert "vaddr" in offered.ops and "stat" in offered.actions
        assert not {*offered.ops, *offered.actions} & set(offered.missing)

    def test_runs_without_damon(self) -> None:
        backend = self.make_backend()
        with backend.start(self.workload, None, 1) as session:
            session.advance(0.5)
            with refused(BackendError):
                session.snapshot()
            result = session.finish()
        check_result(result, backend, self.workload, None, 1)
        assert result.scheme_stats == () and result.kdamond_cpu_s == 0
        assert not result.samples.nr_regions.any() and result.swap_out_bytes == 0

    def test_monitoring_leaves_memory_alone(self) -> None:
        backend, asked = self.make_backend(trace=True), kdamonds_of(WATCH)
        with backend.start(self.workload, asked, 1) as session:
            result = session.finish()
        check_result(result, backend, self.workload, asked, 1)
        assert result.swap_out_bytes == 0 and result.major_faults == 0
        assert result.kdamond_cpu_s > 0 and result.nr_regions_mean > 0
        assert len(result.scheme_stats) == 1
        stats = result.scheme_stats[0]
        assert stats.nr_tried > 0 and stats.sz_tried > 0
        check_trace(result, self.workload)

    def test_pageout_saves_memory(self) -> None:
        backend, asked = self.make_backend(trace=True), kdamonds_of(RECLAIM)
        plain, reclaimed = (self._run(backend, kdamonds, 1) for kdamonds in (None, asked))
        check_result(reclaimed, backend, self.workload, asked, 1)
        assert len(reclaimed.scheme_stats) == 1
        stats = reclaimed.scheme_stats[0]
        assert 0 < stats.nr_applied <= stats.nr_tried and 0 < stats.sz_applied <= stats.sz_tried
        assert reclaimed.swap_out_bytes >= 8 * MIB
        assert reclaimed.rss_mean_bytes < plain.rss_mean_bytes
        check_trace(reclaimed, self.workload)

    def test_a_snapshot_is_ordered_and_covers_the_workload(self) -> None:
        with self.make_backend().start(self.workload, kdamonds_of(WATCH), 1) as session:
            for _ in range(4):
                session.advance(0.25)
                snapshot = session.snapshot()
                check_snapshot(snapshot, FAST)
                footprint = sum(region.sz for region in self.workload.regions)
                assert int((snapshot.end - snapshot.start).sum()) >= footprint

    def test_stats_only_grow(self) -> None:
        with self.make_backend().start(self.workload, kdamonds_of(WATCH, RECLAIM), 1) as session:
            before = [SchemeStats(), SchemeStats()]
            while not session.done:
                session.advance(0.5)
                now = session.stats()
                assert len(now) == len(before)
                for old, new in zip(before, now, strict=True):
                    counters = (name for name in vars(new) if name != "effective_bytes")
                    assert all(getattr(new, name) >= getattr(old, name) for name in counters)
                before = list(now)
            assert before[0].nr_tried > 0

    def test_a_commit_converts_ages_to_the_new_intervals(self) -> None:
        # Kernel: damon_set_attrs() -> damon_update_monitoring_results(); an age is a count of aggregation intervals.
        asked = kdamonds_of(WATCH, intervals=SLOW)
        with self.make_backend().start(self.workload, kdamonds_of(WATCH), 1) as session:
            session.advance(1.8)
            assert oldest_s(session.snapshot()) > 0.9
            assert session.commit(asked) == asked
            session.advance(0.5)
            snapshot = session.snapshot()
            check_snapshot(snapshot, SLOW)
            assert 0.9 < oldest_s(snapshot) <= snapshot.t_s + SLOW.aggr_us / 1e6
            result = session.finish()
        assert result.applied == asked

    def test_a_commit_changes_schemes_online(self) -> None:
        with self.make_backend().start(self.workload, kdamonds_of(WATCH), 1) as session:
            session.advance(1.5)
            session.commit(kdamonds_of(WATCH, RECLAIM))
            result = session.finish()
        assert len(result.scheme_stats) == 2
        assert result.swap_out_bytes > 0
        swapped = result.samples.swap_out_pages[result.samples.t_s <= 1.5]
        assert swapped.size and not swapped.any()

    def test_what_the_kernel_would_refuse_is_refused(self) -> None:
        backend = self.make_backend()
        for bad in REFUSED_BY_THE_KERNEL.values():
            with refused(KdamondsError):
                backend.start(self.workload, bad, 1).close()

    def test_a_refused_commit_changes_nothing(self) -> None:
        with self.make_backend().start(self.workload, kdamonds_of(WATCH), 1) as session:
            session.advance(0.5)
            for bad in REFUSED_BY_THE_KERNEL.values():
                with refused(KdamondsError):
                    session.commit(bad)
            session.advance(0.5)
            check_snapshot(session.snapshot(), FAST)
            result = session.finish()
        assert result.applied == kdamonds_of(WATCH)

    def test_the_work_that_is_done_grows_to_all_of_it(self) -> None:
        with self.make_backend().start(self.workload, None, 1) as session:
            done = [session.work_done_ms()]
            while not session.done:
                session.advance(0.5)
                done.append(session.work_done_ms())
        assert 0 <= done[0] and done == sorted(done) and done[-1] == self.workload.duration_ms

    def test_advance_stops_in_time_and_at_the_end(self) -> None:
        late = FAST.sample_us / 1e6 + self.slack_s
        with self.make_backend().start(self.workload, kdamonds_of(WATCH), 1) as session:
            taken = [session.advance(0.5), session.advance(0.5)]
            assert not session.done
            assert all(times.t_s[-1] <= until + late for times, until in zip(taken, (0.5, 1.0), strict=True))
            taken.append(session.advance(1e6))
            assert session.done
            taken.append(session.advance(1.0))
            assert taken[-1].t_s.size == 0
            result = session.finish()
        t_s = np.concatenate([samples.t_s for samples in taken])
        assert (np.diff(t_s) > 0).all()
        assert t_s[-1] <= result.runtime_s

    def test_finish_and_close_may_be_repeated(self) -> None:
        backend = self.make_backend()
        session = backend.start(self.workload, kdamonds_of(WATCH), 1)
        assert same(session.finish(), session.finish())
        session.close()
        session.close()

    def test_a_failed_session_leaves_the_backend_usable(self) -> None:
        backend = self.make_backend()
        with refused(ZeroDivisionError), backend.start(self.workload, kdamonds_of(WATCH), 1) as session:
            session.advance(0.2)
            raise ZeroDivisionError
        self._run(backend, kdamonds_of(WATCH), 1)

    def test_a_seed_decides_the_run(self) -> None:
        if not self.deterministic:
            return
        backend, asked = self.make_backend(trace=True), kdamonds_of(RECLAIM)
        first, again, other = (self._run(backend, asked, seed) for seed in (1, 1, 2))
        assert same(first, again)
        assert not same(first, dataclasses.replace(other, seed=1))

    def test_pausing_a_run_does_not_change_it(self) -> None:
        if not self.deterministic:
            return
        backend, asked = self.make_backend(trace=True), kdamonds_of(RECLAIM)
        with backend.start(self.workload, asked, 1) as session:
            while not session.done:
                session.advance(0.37)
                session.snapshot()
            paused = session.finish()
        assert same(paused, self._run(backend, asked, 1))

    def _run(self, backend: Backend, kdamonds: Kdamonds | None, seed: int) -> Result:
        with backend.start(self.workload, kdamonds, seed) as session:
            return session.finish()


@contextmanager
def refused(kind: type[Exception]) -> Iterator[None]:
    """Fails unless its block raises `kind`."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def check_result(result: Result, backend: Backend, workload: AnyMasim, asked: Kdamonds | None, seed: int) -> None:
    """Fails unless a result of `workload` says what was asked for and its figures agree with each other."""
    assert (result.workload, result.backend, result.seed) == (workload.name, backend.name, seed)
    assert result.time_kind == backend.probe().time_kind and result.machine
    assert result.asked == asked and result.applied == asked
    assert 0 < result.rss_mean_bytes <= result.rss_peak_bytes
    assert 0 <= result.rss_last_bytes <= result.rss_peak_bytes
    assert result.runtime_s > 0 and result.kdamond_cpu_s >= 0
    assert all(phase.elapsed_ms > 0 and phase.accesses > 0 for phase in result.phases)
    processes, left, took_ms = processes_of(workload), list(result.phases), list[float]()
    for process in processes:
        own, left = left[: len(process.phases)], left[len(process.phases) :]
        of = f"{process.name}: " if len(processes) > 1 else ""
        assert [phase.name for phase in own] == [of + phase.name for phase in process.phases]
        took_ms.append(sum(phase.elapsed_ms for phase in own))
    assert not left
    np.testing.assert_allclose(max(took_ms), 1e3 * result.runtime_s, rtol=0.01)

    samples = result.samples
    columns = [getattr(samples, field.name) for field in dataclasses.fields(Samples)]
    assert {column.shape for column in columns if column is not None} == {samples.t_s.shape}
    assert samples.t_s.size >= 2 and samples.t_s[0] >= 0 and samples.t_s[-1] <= result.runtime_s
    assert (np.diff(samples.t_s) > 0).all()
    for name in ("major_faults", "swap_in_pages", "swap_out_pages", "kdamond_cpu_s"):
        assert (np.diff(getattr(samples, name)) >= 0).all(), name
    assert samples.rss_bytes.max() <= result.rss_peak_bytes and samples.swap_bytes.min() >= 0
    assert samples.swap_in_pages[-1] * 4096 <= result.swap_in_bytes
    assert samples.swap_out_pages[-1] * 4096 <= result.swap_out_bytes


def check_snapshot(snapshot: Snapshot, intervals: Intervals) -> None:
    """Fails unless the regions of each target are sorted, apart, whole pages, and their counters possible under
    `intervals`."""
    snapshot = side_by_side(snapshot)
    assert (snapshot.sample_us, snapshot.aggr_us) == (intervals.sample_us, intervals.aggr_us)
    assert snapshot.start.size >= 3 and snapshot.start[0] >= 0
    assert (snapshot.start < snapshot.end).all()
    assert (snapshot.end[:-1] <= snapshot.start[1:]).all()
    assert not (snapshot.start % 4096).any() and not (snapshot.end % 4096).any()
    assert snapshot.nr_accesses.min() >= 0
    assert snapshot.nr_accesses.max() <= intervals.aggr_us // intervals.sample_us
    assert snapshot.age.min() >= 0


def check_trace(result: Result, workload: AnyMasim) -> None:
    """Fails unless a trace's regions are sorted, apart and inside the address space of each target; without a trace
    passes."""
    trace = result.trace
    if trace is None:
        return
    assert (np.diff(trace.t_ms) > 0).all() and trace.t_ms[-1] <= 1e3 * result.runtime_s
    assert trace.offset[0] == 0 and trace.offset[-1] == trace.pages.size and (np.diff(trace.offset) > 0).all()
    assert (trace.pages > 0).all()
    end_page = trace.start_page + trace.pages
    inside = np.ones(trace.pages.size, bool)
    inside[trace.offset[:-1]] = False
    target = np.zeros(trace.pages.size, np.int64) if trace.target is None else trace.target
    ordered = (target[1:] > target[:-1]) | (target[1:] == target[:-1]) & (trace.start_page[1:] >= end_page[:-1])
    assert ordered[inside[1:]].all()
    assert trace.start_page.min() >= min(page for _, page, _ in trace.maps)
    assert end_page.max() <= max(page + pages for _, page, pages in trace.maps)
    if len(processes_of(workload)) > 1:
        return
    assert [name for name, _, _ in trace.areas] == [region.name for region in workload.regions]
    assert min(page for _, page, _ in trace.areas) == 0


def oldest_s(snapshot: Snapshot) -> float:
    """The longest time that a region has kept its access rate, s."""
    return float(snapshot.age.max()) * snapshot.aggr_us / 1e6


def same(left: object, right: object) -> bool:
    """Whether two values made of dataclasses, tuples and arrays are equal."""
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and np.array_equal(left, right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        names = [field.name for field in dataclasses.fields(left)]
        return type(left) is type(right) and all(same(getattr(left, name), getattr(right, name)) for name in names)
    return left == right
