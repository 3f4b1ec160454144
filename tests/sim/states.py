"""States for tests of single mechanisms: regions given as (start, end, nr_accesses, last_nr_accesses, age) in pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from damoos.damon.kdamonds import Context, Target
from damoos.damon.schemes import Scheme
from damoos.sim import regions as compiled
from damoos.sim.handle import Handle, handle_of
from damoos.sim.jit import callable_kernel
from damoos.sim.layout import lay_out
from damoos.sim.machine import Machine, load_machine
from damoos.sim.monitored import view_of
from damoos.sim.start import build_state
from damoos.sim.state import (
    AGGR_US,
    CUR,
    MAX_NR_ACCESSES,
    MAX_REGIONS,
    MIN_REGIONS,
    NR_REGIONS,
    SAMPLE_US,
    SIZE_LIMIT,
    State,
)
from damoos.sim.tables import scheme_tables
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

count_pages = callable_kernel(compiled.count_pages)

RegionRow = tuple[int, int, int, int, int]

TINY = MasimWorkload("tiny", (Region("r", 1 << 24),), (Phase("p", 1000, (Pattern("r", False, 4096, 1),)),))


LAB = load_machine("vm-lab")


def state_of(
    regions: Iterable[Sequence[int]],
    *,
    limit: int = 1 << 40,
    samples: int = 20,
    max_nr_regions: int = 1000,
    min_nr_regions: int = 3,
    seed: int = 1,
    schemes: Iterable[Scheme] = (),
    kernel: str = "7.3",
    machine: Machine = LAB,
    columns: int = 0,
    targets: int = 1,
    others: Sequence[tuple[float, ...]] = (),
) -> tuple[State, Handle]:
    """A state with these regions; counters that are left out are 0. `columns`: see `build_state`. `targets`: of one
    process, see `targets.SPAN`. `others`: rows of `State.other`."""
    rows = [tuple(r) + (0,) * (5 - len(tuple(r))) for r in regions]
    state, _ = build_state(
        TINY,
        dataclasses.replace(machine, kernel=kernel),
        Pace(prefault=True),
        seed,
        sample_every_us=1e5,
        trace=False,
        exact=False,
        max_nr_regions=max(max_nr_regions, len(rows)),
        schemes=scheme_tables(Context(schemes=tuple(schemes)), 0, len(machine.nodes) or 1),
        columns=columns,
        view=dataclasses.replace(
            view_of(Context(targets=(Target(),) * targets), lay_out(TINY), machine, 0), others=tuple(others)
        ),
    )
    n = state.n
    n[SAMPLE_US], n[AGGR_US] = 1000, 1000 * samples
    n[MIN_REGIONS], n[MAX_REGIONS], n[SIZE_LIMIT] = min_nr_regions, max_nr_regions, limit
    n[NR_REGIONS] = len(rows)
    n[MAX_NR_ACCESSES] = max((r[2] for r in rows), default=0)
    for i, row in enumerate(rows):
        for name, value in zip(NAMES, row, strict=True):
            getattr(state, name)[0, i] = value
    handle = handle_of(state)
    count_pages(handle)
    return state, handle


NAMES = ("start", "end", "nr_accesses", "last_nr_accesses", "age")


def rows_of(state: State) -> list[RegionRow]:
    """The regions of a state."""
    cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
    columns = [np.asarray(getattr(state, name))[cur, :count].tolist() for name in NAMES]
    return list(zip(*columns, strict=True))
