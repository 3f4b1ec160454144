"""What of a finished run goes into its result besides counters: phases as they ran, and the trace of aggregations; and
what is left of the phases of one that runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from damoos.backend.result import PhaseResult, Trace
from damoos.workload.masim import MasimWorkload

from .layout import SPAN
from .program import Program
from .state import NOW, PHASE, PHASE_ACCESSES, PHASE_END_AT, PHASE_START, PROCESS_F, PROCESS_N, State


def phases_of(processes: Sequence[MasimWorkload], program: Program, state: State) -> Iterator[PhaseResult]:
    """The phases of each process in turn; of several, with their process's name before their own."""
    elapsed, done = state.phase_elapsed.tolist(), state.phase_done.tolist()
    for process, first in zip(processes, program.first_phase, strict=False):
        of = f"{process.name}: " if len(processes) > 1 else ""
        for i, phase in enumerate(process.phases, first):
            yield PhaseResult(of + phase.name, float(phase.ms), elapsed[i] / 1e3, round(done[i]))


def work_left_ms(program: Program, state: State) -> float:
    """The nominal ms that the process has left that has most: phases to come, and the running one's rest, of its
    accesses or, where that ends it, of its time."""
    several = len(state.process_n) > 1
    numbers = state.process_n if several else state.n[None, PHASE : PHASE + PROCESS_N]
    floats = state.process_f if several else state.f[None, PHASE_START : PHASE_START + PROCESS_F]
    most_us = 0.0
    for n, f, end in zip(numbers, floats, program.first_phase[1:], strict=True):
        phase = int(n[0])
        left_us = float(state.phase_us[phase:end].sum())
        by_time = np.isfinite(f[PHASE_END_AT - PHASE_START])
        part = state.f[NOW] - f[0] if by_time else f[PHASE_ACCESSES - PHASE_START]
        whole = state.phase_us[phase] if by_time else state.phase_work[phase]
        if whole > 0:
            left_us -= float(state.phase_us[phase] * min(part / whole, 1.0))
        most_us = max(most_us, left_us)
    return most_us / 1e3


def trace_of(
    chunks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    processes: Sequence[MasimWorkload],
    program: Program,
    *,
    targets: int,
    physical: bool,
) -> Trace:
    """The trace from what the recorder's buffers held, (times µs, offsets, regions) a chunk. See `Trace`."""
    offsets, base = [np.zeros(1, np.int64)], 0
    for _, offset, regions in chunks:
        offsets.append(offset[1:] + base)
        base += len(regions)
    flat = np.concatenate([regions for _, _, regions in chunks])
    target = (flat[:, 0] + SPAN // 2) // SPAN if targets > 1 else np.zeros(len(flat), np.int64)
    layout = program.layout
    # Areas are told where one numbering of pages holds for all.
    told = () if physical or len(processes) > 1 else zip(processes[0].regions, layout.region_area, strict=True)
    placed = [(region.name, layout.areas[a]) for region, a in told]
    maps = layout.mapped[: layout.parts[0].end_mapped]
    return Trace(
        t_ms=np.concatenate([t for t, _, _ in chunks]) / 1e3,
        offset=np.concatenate(offsets),
        start_page=flat[:, 0] - target * SPAN,
        pages=flat[:, 1],
        nr_accesses=flat[:, 2],
        age=flat[:, 3],
        areas=tuple((name, area.start, area.end - area.start) for name, area in placed),
        maps=tuple((name, start, end - start) for name, start, end in maps),
        target=target,
    )
