"""A workload as arrays: where its memory is, and what its phases and patterns do on a machine.

Made once per (workload, machine, pace) and shared by all runs: nothing here changes while a run goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.workload.masim import MasimWorkload, Pattern
from damoos.workload.pace import Pace
from damoos.workload.processes import AnyMasim, processes_of

from .layout import PAGE, Layout, lay_out, side_by_side
from .machine import Machine
from .remember import remember
from .state import PROCESS_N
from .tables import WORKLOAD_CGROUP

_NEARLY_1 = 1.0 - 2.0**-53

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Program:
    """The address space, and what `State` has of the workload: sizes C, A, M, P, Q, and arrays by their names.

    Behind the phases of each process there is one more, in which it has ended: `first_phase` [C + 1] is where each
    begins. `groups`: the cgroup of each process.
    """

    layout: Layout
    groups: tuple[str, ...]
    first_phase: tuple[int, ...]
    sizes: dict[str, int]
    arrays: dict[str, Ints | Floats]


_OF_SIZE = {"A": "area_start", "M": "map_start", "P": "phase_us", "Q": "pattern_area"}


@remember(512)
def compile_program(workload: AnyMasim, machine: Machine, pace: Pace) -> Program:
    """The arrays of `workload` on `machine` at `pace`."""
    processes = processes_of(workload)
    alone = [_compile_process(process, machine, pace) for process in processes]
    layout = side_by_side([layout for layout, _ in alone])
    arrays = _address_space(layout)
    lengths = np.array([[len(own[name]) for name in ("phase_us", "pattern_area")] for _, own in alone])
    first_phase, first_pattern = np.concatenate((np.zeros((1, 2), np.int64), lengths.cumsum(axis=0))).T
    for name in alone[0][1]:
        arrays[name] = np.concatenate([own[name] for _, own in alone])
    of_phase = [own["phase_first"][:-1] + first for (_, own), first in zip(alone, first_pattern, strict=False)]
    arrays["phase_first"] = np.concatenate((*of_phase, first_pattern[-1:]))
    for c, part in enumerate(layout.parts):
        arrays["pattern_area"][first_pattern[c] : first_pattern[c + 1]] += part.first_area
        arrays["area_process"][part.first_area : part.end_area] = c
        arrays["area_phases"][part.first_area : part.end_area] += first_phase[c]
        arrays["process_n"][c] = first_phase[c], 0, 0, -1, part.first_area, part.end_area, first_phase[c + 1] - 1
    for values in arrays.values():
        values.flags.writeable = False  # all runs of the workload begin from them
    sizes = {size: len(arrays[name]) for size, name in _OF_SIZE.items()} | {"C": len(alone)}
    groups = tuple(f"{WORKLOAD_CGROUP}/{process.name}" for process in processes)
    if len(processes) == 1:
        groups = (WORKLOAD_CGROUP,)
    return Program(layout, groups, tuple(first_phase.tolist()), sizes, arrays)


def _compile_process(workload: MasimWorkload, machine: Machine, pace: Pace) -> tuple[Layout, dict[str, Ints | Floats]]:
    # A process as if it were alone.
    layout = lay_out(workload, machine.program_pages, machine.program_hot_pages)
    # masim makes no access in a phase whose weights are all 0.
    active = [phase.patterns if any(p.probability for p in phase.patterns) else () for phase in workload.phases] + [()]
    patterns = [p for chosen in active for p in chosen]
    phase_first = np.zeros(len(active) + 1, np.int64)
    np.cumsum([len(chosen) for chosen in active], out=phase_first[1:])
    # µs per access of a pattern: the access itself and its share of choosing the batch's pattern.
    access_us = np.array([1000.0 / _per_ms(machine, p) for p in patterns], float)
    batch_us = np.full(len(patterns), machine.batch_us / pace.batch)
    rate = 1.0 / (access_us + batch_us)
    weight = np.array([p.probability for p in patterns], float)
    phase_us = np.array([*(p.ms * 1000.0 for p in workload.phases), 0.0], float)
    phase_work, phase_cost = np.zeros(len(active)), np.zeros(len(active))
    for i, (first, last) in enumerate(zip(phase_first, phase_first[1:], strict=False)):
        if last > first:
            q = slice(first, last)
            weight[q] /= weight[q].sum()
            phase_cost[i] = (weight[q] / rate[q]).sum()
            phase_work[i] = phase_us[i] * _nominal_rate(1.0 / phase_cost[i], pace)
    index = {r.name: i for i, r in reversed(list(enumerate(workload.regions)))}
    return layout, {
        "area_untouched": _untouched(workload, layout, pace),
        "phase_first": phase_first,
        "phase_us": phase_us,
        "phase_work": phase_work,
        "phase_cost": phase_cost,
        "pattern_area": np.array([layout.region_area[index[p.region]] for p in patterns], np.int64),
        "pattern_random": np.array([p.random for p in patterns], np.int64),
        "pattern_hardens": np.array([p.random and p.rw_mode != "ro" for p in patterns], np.int64),
        "pattern_step": np.array([max(p.stride, 1) / PAGE for p in patterns], float),
        "pattern_weight": weight,
        "pattern_evasion": -np.log1p(-np.minimum(weight, _NEARLY_1)),
        "pattern_rate": rate,
        "pattern_access_us": access_us,
        "pattern_batch_us": batch_us,
        "pattern_gain": np.array(
            [machine.huge_random_gain if p.random else machine.huge_sequential_gain for p in patterns], float
        ),
    }


def _address_space(layout: Layout) -> dict[str, Ints | Floats]:
    areas = layout.areas
    mapped = [(s, e) for _, s, e in layout.mapped if (s, e) not in layout.special]
    return {
        "process_n": np.zeros((len(layout.parts), PROCESS_N), np.int64),
        "area_process": np.zeros(len(areas), np.int64),
        "area_start": np.array([a.start for a in areas], np.int64),
        "area_end": np.array([a.end for a in areas], np.int64),
        "area_hot": np.array([a.hot_pages for a in areas], np.int64),
        "area_loop": np.array([a.loop_pages for a in areas], np.int64),
        "area_anon": np.array([a.anonymous for a in areas], np.int64),
        "area_phases": np.array([(a.first_phase, a.last_phase) for a in areas], np.int64),
        "map_start": np.array([m[0] for m in mapped], np.int64),
        "map_end": np.array([m[1] for m in mapped], np.int64),
    }


def _per_ms(machine: Machine, pattern: Pattern) -> float:
    if not pattern.random:
        return machine.sequential_per_ms
    if pattern.rw_mode == "wo" and machine.random_write_per_ms > 0.0:
        return machine.random_write_per_ms
    return machine.random_per_ms


def _nominal_rate(undisturbed: float, pace: Pace) -> float:
    # Accesses per µs of nominal time that a phase consists of.
    if pace.accesses_per_ms is not None:
        return pace.accesses_per_ms / 1000.0
    return undisturbed if pace.limit_per_ms is None else min(undisturbed, pace.limit_per_ms / 1000.0)


def _untouched(workload: MasimWorkload, layout: Layout, pace: Pace) -> Ints:
    size = np.array([a.end - a.start for a in layout.areas], np.int64)
    resident = np.array([a.end - a.start if a.resident_pages is None else a.resident_pages for a in layout.areas])
    # Memory that masim fills from a file before the first phase is resident, other memory untouched.
    fresh = np.zeros(len(size), bool)
    for region, a in zip(workload.regions, layout.region_area, strict=True):
        fresh[a] = region.data_file is None and not pace.prefault
    return np.where(fresh, size, size - resident).astype(np.int64)
