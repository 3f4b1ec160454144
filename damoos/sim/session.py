"""One simulated run behind the `Session` seam."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

import numpy as np

from damoos.backend.base import Placed
from damoos.backend.result import PhaseResult, Result, Samples, Trace
from damoos.damon.kdamonds import Context, Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.errors import BackendError
from damoos.workload.masim import MasimWorkload
from damoos.workload.pace import Pace

from . import engine
from .attributes import convert_results
from .handle import Handle, handle_of
from .layout import PAGE
from .machine import Machine
from .state import (
    AGGR_US,
    CUR,
    DONE,
    KDAMOND_CPU,
    MAJOR_FAULTS,
    MAX_REGIONS,
    MIN_REGIONS,
    NEXT_AGGR,
    NOW,
    NR_AGGREGATIONS,
    NR_REGIONS,
    NR_SAMPLES,
    NR_TRACE_REGIONS,
    NR_TRACE_ROWS,
    PASSED,
    RSS_INTEGRAL,
    S_NEXT,
    SAMPLE_US,
    SUM_REGIONS,
    SWAP_IN,
    SWAP_OUT,
    UPDATE_US,
    State,
    build_state,
    scheme_rows,
)
from .support import check_supported, versions


class SimSession:
    """A workload running on the simulator. See `damoos.backend.base.Session`."""

    def __init__(
        self,
        backend: str,
        machine: Machine,
        workload: MasimWorkload,
        kdamonds: Kdamonds | None,
        seed: int,
        *,
        pace: Pace,
        sample_every_us: float,
        trace: bool,
        exact: bool,
    ) -> None:
        if kdamonds is not None:
            check_supported(kdamonds)
        self._backend, self._machine, self._workload, self._seed = backend, machine, workload, seed
        self._asked = kdamonds
        self._applied: Kdamonds | None = None
        self._samples: list[np.ndarray] = []
        self._trace: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._result: Result | None = None
        self._closed = False
        self._handle: Handle | None = None
        context = kdamonds.kdamonds[0].contexts[0] if kdamonds is not None else None
        self._state, self._layout = build_state(
            workload,
            machine,
            pace,
            seed,
            sample_every_us=sample_every_us,
            trace=trace,
            exact=exact,
            max_nr_regions=context.nr_regions.max if context is not None else 0,
            nr_schemes=len(context.schemes) if context is not None else 0,
        )
        self._step(engine.BEGIN)
        if kdamonds is not None:
            self._set_attributes(kdamonds)
            self._state.scheme[:] = scheme_rows(kdamonds)
            self._step(engine.TURN_ON)
            self._applied = kdamonds

    @property
    def done(self) -> bool:
        """Whether the workload has ended."""
        return bool(self._state.n[DONE])

    @property
    def now_s(self) -> float:
        """Simulated seconds since the start."""
        return float(self._state.f[NOW]) / 1e6

    def commit(self, kdamonds: Kdamonds) -> Kdamonds:
        """Changes the running configuration as the kernel's `commit` does: schemes by index, ages converted.

        Raises KdamondsError, and BackendError if DAMON is not running or the value can't be simulated.
        """
        self._must_be_open()
        if self._applied is None:
            raise BackendError("commit: this run was started without DAMON; start it with kdamonds to change them")
        check_supported(kdamonds)
        state = self._state
        old, new = self._applied.kdamonds[0].contexts[0], kdamonds.kdamonds[0].contexts[0]
        changed = (old.intervals, old.nr_regions) != (new.intervals, new.nr_regions)
        if changed:
            self._convert(
                (old.intervals.sample_us, old.intervals.aggr_us), new.intervals.sample_us, new.intervals.aggr_us
            )
        stats = np.zeros((len(new.schemes), state.stats.shape[1]), np.int64)
        kept = min(len(stats), len(state.stats))
        stats[:kept] = state.stats[:kept]
        rows = scheme_rows(kdamonds)
        rows[:kept, S_NEXT] = state.scheme[:kept, S_NEXT]
        self._state = self._grown(new.nr_regions.max)._replace(scheme=rows, stats=stats)
        self._handle = None
        self._set_attributes(kdamonds)
        if changed or len(rows) > kept:
            self._step(engine.RESCHEDULE)
        self._applied = self._asked = kdamonds
        return kdamonds

    def advance(self, seconds: float) -> Samples:
        """Lets the workload run on for `seconds` s of simulated time, or a little more (to the end of a stretch of at
        most a quarter of a second or one sampling interval); returns the samples taken meanwhile."""
        self._must_be_open()
        before = sum(len(x) for x in self._samples) + int(self._state.n[NR_SAMPLES])
        self._run(float(self._state.f[NOW]) + seconds * 1e6)
        return self._all_samples(first=before)

    def snapshot(self) -> Snapshot:
        """The regions of now with the counters of the last finished window (before the first: of the running one)."""
        state, context = self._state, self._context()
        cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
        counters = state.last_nr_accesses if state.n[NR_AGGREGATIONS] > 0 else state.nr_accesses
        base = self._layout.base_address
        start = state.start[cur, :count] * PAGE + base
        end = state.end[cur, :count] * PAGE + base
        return Snapshot(
            t_s=self.now_s,
            start=start,
            end=end,
            nr_accesses=counters[cur, :count].copy(),
            age=state.age[cur, :count].copy(),
            sample_us=context.intervals.sample_us,
            aggr_us=context.intervals.aggr_us,
        )

    def stats(self) -> tuple[SchemeStats, ...]:
        """The counters of each scheme so far."""
        return tuple(SchemeStats(*(int(x) for x in row)) for row in self._state.stats)

    def placed(self) -> tuple[Placed, ...]:
        """Where the workload's regions lie."""
        base, layout = self._layout.base_address, self._layout
        spans = [(r, layout.areas[a]) for r, a in zip(self._workload.regions, layout.region_area, strict=True)]
        return tuple((r.name, area.start * PAGE + base, area.start * PAGE + base + r.sz) for r, area in spans)

    def finish(self) -> Result:
        """Runs the workload to its end and returns the record; again the same record when called again."""
        if self._result is None:
            self._must_be_open()
            self._run(math.inf)
            self._step(engine.FINISH)
            self._flush()
            self._result = self._record()
        return self._result

    def close(self) -> None:
        """Ends the session; nothing has to be restored."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise BackendError("this session is closed")

    def _context(self) -> Context:
        if self._applied is None:
            raise BackendError("this run was started without DAMON: it has no regions")
        return self._applied.kdamonds[0].contexts[0]

    def _run(self, until_us: float) -> None:
        while self._step(engine.RUN, until_us):
            self._flush()

    def _step(self, what: int, until_us: float = 0.0) -> bool:
        if self._handle is None:
            self._handle = handle_of(self._state)
        return bool(engine.step(self._handle, what, until_us))

    def _set_attributes(self, kdamonds: Kdamonds) -> None:
        n, context = self._state.n, kdamonds.kdamonds[0].contexts[0]
        n[SAMPLE_US], n[AGGR_US] = context.intervals.sample_us, context.intervals.aggr_us
        n[UPDATE_US] = context.intervals.ops_update_us
        n[MIN_REGIONS], n[MAX_REGIONS] = context.nr_regions.min, context.nr_regions.max

    def _convert(self, old: tuple[int, int], sample_us: int, aggr_us: int) -> None:
        state = self._state
        cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
        live = (cur, slice(count))
        state.nr_accesses[live], state.last_nr_accesses[live], state.age[live] = convert_results(
            state.nr_accesses[live],
            state.last_nr_accesses[live],
            state.age[live],
            old,
            (sample_us, aggr_us),
            mid_window=bool(state.n[PASSED] < state.n[NEXT_AGGR]),
        )

    def _grown(self, max_nr_regions: int) -> State:
        state = self._state
        capacity = max_nr_regions * 2 + 3 * state.area_start.size + 64
        more = capacity - state.start.shape[1]
        if more <= 0:
            return state
        wider = {k: np.pad(getattr(state, k), ((0, 0), (0, more))) for k in _REGION_ARRAYS}
        longer = {k: np.pad(getattr(state, k), (0, 4 * more)) for k in _EXTENT_ARRAYS}
        return state._replace(**wider, **longer)

    def _flush(self) -> None:
        n = self._state.n
        self._samples.append(self._state.samples[: n[NR_SAMPLES]].copy())
        rows, regions = int(n[NR_TRACE_ROWS]), int(n[NR_TRACE_REGIONS])
        if rows:
            s = self._state
            self._trace.append(
                (s.trace_t[:rows].copy(), s.trace_offset[: rows + 1].copy(), s.trace_regions[:regions].copy())
            )
        n[NR_SAMPLES] = n[NR_TRACE_ROWS] = n[NR_TRACE_REGIONS] = 0

    def _all_samples(self, first: int = 0) -> Samples:
        rows = np.concatenate([*self._samples, self._state.samples[: self._state.n[NR_SAMPLES]]])[first:]
        base = self._machine.rss_base_bytes
        pages = (rows[:, 1:3] * PAGE).round().astype(np.int64)
        counts = rows[:, 3:6].astype(np.int64)
        return Samples(
            t_s=rows[:, 0] / 1e6,
            rss_bytes=pages[:, 0] + base,
            swap_bytes=pages[:, 1],
            major_faults=counts[:, 0],
            swap_in_pages=counts[:, 1],
            swap_out_pages=counts[:, 2],
            kdamond_cpu_s=rows[:, 6] / 1e6,
            nr_regions=rows[:, 7].astype(np.int64),
        )

    def _record(self) -> Result:
        state = self._state
        n, f = state.n, state.f
        samples = self._all_samples()
        base = self._machine.rss_base_bytes
        aggregations = int(n[NR_AGGREGATIONS])
        return Result(
            workload=self._workload.name,
            backend=self._backend,
            machine=self._machine.name,
            time_kind="simulated",
            seed=self._seed,
            runtime_s=float(f[NOW]) / 1e6,
            rss_mean_bytes=float(f[RSS_INTEGRAL] / max(f[NOW], 1e-9)) * PAGE + base,
            rss_peak_bytes=int(samples.rss_bytes.max()),
            rss_last_bytes=int(samples.rss_bytes[-1]),
            major_faults=int(n[MAJOR_FAULTS]),
            swap_in_bytes=int(n[SWAP_IN]) * PAGE,
            swap_out_bytes=int(n[SWAP_OUT]) * PAGE,
            kdamond_cpu_s=float(f[KDAMOND_CPU]) / 1e6,
            nr_regions_mean=float(n[SUM_REGIONS]) / aggregations if aggregations else 0.0,
            scheme_stats=self.stats(),
            phases=tuple(
                PhaseResult(p.name, float(p.ms), float(us) / 1e3, round(float(done)))
                for p, us, done in zip(self._workload.phases, state.phase_elapsed, state.phase_done, strict=True)
            ),
            samples=samples,
            asked=self._asked,
            applied=self._applied,
            trace=self._full_trace() if self._trace else None,
            versions=versions(),
        )

    def _full_trace(self) -> Trace:
        offsets, base = [np.zeros(1, np.int64)], 0
        for _, offset, regions in self._trace:
            offsets.append(offset[1:] + base)
            base += len(regions)
        flat = np.concatenate([r for _, _, r in self._trace])
        layout = self._layout
        placed = [(r.name, layout.areas[a]) for r, a in zip(self._workload.regions, layout.region_area, strict=True)]
        return Trace(
            t_ms=np.concatenate([t for t, _, _ in self._trace]) / 1e3,
            offset=np.concatenate(offsets),
            start_page=flat[:, 0],
            pages=flat[:, 1],
            nr_accesses=flat[:, 2],
            age=flat[:, 3],
            areas=tuple((name, area.start, area.end - area.start) for name, area in placed),
            maps=tuple((name, start, end - start) for name, start, end in layout.mapped),
        )


_REGION_ARRAYS = ("start", "end", "nr_accesses", "last_nr_accesses", "age")
_EXTENT_ARRAYS = ("ext_start", "ext_end", "ext_area", "ext_swapped", "ext_untouched")
