"""States for tests of memory: one workload region, with machines that have huge pages or nodes."""

from __future__ import annotations

import dataclasses

import numpy as np

from damoos.damon.kdamonds import Context
from damoos.sim.handle import Handle, handle_of
from damoos.sim.machine import Machine, Node, load_machine
from damoos.sim.start import build_state
from damoos.sim.state import HUGE, NR_EXTENTS, SWAPPED, UNTOUCHED, X_HUGE, X_NODE, State
from damoos.sim.tables import scheme_tables
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

PAGES = 4096
"""Of the only workload region, which starts at page 0, an address of whole 2 MiB."""

TWO_NODES = (Node(memory_bytes=3000 * 4096), Node(memory_bytes=8000 * 4096, random_factor=2.0, sequential_factor=1.5))


def machine(**changes: object) -> Machine:
    """The lab's machine with some values changed."""
    return dataclasses.replace(load_machine("vm-lab"), **changes)  # type: ignore[arg-type]


def memory_state(
    machine: Machine, columns: int, *, prefault: bool = True, random: bool = False, seed: int = 1
) -> tuple[State, Handle]:
    """A state without regions of DAMON."""
    pattern = Pattern("r", random, 4096, 1)
    workload = MasimWorkload("one", (Region("r", PAGES * 4096),), (Phase("p", 1000, (pattern,)),))
    state, _ = build_state(
        workload,
        machine,
        Pace(prefault=prefault),
        seed,
        sample_every_us=1e5,
        trace=False,
        exact=False,
        max_nr_regions=100,
        schemes=scheme_tables(Context(), 0, len(machine.nodes) or 1),
        columns=columns,
    )
    return state, handle_of(state)


def area(state: State) -> int:
    """Index of the workload's area."""
    return int(np.flatnonzero(state.area_start == 0)[0])


def check_books(state: State) -> None:
    """Whether all counts agree with each other."""
    k = int(state.n[NR_EXTENTS])
    size = state.ext_end[:k] - state.ext_start[:k]
    resident = size - state.ext_swapped[:k] - state.ext_untouched[:k]
    marked = state.ext_more[:k, X_HUGE:]
    assert (size > 0).all() and (resident >= 0).all()
    assert (marked >= 0).all() and (marked <= resident[:, None]).all()
    assert state.ext_swapped[:k].sum() == state.n[SWAPPED] == state.area_swapped.sum()
    assert state.ext_untouched[:k].sum() == state.n[UNTOUCHED] == state.area_untouched.sum()
    assert (state.ext_more[:k, X_HUGE:].sum(axis=0) == state.area_more[:, X_HUGE:].sum(axis=0)).all()
    assert state.ext_more[:k, X_HUGE].sum() == state.n[HUGE]
    if state.ext_more.shape[1] > X_NODE:
        assert (state.ext_more[:k, X_NODE:].sum(axis=1) <= resident).all()
