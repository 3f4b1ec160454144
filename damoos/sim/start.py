"""What a run begins with: `State` before the first step, from workload, machine, pace and configuration."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from damoos.damon.features import kernel_version
from damoos.damon.kdamonds import Context
from damoos.damon.schemes import Action, Scheme
from damoos.workload.pace import Pace
from damoos.workload.processes import AnyMasim

from .layout import PAGE, Layout
from .machine import THP_MODES, Machine, Node
from .monitored import View, view_of
from .program import compile_program
from .remember import remember
from .rng import seed_streams
from .state import (
    BLOCK,
    BLOCK_SHIFT,
    C_BASE,
    C_BATCH,
    C_BY_TIME,
    C_COARSE,
    C_COLLAPSE,
    C_FAULT,
    C_FAULT_HARD,
    C_HUGE_FAULT,
    C_KHUGEPAGED,
    C_LIMIT,
    C_LIMIT_PAGES,
    C_LRU,
    C_LRU_NOISE,
    C_MEMORY,
    C_MEMORY_USED,
    C_MIGRATE,
    C_MINOR,
    C_PAGEOUT,
    C_PAGEOUT_HARD,
    C_PAGEOUT_HUGE,
    C_PCP,
    C_READAHEAD,
    C_REGION,
    C_SAMPLE,
    C_SCAN,
    C_SHARED,
    C_SIZE,
    C_SLACK,
    C_STALL,
    C_START,
    C_SWAP_MEMORY,
    C_SWAPIN,
    C_SWITCH,
    C_TICK,
    C_WAIT,
    C_WALK,
    C_WALK_ABSENT,
    CORE_PAGE,
    EXACT,
    FIELDS,
    HUGE,
    KERNEL,
    LAST_RSS,
    NEXT_COLLAPSE,
    NR_ALIVE,
    NR_EXTENTS,
    PHASE,
    PHYSICAL,
    PROCESS_N,
    RATES_STALE,
    SAMPLE_EVERY,
    TAKEN,
    THP,
    TRACE,
    TRACE_REGIONS,
    TRACE_ROWS,
    UNTOUCHED,
    WORKLOAD_PAGES,
    X_ADVICE,
    X_HUGE,
    X_NODE,
    SchemeTables,
    State,
    allocate,
    room_for,
)

_OF_HUGE_PAGES = {Action.HUGEPAGE, Action.NOHUGEPAGE, Action.COLLAPSE}
_NO_END = 2**60
_EXTENT_BUFFERS = tuple(field.name for field in FIELDS if field.is_buffer and "E" in field.shape)


def build_state(
    workload: AnyMasim,
    machine: Machine,
    pace: Pace,
    seed: int,
    *,
    sample_every_us: float,
    trace: bool,
    exact: bool,
    max_nr_regions: int,
    schemes: SchemeTables,
    view: View | None = None,
    columns: int = 0,
) -> tuple[State, Layout]:
    """The state before the first step, DAMON off, with room for that many regions and with that many columns of
    `ext_more` (`columns_in_use`). `view`: what is monitored (None: the process's address space)."""
    first, layout = _first_state(workload, machine, pace, trace, max_nr_regions, schemes, columns, view)
    state = State(first.plan, first)
    state.copy_buffers(first, _EXTENT_BUFFERS, int(first.n[NR_EXTENTS]))
    state.f[SAMPLE_EVERY], state.n[EXACT] = sample_every_us, exact
    state.rng[:] = seed_streams(seed)
    return state, layout


@remember(512, by_value=False)
def _first_state(
    workload: AnyMasim,
    machine: Machine,
    pace: Pace,
    trace: bool,
    max_nr_regions: int,
    schemes: SchemeTables,
    columns: int,
    view: View | None,
) -> tuple[State, Layout]:
    # What all runs of the same begin with.
    program = compile_program(workload, machine, pace)
    layout = program.layout
    view = view or view_of(Context(), layout, machine, 0)
    traced = {"T": TRACE_ROWS, "X": TRACE_REGIONS} if trace else {"T": 1, "X": 1}
    sizes = (
        program.sizes
        | room_for(max(max_nr_regions, len(view.first) + len(view.followed)), program.sizes["A"])
        | traced
        | schemes.sizes
    )
    nodes = machine.nodes or (Node(),)
    sizes |= {"N": len(nodes), "Y": columns} | view.sizes
    sizes["P+1"], sizes["T+1"], sizes["N+1"] = sizes["P"] + 1, sizes["T"] + 1, sizes["N"] + 1
    state = allocate(sizes)
    state.node_frames[:] = view.node_frames or 0
    for name, values in (program.arrays | view.arrays).items():
        getattr(state, name)[:] = values
    for name, rows in schemes._asdict().items():
        getattr(state, name)[:] = rows
    n, f = state.n, state.f
    n[TRACE] = trace
    n[KERNEL] = kernel_number(machine.kernel)
    n[PHYSICAL], n[CORE_PAGE] = view.physical, PAGE // view.unit
    state.c[:] = _costs(machine, pace, physical=view.physical)
    n[PHASE : PHASE + PROCESS_N] = state.process_n[0]
    n[NR_ALIVE] = len(state.process_n)
    state.node_pages[:] = state.node_room[:] = [node.memory_bytes // PAGE or _NO_END for node in nodes]
    state.node_factor[:] = [[n.sequential_factor for n in nodes], [n.random_factor for n in nodes]]
    size = state.area_end - state.area_start
    extents = np.flatnonzero(state.area_hot == 0)
    k = len(extents)
    state.ext_start[:k] = state.area_start[extents]
    state.ext_end[:k] = state.area_end[extents]
    state.ext_area[:k] = extents
    state.ext_swapped[:k] = 0
    state.ext_untouched[:k] = state.area_untouched[extents]
    n[NR_EXTENTS] = k
    n[UNTOUCHED] = int(state.area_untouched.sum())
    # What can't be paged out is in memory as long as its process; of the last one it is added to all figures.
    n[WORKLOAD_PAGES] = int(size[extents].sum()) + (len(state.process_n) - 1) * int(state.c[C_BASE])
    f[LAST_RSS] = f[TAKEN] = float(n[WORKLOAD_PAGES] - n[UNTOUCHED])
    n[THP] = THP_MODES.index(machine.thp)
    n[BLOCK_SHIFT] = layout.base_address // PAGE % BLOCK
    f[NEXT_COLLAPSE] = machine.khugepaged_us
    if columns > 0:
        _place_at_start(state, layout)
    return state, layout


def _place_at_start(state: State, layout: Layout) -> None:
    # What is filled before the run lies on the first nodes with room, in the order of the workload's regions, and in
    # huge pages where the policy is always.
    n = state.n
    of_area = {int(a): i for i, a in enumerate(state.ext_area[: n[NR_EXTENTS]])}
    shift = int(n[BLOCK_SHIFT])
    for a in layout.region_area:
        i, start, end = of_area[a], int(state.area_start[a]), int(state.area_end[a])
        resident = end - start - int(state.area_untouched[a])
        if n[THP] == THP_MODES.index("always"):
            state.area_more[a, X_ADVICE] = end - start
            if resident > 0:
                lo, hi = next((lo, hi) for _, lo, hi in layout.mapped if lo <= start < hi)
                first, last = -(-(lo + shift) // BLOCK) * BLOCK - shift, (hi + shift) // BLOCK * BLOCK - shift
                huge = max(0, min(end, last) - max(start, first))
                state.ext_more[i, X_HUGE] = state.area_more[a, X_HUGE] = huge
                n[HUGE] += huge
        for node in range(state.node_room.size):
            taken = resident if node == state.node_room.size - 1 else min(resident, max(0, int(state.node_room[node])))
            state.node_room[node] -= taken
            if node > 0:
                state.ext_more[i, X_NODE + node - 1] += taken
                state.area_more[a, X_NODE + node - 1] += taken
            resident -= taken
    n[RATES_STALE] = 1


def columns_in_use(machine: Machine, schemes: Iterable[Scheme], *, physical: bool) -> int:
    """How many columns of `State.ext_more` the machine, the schemes and monitoring of physical memory need; none cost
    nothing."""
    if len(machine.nodes) > 1:
        return X_NODE + len(machine.nodes) - 1
    needed = physical or machine.limit_bytes > 0 or machine.thp == "always"
    return X_NODE if needed or any(_needs_columns(s) for s in schemes) else 0


def _needs_columns(scheme: Scheme) -> bool:
    return scheme.action in _OF_HUGE_PAGES or any(f.type == "young" for f in scheme.ops_filters)


def _costs(machine: Machine, pace: Pace, *, physical: bool) -> np.ndarray:
    c = np.zeros(C_SIZE)
    c[C_FAULT], c[C_MINOR], c[C_READAHEAD] = machine.major_fault_us, machine.minor_fault_us, machine.readahead_pages
    c[C_SAMPLE], c[C_REGION] = machine.sample_us, machine.region_sample_us
    c[C_PAGEOUT], c[C_SWAPIN] = machine.pageout_page_us, machine.swapin_page_us
    c[C_SCAN], c[C_START] = machine.scan_page_us, machine.start_us
    c[C_FAULT_HARD], c[C_PAGEOUT_HARD] = machine.major_fault_hard_us, machine.pageout_hard_page_us
    c[C_TICK], c[C_COARSE], c[C_SLACK] = machine.tick_us, machine.coarse_sleep_us, machine.slack_us
    c[C_SWITCH], c[C_WAIT], c[C_SHARED] = machine.switch_us, machine.wait_share, machine.shared_cpu
    c[C_BY_TIME] = pace.timing == "time"
    c[C_LIMIT] = 0.0 if pace.limit_per_ms is None else pace.limit_per_ms / 1000.0
    c[C_BATCH] = pace.batch
    if physical and machine.physical_region_sample_us > 0.0:
        c[C_REGION] = machine.physical_region_sample_us
    c[C_LIMIT_PAGES], c[C_LRU_NOISE] = machine.limit_bytes // PAGE, machine.lru_noise
    c[C_WALK_ABSENT], c[C_LRU] = machine.walk_absent_page_us, machine.lru_page_us or machine.walk_page_us
    c[C_BASE] = machine.rss_base_bytes // PAGE
    c[C_HUGE_FAULT], c[C_COLLAPSE], c[C_KHUGEPAGED] = machine.huge_fault_us, machine.collapse_us, machine.khugepaged_us
    c[C_MIGRATE], c[C_WALK] = machine.migrate_page_us, machine.walk_page_us
    c[C_PAGEOUT_HUGE] = machine.pageout_huge_page_us or machine.pageout_page_us
    c[C_MEMORY], c[C_MEMORY_USED] = machine.memory_bytes // PAGE, machine.memory_used_bytes // PAGE
    c[C_SWAP_MEMORY], c[C_STALL] = machine.swap_memory_share, machine.stall_share
    c[C_PCP] = machine.pcp_share * c[C_MEMORY]
    return c


def kernel_number(version: str) -> int:
    """A Linux version as `KERNEL` counts: 7.3 is 703. Raises InputError."""
    major, minor = kernel_version(version)
    return major * 100 + minor
