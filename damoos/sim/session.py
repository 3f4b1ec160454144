"""One simulated run behind the `Session` seam."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Placed
from damoos.backend.result import Result, Samples, Trace
from damoos.damon.kdamonds import Context, Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.errors import BackendError
from damoos.workload.pace import Pace
from damoos.workload.processes import AnyMasim, processes_of

from . import engine
from .commit import Successor, attributes_of, successors, targets_of, with_schemes, with_targets
from .layout import PAGE, SPAN
from .machine import Machine
from .monitored import View, given_to, view_of, watched_at_first
from .outcome import phases_of, trace_of, work_left_ms
from .program import compile_program
from .start import build_state, columns_in_use
from .state import (
    AGGR_US,
    ASKED_AGGR_US,
    ASKED_SAMPLE_US,
    C_FAULT,
    C_STALL,
    CORE_PAGE,
    CUR,
    DONE,
    KDAMOND_CPU,
    MAJOR_FAULTS,
    NOW,
    NR_AGGREGATIONS,
    NR_REGIONS,
    NR_SAMPLES,
    NR_TRACE_REGIONS,
    NR_TRACE_ROWS,
    RSS_INTEGRAL,
    SAMPLE_US,
    SHOWN,
    ST_PASSED,
    ST_SZ_APPLIED,
    ST_SZ_TRIED,
    SUM_REGIONS,
    SWAP_IN,
    SWAP_OUT,
    WATERMARKS,
    State,
)
from .support import check_begin, check_supported, versions
from .tables import Q_ESZ, address_unit, scheme_tables


def in_units(columns: NDArray[np.float64], rss_base_bytes: int | NDArray[np.int64]) -> Samples:
    """What the recorder shows, [columns, n] in the order of `state.SAMPLE_COLUMNS`, in the units of samples.

    `rss_base_bytes`, one number or [n]: what resident memory has besides the workload's pages.
    """
    rss, swapped = np.rint(columns[1:3] * PAGE).astype(np.int64)
    faults, swap_in, swap_out, _, nr_regions, huge, far = columns[3:].astype(np.int64)
    return Samples(
        t_s=columns[0] / 1e6,
        rss_bytes=rss + rss_base_bytes,
        swap_bytes=swapped,
        major_faults=faults,
        swap_in_pages=swap_in,
        swap_out_pages=swap_out,
        kdamond_cpu_s=columns[6] / 1e6,
        nr_regions=nr_regions,
        huge_bytes=huge * PAGE,
        far_bytes=far * PAGE,
    )


class SimSession:
    """A workload running on the simulator. See `damoos.backend.base.Session`."""

    def __init__(
        self,
        backend: str,
        machine: Machine,
        workload: AnyMasim,
        kdamonds: Kdamonds | None,
        seed: int,
        *,
        pace: Pace,
        sample_every_us: float,
        trace: bool,
        exact: bool,
    ) -> None:
        self._processes, self._program = processes_of(workload), compile_program(workload, machine, pace)
        self._groups = self._program.groups
        if kdamonds is not None:
            check_supported(kdamonds, machine, self._groups)
            check_begin(kdamonds)
        self._backend, self._machine, self._workload, self._seed = backend, machine, workload, seed
        self._asked = kdamonds
        self._applied: Kdamonds | None = None
        self._take_back: Callable[[], Callable[[], Kdamonds] | None] | None = None
        self._last: Callable[[], Kdamonds] | None = None
        self._samples: list[np.ndarray] = []
        self._trace: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._result: Result | None = None
        self._closed = False
        context = self._monitored(kdamonds.context) if kdamonds is not None else _NO_CONTEXT
        self._watched = watched_at_first(len(context.targets), len(self._processes))
        view = self._first_view = self._view(context)
        self._base, self._physical = view.base_address, view.physical
        self._state, self._layout = build_state(
            workload,
            machine,
            pace,
            seed,
            sample_every_us=sample_every_us,
            trace=trace,
            exact=exact,
            max_nr_regions=context.nr_regions.max if kdamonds is not None else 0,
            schemes=scheme_tables(context, self._base, len(machine.nodes) or 1, self._groups),
            view=view,
            columns=columns_in_use(machine, context.schemes, physical=view.physical),
        )
        self._addresses, self._until_us = np.array([self._state.address]), np.zeros(1)
        self._shown = np.zeros((1, SHOWN))
        self._step(engine.BEGIN)
        if kdamonds is not None:
            n, attributes = self._state.n, attributes_of(context)
            n[list(attributes)] = list(attributes.values())
            n[WATERMARKS] = _has_watermarks(context)
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

    @property
    def state(self) -> State:
        """The arrays of the run as they are now, to be read only; others after a commit."""
        return self._state

    @property
    def rss_base_bytes(self) -> int:
        """What `rss_bytes` of samples and results has besides the workload's pages."""
        return self._machine.rss_base_bytes

    @property
    def asked(self) -> Kdamonds | None:
        """What the run was started with, or what was committed last."""
        self._know()
        return self._asked

    @property
    def duration_ms(self) -> float:
        """What the workload takes undisturbed, of which `work_done_ms` is done."""
        return self._workload.duration_ms

    @property
    def address(self) -> int:
        """For `engine.step`, by which a batch moves on. Raises BackendError when closed."""
        self._must_be_open()
        return int(self._addresses[0])

    def commit(self, kdamonds: Kdamonds) -> Kdamonds:
        """Changes the running configuration as the kernel's `commit` does: schemes by index, ages converted.

        Raises KdamondsError, and BackendError if DAMON is not running or the value can't be simulated.
        """
        self._must_be_open()
        self._know()
        if self._applied is None:
            raise BackendError("commit: this run was started without DAMON; start it with kdamonds to change them")
        check_supported(kdamonds, self._machine, self._groups)
        context = self._monitored(kdamonds.context)
        before = self._applied.context
        if (context.ops, address_unit(context)) != (before.ops, address_unit(before)):
            raise BackendError("commit: the operations set and the address unit stay while a simulated run goes on")
        after = successors(context.targets, len(self._state.target))
        self._set_schemes(context)
        self._set_targets(context, after)
        n, asked = self._state.n, attributes_of(context)
        changed = any(n[i] != value for i, value in asked.items())
        n[ASKED_SAMPLE_US], n[ASKED_AGGR_US] = asked.pop(SAMPLE_US), asked.pop(AGGR_US)
        n[list(asked)] = list(asked.values())
        n[WATERMARKS] = _has_watermarks(context)
        if changed:
            self._step(engine.SET_ATTRIBUTES)
        self._applied = self._asked = kdamonds
        return kdamonds

    def lend(self, take_back: Callable[[], Callable[[], Kdamonds] | None]) -> None:
        """Lets compiled code commit to the run from outside, until `take_back` is called, which returns what makes the
        value that was committed last (None: none was)."""
        self._take_back = take_back

    def settle(self) -> None:
        """Takes back what was lent."""
        if self._take_back is not None:
            take_back, self._take_back = self._take_back, None
            self._last = take_back() or self._last

    def _know(self) -> None:
        # What is made of numbers is made when it is asked for: most runs in a fleet are never asked.
        self.settle()
        if self._last is not None:
            self._applied = self._asked = self._last()
            self._last = None

    def advance(self, seconds: float) -> Samples:
        """Lets the workload run on for `seconds` s of simulated time, or a little more (to the end of a stretch of at
        most a quarter of a second or one sampling interval); returns the samples taken meanwhile."""
        self._must_be_open()
        before = sum(len(x) for x in self._samples) + int(self._state.n[NR_SAMPLES])
        self._run(float(self._state.f[NOW]) + seconds * 1e6)
        return self._all_samples(first=before)

    def snapshot(self) -> Snapshot:
        """The regions of now with the counters of the last finished window (before the first: of the running one)."""
        self._must_monitor()
        state = self._state
        cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
        counters = state.last_nr_accesses if state.n[NR_AGGREGATIONS] > 0 else state.nr_accesses
        target = self._targets_of(state.start[cur, :count])
        base = self._base - target * SPAN * PAGE
        return Snapshot(
            t_s=self.now_s,
            start=state.start[cur, :count] * PAGE + base,
            end=state.end[cur, :count] * PAGE + base,
            nr_accesses=counters[cur, :count].astype(np.int64),
            age=state.age[cur, :count].astype(np.int64),
            sample_us=int(state.n[SAMPLE_US]),
            aggr_us=int(state.n[AGGR_US]),
            target=target,
        )

    def stats(self) -> tuple[SchemeStats, ...]:
        """The counters of each scheme so far."""
        # The kernel counts sizes in core addresses.
        unit = PAGE // int(self._state.n[CORE_PAGE])
        found = []
        for row, esz in zip(self._state.stats.tolist(), self._state.quota[:, Q_ESZ].tolist(), strict=True):
            for column in _STATS_OF_SIZE:
                row[column] *= unit
            found.append(SchemeStats(*[*row, esz * unit]))
        return tuple(found)

    def placed(self) -> tuple[Placed, ...]:
        """Where the workload's regions lie; in physical memory in too many pieces to be told."""
        if self._physical:
            return ()
        found, areas = [], iter(self._layout.region_area)
        for c, process in enumerate(self._processes):
            base = self._layout.base_address - c * SPAN * PAGE
            for region in process.regions:
                start = self._layout.areas[next(areas)].start * PAGE + base
                found.append((region.name, start, start + region.sz))
        return tuple(found)

    def work_done_ms(self) -> float:
        """All but what the process that has most to do has left; see `outcome.work_left_ms`."""
        return self._workload.duration_ms - work_left_ms(self._program, self._state)

    def finish(self) -> Result:
        """Runs the workload to its end and returns the record; again the same record when called again."""
        if self._result is None:
            self._must_be_open()
            self._run(math.inf)
            self._step(engine.FINISH)
            self.empty_buffers()
            self._know()
            self._result = self._record()
        return self._result

    def close(self) -> None:
        """Ends the session; nothing has to be restored."""
        self.settle()
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

    def _must_monitor(self) -> None:
        if self._applied is None:
            raise BackendError("this run was started without DAMON: it has no regions")

    def _run(self, until_us: float) -> None:
        while self._step(engine.RUN, until_us):
            self.empty_buffers()

    def _step(self, what: int, until_us: float = 0.0) -> bool:
        self._until_us[0] = until_us
        return bool(engine.step(self._addresses, what, self._until_us, self._shown))

    def _view(self, context: Context) -> View:
        return view_of(context, self._program.layout, self._machine, self._seed, self._watched)

    def _monitored(self, context: Context) -> Context:
        # One target of several processes stands for all of them, as on a real kernel.
        if context.ops == "paddr" or len(self._processes) == 1 or len(context.targets) != 1:
            return context
        return dataclasses.replace(context, targets=context.targets * len(self._processes))

    def _set_schemes(self, context: Context) -> None:
        tables = scheme_tables(context, self._base, self._state.node_room.size, self._groups)
        columns = columns_in_use(self._machine, context.schemes, physical=self._physical)
        self._use(with_schemes(self._state, tables, context.nr_regions.max, columns))

    def _set_targets(self, context: Context, after: Sequence[Successor]) -> None:
        targets = tuple(context.targets[s.asked] for s in after)
        same = [s.before for s in after] == list(range(len(self._state.target)))
        if same and not any(target.regions for target in targets):
            return
        context = dataclasses.replace(context, targets=targets)
        last = len(self._processes) - 1
        self._watched = tuple(self._watched[s.before] if s.before is not None else min(s.asked, last) for s in after)
        # With paddr the workload's pages stay where they are, whatever is monitored.
        view = self._first_view if self._physical else self._view(context)
        self._use(with_targets(self._state, after, view, given_to(context, self._base)))
        self._step(engine.SET_TARGETS)

    def _use(self, state: State) -> None:
        self._state = state
        self._addresses[0] = state.address

    def _targets_of(self, pages: NDArray[np.int64]) -> NDArray[np.int64]:
        return targets_of(pages) if len(self._state.target) > 1 else np.zeros_like(pages)

    def empty_buffers(self) -> None:
        """Makes room for more samples and traces."""
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
        # column by column, which is quicker when each is in one piece
        samples = in_units(np.ascontiguousarray(rows.T), self._machine.rss_base_bytes)
        return dataclasses.replace(samples, stall_s=self._stalled_s(samples.major_faults))

    def _stalled_s(self, major_faults: NDArray[np.int64]) -> NDArray[np.float64]:
        # As vmstat.stall_us, which goals see.
        return major_faults * self._state.c[C_FAULT] * self._state.c[C_STALL] / 1e6

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
            phases=tuple(phases_of(self._processes, self._program, state)),
            samples=samples,
            asked=self._asked,
            applied=self._applied_now(),
            trace=self._all_trace() if self._trace else None,
            stall_s=float(self._stalled_s(n[MAJOR_FAULTS])),
            versions=versions(),
        )

    def _all_trace(self) -> Trace:
        targets = len(self._state.target)
        return trace_of(self._trace, self._processes, self._program, targets=targets, physical=self._physical)

    def _applied_now(self) -> Kdamonds | None:
        # With the intervals that auto-tuning has arrived at.
        if self._applied is None:
            return None
        context, n = self._applied.context, self._state.n
        if (n[SAMPLE_US], n[AGGR_US]) == (context.intervals.sample_us, context.intervals.aggr_us):
            return self._applied
        intervals = dataclasses.replace(context.intervals, sample_us=int(n[SAMPLE_US]), aggr_us=int(n[AGGR_US]))
        return self._applied.with_context(dataclasses.replace(context, intervals=intervals))


def _has_watermarks(context: Context) -> bool:
    return any(scheme.watermarks.metric != "none" for scheme in context.schemes)


_NO_CONTEXT = Context()
_STATS_OF_SIZE = (ST_SZ_TRIED, ST_SZ_APPLIED, ST_PASSED)
