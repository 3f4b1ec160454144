"""The state of one simulated run as plain arrays, and how it is built from values.

Compiled code sees one `State`, a named tuple of arrays. Scalars live in three small arrays addressed by the constants
below, so that a state can be copied and many can be stacked. Pages are 4 KiB; times are µs of the simulated clock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from damoos.damon.features import kernel_version
from damoos.damon.schemes import Action
from damoos.workload.masim import MasimWorkload
from damoos.workload.pace import Pace

from .layout import PAGE, Layout, three_ranges
from .machine import Machine
from .program import compile_program
from .rng import seed_streams

# Integers of a run: `State.n`.
PASSED, NEXT_AGGR, NEXT_OPS = 0, 1, 2  # sampling iterations, as the kernel's passed_sample_intervals and next_*_sis
NR_REGIONS, CUR = 3, 4  # regions in use; which of the two region buffers is current
LAST_NR_REGIONS, SPLIT_ROTATION = 5, 6  # the kernel's static variables of splitting
SIZE_LIMIT = 7  # pages, greatest size that merging may make
MAX_NR_ACCESSES = 8  # greatest counter of the last finished window
NR_EXTENTS = 9
PHASE, DONE, PATTERN = 10, 11, 12  # current phase; whether the workload has ended; pattern of the running batch
SAMPLE_US, AGGR_US, UPDATE_US, MIN_REGIONS, MAX_REGIONS = 13, 14, 15, 16, 17
DAMON_ON = 18
SWAPPED, UNTOUCHED = 19, 20  # pages over all areas
MAJOR_FAULTS, SWAP_IN, SWAP_OUT = 21, 22, 23
NR_SAMPLES, NR_TRACE_ROWS, NR_TRACE_REGIONS = 24, 25, 26
TRACE, EXACT = 27, 28  # keep a trace; draw sample by sample (the oracle)
NR_AGGREGATIONS, SUM_REGIONS = 29, 30
NR_SAMPLED = 32  # region checks made, for kdamond's CPU
TOTAL_PAGES = 33  # pages that the regions cover
CHECK_MIN = 34  # whether regions may be longer than the minimal number of regions allows
WORKLOAD_PAGES = 35  # pages of areas that can be paged out
HARD_OUT = 36  # pages paged out that are hard to compress
WALK_NEXT, UNVISITED = 44, 45  # of the walk over regions by schemes: see schemes.cut
KERNEL = 46  # whose behaviour is simulated: major * 100 + minor
WATERMARKS = 47  # whether any scheme has watermarks
AGGR_SAMPLES, NEXT_TUNE = 48, 49  # samples that auto-tuning keeps an aggregation at; its next turn, in iterations
GOAL_ACCESS_BP, GOAL_AGGRS, GOAL_MIN_US, GOAL_MAX_US = 50, 51, 52, 53
ASKED_SAMPLE_US, ASKED_AGGR_US = 54, 55  # intervals that the next `engine.SET_ATTRIBUTES` goes over to
N_SIZE = 64

V6_18, V7_0, V7_1, V7_3 = 618, 700, 701, 703
"""Kernels as `KERNEL` counts them."""

# Floats of a run: `State.f`.
NOW, PHASE_START, PHASE_ACCESSES, BATCH_LEFT = 0, 1, 2, 3
KDAMOND_CPU, RSS_INTEGRAL = 4, 5
NEXT_SAMPLE_AT, SAMPLE_EVERY = 6, 7
LAST_RSS = 8
PHASE_END_AT = 9  # with timing by time: when the phase is over
STEADY_ACCESSES = 10  # accesses of the stretch that was found to be steady
OVERSLEPT = 11  # by how much the last sampling iteration was longer than the interval, in steps; see engine.iteration
DEBT = 13  # CPU µs that faults took and that have not passed yet
UNDONE = 14  # kdamond's CPU µs for actions already taken
REST_UNTIL = 15  # until when kdamond sleeps since watermarks keep all schemes inactive
TAKEN, LISTED, LIST_LIMIT, LIST_DECAY_AT = 16, 17, 18, 19  # of the machine's free memory: see vmstat.free_pages
SLOWDOWN = 12  # by how much faults slowed the last stretch, in steps; see steady.advance_steadily
F_SIZE = 24

# Costs and rates: `State.c`.
C_FAULT, C_MINOR, C_READAHEAD, C_SAMPLE, C_REGION, C_PAGEOUT, C_SWAPIN = 0, 1, 2, 3, 4, 5, 6
C_TICK, C_COARSE, C_SLACK, C_SWITCH, C_WAIT, C_SHARED, C_BY_TIME, C_LIMIT, C_BATCH = 7, 8, 9, 10, 11, 12, 13, 14, 15
C_SCAN, C_FAULT_HARD, C_PAGEOUT_HARD, C_START = 16, 17, 18, 19
C_MEMORY, C_MEMORY_USED, C_SWAP_MEMORY, C_STALL, C_PCP = 24, 25, 26, 27, 28
C_SIZE = 32

# Rows of `State.scheme` (int64) and `State.stats` (int64).
S_ACTION, S_SZ_MIN, S_SZ_MAX, S_NR_MIN, S_NR_MAX, S_AGE_MIN, S_AGE_MAX, S_APPLY_US, S_NEXT, S_MAX_SNAPSHOTS = range(10)
S_SIZE = 32  # the others: tables.py
ST_NR_TRIED, ST_SZ_TRIED, ST_NR_APPLIED, ST_SZ_APPLIED, ST_PASSED, ST_QT, ST_SNAPSHOTS = range(7)
ST_SIZE = 7
NR_SCORES = 100
A_STAT, A_PAGEOUT, A_WILLNEED, A_COLD = 0, 1, 2, 3
ACTIONS = {Action.STAT: A_STAT, Action.PAGEOUT: A_PAGEOUT, Action.WILLNEED: A_WILLNEED, Action.COLD: A_COLD}

SAMPLE_COLUMNS = ("t_us", "rss_pages", "swapped", "major_faults", "swap_in", "swap_out", "kdamond_us", "nr_regions")
SAMPLE_CAPACITY = 2048
TRACE_ROWS, TRACE_REGIONS = 4096, 262_144
DRAW_SLOTS = 128
"""Hit counts that tables are kept for; more sampling intervals at once are drawn without."""


class SchemeTables(NamedTuple):
    """Schemes as rows, int64: [K, S_SIZE], [K, Q_SIZE], [G, G_SIZE], [F, FL_SIZE]; made by `tables.scheme_tables`."""

    scheme: np.ndarray
    quota: np.ndarray
    goal: np.ndarray
    filter: np.ndarray


class State(NamedTuple):
    """Arrays of one run; sizes: A areas, P phases, Q patterns, R region capacity, E extent capacity, K schemes."""

    n: np.ndarray  # int64 [N_SIZE]
    f: np.ndarray  # float64 [F_SIZE]
    c: np.ndarray  # float64 [C_SIZE]
    rng: np.ndarray  # uint64 [NR_STREAMS]
    area_start: np.ndarray  # int64 [A] pages
    area_end: np.ndarray  # int64 [A]
    area_hot: np.ndarray  # int64 [A] pages of the program's own loop
    area_phases: np.ndarray  # int64 [A, 2] first and last phase in which they are hot
    area_hard: np.ndarray  # int64 [A] 1: random writes have made its pages hard to compress
    area_swapped: np.ndarray  # int64 [A] pages
    area_untouched: np.ndarray  # int64 [A] pages
    area_at: np.ndarray  # float64 [A] position of sequential access, pages from the area's start
    hit_p: np.ndarray  # float64 [A] chance that a page is touched in a sampling interval in which the area is active
    hit_n: np.ndarray  # int64 [A] sampling intervals of the segment in which the area is active
    sweep_from: np.ndarray  # float64 [A] first page of a slow sweep in this segment, from the area's start
    sweep_pages: np.ndarray  # float64 [A] pages it covers in the segment, 0: no slow sweep
    sweep_step: np.ndarray  # float64 [A] pages it covers in a sampling interval
    draw_uses: np.ndarray  # int64 [A] how often the cumulative table was used, -1: it is an alias table now
    draw_n: np.ndarray  # int64 [A] for which (n, p) the table holds
    draw_p: np.ndarray  # float64 [A]
    draw_table: np.ndarray  # float64 [A, DRAW_SLOTS] cumulative probabilities, or a slot's share of its own value
    draw_alias: np.ndarray  # int64 [A, DRAW_SLOTS] the other value of a slot
    range_start: np.ndarray  # int64 [3] pages, what vaddr monitors
    range_end: np.ndarray  # int64 [3]
    map_start: np.ndarray  # int64 pages, what is mapped and not special
    map_end: np.ndarray  # int64
    phase_first: np.ndarray  # int64 [P + 1] into patterns
    phase_us: np.ndarray  # float64 [P]
    phase_work: np.ndarray  # float64 [P] accesses that make up the phase, when timing is by work
    phase_elapsed: np.ndarray  # float64 [P] µs
    phase_done: np.ndarray  # float64 [P] accesses made
    pattern_area: np.ndarray  # int64 [Q]
    pattern_random: np.ndarray  # int64 [Q] 1: random
    pattern_hardens: np.ndarray  # int64 [Q] 1: it writes at random
    pattern_step: np.ndarray  # float64 [Q] pages per sequential access
    pattern_weight: np.ndarray  # float64 [Q] chance to be chosen for a batch
    pattern_rate: np.ndarray  # float64 [Q] accesses per µs undisturbed
    start: np.ndarray  # int64 [2, R] regions, two buffers
    end: np.ndarray  # int64 [2, R]
    nr_accesses: np.ndarray  # int32 [2, R]
    last_nr_accesses: np.ndarray  # int32 [2, R]
    age: np.ndarray  # int32 [2, R]
    ext_start: np.ndarray  # int64 [E] pages; extents are sorted and never cross an area's border
    ext_end: np.ndarray  # int64 [E]
    ext_area: np.ndarray  # int64 [E]
    ext_swapped: np.ndarray  # int64 [E] pages of the extent that are in swap, anywhere in it
    ext_untouched: np.ndarray  # int64 [E] pages never touched
    scheme: np.ndarray  # int64 [K, S_SIZE]
    stats: np.ndarray  # int64 [K, ST_SIZE]
    quota: np.ndarray  # int64 [K, Q_SIZE], see tables.py
    goal: np.ndarray  # int64 [G, G_SIZE]
    filter: np.ndarray  # int64 [F, FL_SIZE]
    histogram: np.ndarray  # int64 [NR_SCORES] bytes of regions by score
    samples: np.ndarray  # float64 [SAMPLE_CAPACITY, 8]
    trace_t: np.ndarray  # float64 [TRACE_ROWS] µs
    trace_offset: np.ndarray  # int64 [TRACE_ROWS + 1]
    trace_regions: np.ndarray  # int64 [TRACE_REGIONS, 4] start, pages, nr_accesses, age


def build_state(
    workload: MasimWorkload,
    machine: Machine,
    pace: Pace,
    seed: int,
    *,
    sample_every_us: float,
    trace: bool,
    exact: bool,
    max_nr_regions: int,
    schemes: SchemeTables,
) -> tuple[State, Layout]:
    """The state before the first step, DAMON off, with room for that many regions."""
    program = compile_program(workload, machine, pace)
    layout, untouched = program.layout, program.untouched
    areas = layout.areas
    n_areas = len(areas)
    n = np.zeros(N_SIZE, np.int64)
    f = np.zeros(F_SIZE)
    f[SAMPLE_EVERY] = sample_every_us
    n[TRACE], n[EXACT] = trace, exact
    n[KERNEL] = kernel_number(machine.kernel)
    capacity = max_nr_regions * 2 + 3 * n_areas + 64
    ext_capacity = 4 * capacity + 64
    own = np.array([a.hot_pages for a in areas], np.int64)
    extents = np.flatnonzero(own == 0)
    mapped = [(s, e) for _, s, e in layout.mapped if (s, e) not in layout.special]
    ranges = three_ranges([(s, e) for _, s, e in layout.mapped])
    state = State(
        n=n,
        f=f,
        c=_costs(machine, pace),
        rng=seed_streams(seed),
        area_start=np.array([a.start for a in areas], np.int64),
        area_end=np.array([a.end for a in areas], np.int64),
        area_hot=own,
        area_phases=np.array([(a.first_phase, a.last_phase) for a in areas], np.int64),
        area_hard=np.zeros(n_areas, np.int64),
        area_swapped=np.zeros(n_areas, np.int64),
        area_untouched=untouched.copy(),
        area_at=np.zeros(n_areas),
        hit_p=np.zeros(n_areas),
        hit_n=np.zeros(n_areas, np.int64),
        sweep_from=np.zeros(n_areas),
        sweep_pages=np.zeros(n_areas),
        sweep_step=np.zeros(n_areas),
        draw_uses=np.zeros(n_areas, np.int64),
        draw_n=np.full(n_areas, -1, np.int64),
        draw_p=np.zeros(n_areas),
        draw_table=np.zeros((n_areas, DRAW_SLOTS)),
        draw_alias=np.zeros((n_areas, DRAW_SLOTS), np.int64),
        range_start=np.array([r[0] for r in ranges], np.int64),
        range_end=np.array([r[1] for r in ranges], np.int64),
        map_start=np.array([m[0] for m in mapped], np.int64),
        map_end=np.array([m[1] for m in mapped], np.int64),
        phase_first=program.phase_first,
        phase_us=program.phase_us,
        phase_work=program.phase_work,
        phase_elapsed=np.zeros(len(program.phase_us)),
        phase_done=np.zeros(len(program.phase_us)),
        pattern_area=program.pattern_area,
        pattern_random=program.pattern_random,
        pattern_hardens=program.pattern_hardens,
        pattern_step=program.pattern_step,
        pattern_weight=program.pattern_weight,
        pattern_rate=program.pattern_rate,
        start=np.zeros((2, capacity), np.int64),
        end=np.zeros((2, capacity), np.int64),
        nr_accesses=np.zeros((2, capacity), np.int32),
        last_nr_accesses=np.zeros((2, capacity), np.int32),
        age=np.zeros((2, capacity), np.int32),
        ext_start=np.zeros(ext_capacity, np.int64),
        ext_end=np.zeros(ext_capacity, np.int64),
        ext_area=np.zeros(ext_capacity, np.int64),
        ext_swapped=np.zeros(ext_capacity, np.int64),
        ext_untouched=np.zeros(ext_capacity, np.int64),
        scheme=schemes.scheme,
        stats=np.zeros((len(schemes.scheme), ST_SIZE), np.int64),
        quota=schemes.quota,
        goal=schemes.goal,
        filter=schemes.filter,
        histogram=np.zeros(NR_SCORES, np.int64),
        samples=np.zeros((SAMPLE_CAPACITY, len(SAMPLE_COLUMNS))),
        trace_t=np.zeros(TRACE_ROWS if trace else 1),
        trace_offset=np.zeros((TRACE_ROWS if trace else 1) + 1, np.int64),
        trace_regions=np.zeros((TRACE_REGIONS if trace else 1, 4), np.int64),
    )
    k = len(extents)
    state.ext_start[:k] = state.area_start[extents]
    state.ext_end[:k] = state.area_end[extents]
    state.ext_area[:k] = extents
    state.ext_untouched[:k] = untouched[extents]
    n[NR_EXTENTS] = k
    n[UNTOUCHED] = int(untouched.sum())
    n[WORKLOAD_PAGES] = int((state.area_end - state.area_start)[own == 0].sum())
    f[LAST_RSS] = f[TAKEN] = float(n[WORKLOAD_PAGES] - n[UNTOUCHED])
    return state, layout


def _costs(machine: Machine, pace: Pace) -> np.ndarray:
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
    c[C_MEMORY], c[C_MEMORY_USED] = machine.memory_bytes // PAGE, machine.memory_used_bytes // PAGE
    c[C_SWAP_MEMORY], c[C_STALL] = machine.swap_memory_share, machine.stall_share
    c[C_PCP] = machine.pcp_share * c[C_MEMORY]
    return c


def kernel_number(version: str) -> int:
    """A Linux version as `KERNEL` counts: 7.3 is 703. Raises InputError."""
    major, minor = kernel_version(version)
    return major * 100 + minor
