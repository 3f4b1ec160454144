"""A workload as arrays: where its memory is, and what its phases and patterns do on a machine.

Made once per (workload, machine, pace) and shared by all runs: nothing here changes while a run goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.workload.masim import MasimWorkload, Pattern
from damoos.workload.pace import Pace

from .layout import PAGE, Layout, lay_out
from .machine import Machine
from .remember import remember

_NEARLY_1 = 1.0 - 2.0**-53

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Program:
    """The address space, and what `State` has of the workload: sizes A, M, P, Q, and arrays by their names."""

    layout: Layout
    sizes: dict[str, int]
    arrays: dict[str, Ints | Floats]


@remember(64)
def compile_program(workload: MasimWorkload, machine: Machine, pace: Pace) -> Program:
    """The arrays of `workload` on `machine` at `pace`."""
    layout = lay_out(workload, machine.program_pages, machine.program_hot_pages)
    # masim makes no access in a phase whose weights are all 0.
    active = [phase.patterns if any(p.probability for p in phase.patterns) else () for phase in workload.phases]
    patterns = [p for chosen in active for p in chosen]
    phase_first = np.zeros(len(active) + 1, np.int64)
    np.cumsum([len(chosen) for chosen in active], out=phase_first[1:])
    # µs per access of a pattern: the access itself and its share of choosing the batch's pattern.
    access_us = np.array([1000.0 / _per_ms(machine, p) for p in patterns], float)
    batch_us = np.full(len(patterns), machine.batch_us / pace.batch)
    rate = 1.0 / (access_us + batch_us)
    weight = np.array([p.probability for p in patterns], float)
    phase_us = np.array([p.ms * 1000.0 for p in workload.phases], float)
    phase_work, phase_cost = np.zeros(len(active)), np.zeros(len(active))
    for i, (first, last) in enumerate(zip(phase_first, phase_first[1:], strict=False)):
        if last > first:
            q = slice(first, last)
            weight[q] /= weight[q].sum()
            phase_cost[i] = (weight[q] / rate[q]).sum()
            phase_work[i] = phase_us[i] * _nominal_rate(1.0 / phase_cost[i], pace)
    index = {r.name: i for i, r in reversed(list(enumerate(workload.regions)))}
    arrays = _address_space(layout) | {
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
    for values in arrays.values():
        values.flags.writeable = False  # all runs of the workload begin from them
    first_of = {"A": "area_start", "M": "map_start", "P": "phase_us", "Q": "pattern_area"}
    return Program(layout, {size: len(arrays[name]) for size, name in first_of.items()}, arrays)


def _address_space(layout: Layout) -> dict[str, Ints | Floats]:
    areas = layout.areas
    mapped = [(s, e) for _, s, e in layout.mapped if (s, e) not in layout.special]
    return {
        "area_start": np.array([a.start for a in areas], np.int64),
        "area_end": np.array([a.end for a in areas], np.int64),
        "area_hot": np.array([a.hot_pages for a in areas], np.int64),
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
