"""The state of one simulated run as plain arrays; what is in them before the first step: `start`.

Compiled code sees one `State`. Scalars live in three small arrays addressed by the constants below. Pages are 4 KiB;
times are µs of the simulated clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from damoos.damon.schemes import Action

from .arena import BUFFER, TABLE, Arena, Plan, declared, plan
from .rng import NR_STREAMS

# Integers of a run: `State.n`.
PASSED, NEXT_AGGR, NEXT_OPS = 0, 1, 2  # sampling iterations, as the kernel's passed_sample_intervals and next_*_sis
NR_REGIONS, CUR = 3, 4  # regions in use; which of the two region buffers is current
LAST_NR_REGIONS, SPLIT_ROTATION = 5, 6  # the kernel's static variables of splitting
SIZE_LIMIT = 7  # pages, greatest size that merging may make
MAX_NR_ACCESSES = 8  # greatest counter of the last finished window
NR_EXTENTS = 9
NR_ALIVE, NR_RUNNING, MUTED = 10, 11, 12  # of several processes: not ended; making accesses; see `processes`
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
THP = 56  # policy for huge pages: 0 never, 1 madvise, 2 always
BLOCK_SHIFT = 57  # pages from an address of whole 2 MiB to page 0
HUGE = 58  # pages in huge mappings
RATES_STALE = 59  # whether what patterns' accesses cost must be worked out anew
MIGRATED = 60  # pages moved between nodes
PHYSICAL = 61  # whether physical memory is monitored
CAME_IN = 62  # pages that had come into memory when `lru.is_filling` was last asked, less a constant
CORE_PAGE = 63  # core addresses that a page takes: 4096, with paddr over the address unit
ACTED_ON = 70  # 1 + the piece in `view_start` whose pages an action of physical memory is taken to, 0: none
# Of the process that runs, a row of `process_n`: current phase; whether it has ended; pattern of the running batch; the
# phase that hit_p shows, -1: none (see steady); its areas; the number of the phase behind its last.
PHASE, DONE, PATTERN, SEEN_PHASE, FIRST_AREA, END_AREA, END_PHASE = range(72, 79)
PROCESS_N = 7
N_SIZE = 80

FREE_SLOT = 2**62
"""`view_start` of room for a piece: beyond all memory."""

V6_18, V7_0, V7_1, V7_3 = 618, 700, 701, 703
"""Kernels as `KERNEL` counts them."""

# Floats of a run: `State.f`.
NOW = 0
KDAMOND_CPU, RSS_INTEGRAL = 4, 5
NEXT_SAMPLE_AT, SAMPLE_EVERY = 6, 7
LAST_RSS = 8
OVERSLEPT = 11  # by how much the last sampling iteration was longer than the interval, in steps; see engine.iteration
UNDONE = 14  # kdamond's CPU µs for actions already taken
REST_UNTIL = 20  # until when kdamond sleeps since watermarks keep all schemes inactive
TAKEN, LISTED = 21, 22  # pages, of the machine's free memory: see vmstat.free_pages
NEXT_COLLAPSE = 26  # when khugepaged collapses again
BACKGROUND = 27  # share of the workload's CPU that khugepaged takes
# Of the process that runs, a row of `process_f`: with timing by time, when the phase is over; accesses of the stretch
# that was found to be steady; CPU µs that faults took and that have not passed yet; the sampling interval that hit_p
# shows, µs, and its accesses; by how much faults slowed the last stretch, in steps (see steady.advance_steadily).
PHASE_START, PHASE_ACCESSES, BATCH_LEFT = 32, 33, 34
PHASE_END_AT, STEADY_ACCESSES, DEBT, SEEN_US, SEEN_ACCESSES, SLOWDOWN = range(35, 41)
PROCESS_F = 9
F_SIZE = 48

# Costs and rates: `State.c`.
C_FAULT, C_MINOR, C_READAHEAD, C_SAMPLE, C_REGION, C_PAGEOUT, C_SWAPIN = 0, 1, 2, 3, 4, 5, 6
C_TICK, C_COARSE, C_SLACK, C_SWITCH, C_WAIT, C_SHARED, C_BY_TIME, C_LIMIT, C_BATCH = 7, 8, 9, 10, 11, 12, 13, 14, 15
C_SCAN, C_FAULT_HARD, C_PAGEOUT_HARD, C_START = 16, 17, 18, 19
C_MEMORY, C_MEMORY_USED, C_SWAP_MEMORY, C_STALL, C_PCP = 24, 25, 26, 27, 28
C_HUGE_FAULT, C_COLLAPSE, C_KHUGEPAGED, C_MIGRATE, C_WALK, C_PAGEOUT_HUGE = 32, 33, 34, 35, 36, 37
C_LIMIT_PAGES, C_LRU_NOISE, C_WALK_ABSENT, C_BASE, C_LRU = 38, 39, 40, 41, 42
C_SIZE = 48

# Columns of `State.ext_more` and `area_more`, as many as are in use. First what holds for a whole extent: advice (0
# none, 1 hugepage, 2 nohugepage; of an area: pages whose first touch makes a huge page), and when its pages were last
# seen as old or young (`lru.old_share`). Then how many of the pages in memory are in huge mappings, deprioritised,
# prioritised, and on node 1, 2, ...
X_ADVICE, X_SEEN, X_HUGE, X_DEPRIO, X_PRIO, X_NODE = range(6)
BLOCK = 512
"""Pages of a huge page."""

# Rows of `State.scheme` (int64) and `State.stats` (int64).
S_ACTION, S_SZ_MIN, S_SZ_MAX, S_NR_MIN, S_NR_MAX, S_AGE_MIN, S_AGE_MAX, S_APPLY_US, S_NEXT, S_MAX_SNAPSHOTS = range(10)
S_SIZE = 32  # the others, and the columns of `quota`, `goal`, `filter`: tables.py
ST_NR_TRIED, ST_SZ_TRIED, ST_NR_APPLIED, ST_SZ_APPLIED, ST_PASSED, ST_QT, ST_SNAPSHOTS = range(7)
ST_SIZE = 7
Q_SIZE, G_SIZE, FL_SIZE = 12, 6, 5
NR_SCORES = 100
A_STAT, A_PAGEOUT, A_WILLNEED, A_COLD, A_HUGEPAGE, A_NOHUGEPAGE, A_COLLAPSE, A_MIGRATE, A_LRU_PRIO, A_LRU_DEPRIO = (
    range(10)
)
ACTIONS = {
    Action.STAT: A_STAT,
    Action.PAGEOUT: A_PAGEOUT,
    Action.WILLNEED: A_WILLNEED,
    Action.COLD: A_COLD,
    Action.HUGEPAGE: A_HUGEPAGE,
    Action.NOHUGEPAGE: A_NOHUGEPAGE,
    Action.COLLAPSE: A_COLLAPSE,
    Action.MIGRATE_HOT: A_MIGRATE,
    Action.MIGRATE_COLD: A_MIGRATE,
    Action.LRU_PRIO: A_LRU_PRIO,
    Action.LRU_DEPRIO: A_LRU_DEPRIO,
}

SAMPLE_COLUMNS = (
    "t_us",
    "rss_pages",
    "swapped",
    "major_faults",
    "swap_in",
    "swap_out",
    "kdamond_us",
    "nr_regions",
    "huge_pages",
    "far_pages",
)
SHOWN = len(SAMPLE_COLUMNS) + 1
"""Numbers that `engine.step` shows of a run: a sample, and whether the workload has ended."""
SAMPLE_CAPACITY = 2048
TRACE_ROWS, TRACE_REGIONS = 4096, 262_144
SIDE_BY_SIDE = 128
"""Regions whose hits are drawn together."""

Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]


class SchemeTables(NamedTuple):
    """Schemes as rows: [K, S_SIZE], [K, N], [K, Q_SIZE], [J, G_SIZE], [L, FL_SIZE]; made by `tables.scheme_tables`."""

    scheme: Ints
    scheme_dests: Ints
    quota: Ints
    goal: Ints
    filter: Ints

    @property
    def sizes(self) -> dict[str, int]:
        """How many there are, as sizes of `State`."""
        return {"K": len(self.scheme), "J": len(self.goal), "L": len(self.filter)}


class State(Arena):
    """Arrays of one run, all in one block of memory; an annotation is a field's only declaration: dtype and shape.

    Sizes: C processes, A areas, V pieces of areas, W targets, F first regions, G ranges followed, M mapped ranges,
    P phases, Q patterns, R region capacity, E extent capacity, K schemes, J goals, L filters, N nodes (1 without
    tiers), O places of others' memory, Y columns of `ext_more` in use, T traced aggregations, X traced regions.
    """

    table: Annotated[Ints, TABLE]  # where the others are, see `arena` and `handle`
    n: Annotated[Ints, N_SIZE]
    f: Annotated[Floats, F_SIZE]
    c: Annotated[Floats, C_SIZE]
    rng: Annotated[Words, NR_STREAMS]
    process_n: Annotated[Ints, "C", PROCESS_N]  # see PHASE and `processes`
    process_f: Annotated[Floats, "C", PROCESS_F]
    area_process: Annotated[Ints, "A"]
    area_start: Annotated[Ints, "A"]  # pages
    area_end: Annotated[Ints, "A"]
    area_hot: Annotated[Ints, "A"]  # pages of the program's own loop
    area_loop: Annotated[Ints, "A"]  # those of its innermost
    area_phases: Annotated[Ints, "A", 2]  # first and last phase in which they are hot
    area_anon: Annotated[Ints, "A"]  # 1: anonymous memory, 0: of a file
    area_hard: Annotated[Ints, "A"]  # 1: random writes have made its pages hard to compress
    area_swapped: Annotated[Ints, "A"]  # pages
    area_untouched: Annotated[Ints, "A"]  # pages
    area_at: Annotated[Floats, "A"]  # position of sequential access, pages from the area's start
    hit_p: Annotated[Floats, "A"]  # chance that a page is touched in a sampling interval in which the area is active
    hit_n: Annotated[Ints, "A"]  # sampling intervals of the segment in which the area is active
    sweep_from: Annotated[Floats, "A"]  # first page of a slow sweep in this segment, from the area's start
    sweep_pages: Annotated[Floats, "A"]  # pages it covers in the segment, 0: no slow sweep
    sweep_step: Annotated[Floats, "A"]  # pages it covers in a sampling interval
    area_touched: Annotated[Floats, "A"]  # accesses per page in phases that are over
    area_last: Annotated[Floats, "A"]  # when its last phase was over, µs
    view_start: Annotated[
        Ints, "V"
    ]  # pages as DAMON numbers them: pieces of areas in what it monitors, see `monitored`
    view_end: Annotated[Ints, "V"]
    view_area: Annotated[Ints, "V"]  # whose pieces they are
    view_page: Annotated[Ints, "V"]  # the area's page that a piece begins with
    view_idle: Annotated[Floats, "V"]  # share of its pages that checks have marked as idle and nothing has used since
    view_touched: Annotated[Floats, "V"]  # accesses per page up to when that was worked out
    view_moved: Annotated[Ints, "V", 2]  # frames of a piece whose pages are being moved
    other: Annotated[Floats, "O", 5]  # see others.O_START
    node_frames: Annotated[Ints, "N+1"]  # the first frame of each node's memory, and where it ends
    target: Annotated[Ints, "W", 3]  # see targets.T_SHIFT
    first_start: Annotated[Ints, "F"]  # pages, the regions that monitoring begins with
    first_end: Annotated[Ints, "F"]
    range_start: Annotated[Ints, "G"]  # pages, what regions are fitted to from time to time; none: they stay
    range_end: Annotated[Ints, "G"]
    map_start: Annotated[Ints, "M"]  # pages, what is mapped and not special
    map_end: Annotated[Ints, "M"]
    phase_first: Annotated[Ints, "P+1"]  # into patterns
    phase_us: Annotated[Floats, "P"]
    phase_work: Annotated[Floats, "P"]  # accesses that make up the phase, when timing is by work
    phase_cost: Annotated[Floats, "P"]  # CPU µs of an access, without faults
    phase_elapsed: Annotated[Floats, "P"]  # µs
    phase_done: Annotated[Floats, "P"]  # accesses made
    pattern_area: Annotated[Ints, "Q"]
    pattern_random: Annotated[Ints, "Q"]  # 1: random
    pattern_hardens: Annotated[Ints, "Q"]  # 1: it writes at random
    pattern_step: Annotated[Floats, "Q"]  # pages per sequential access
    pattern_weight: Annotated[Floats, "Q"]  # chance to be chosen for a batch
    pattern_evasion: Annotated[Floats, "Q"]  # minus the logarithm of the chance not to be chosen for a batch
    pattern_active: Annotated[Floats, "Q"]  # chance to make accesses in the sampling interval that hit_p shows
    pattern_rate: Annotated[Floats, "Q"]  # accesses per µs undisturbed, with its memory where it is now
    pattern_access_us: Annotated[Floats, "Q"]  # µs of an access to small pages on node 0
    pattern_batch_us: Annotated[Floats, "Q"]  # µs of an access's share of choosing a batch
    pattern_gain: Annotated[Floats, "Q"]  # share of an access's time that a huge mapping saves
    start: Annotated[Ints, 2, "R", BUFFER]  # regions, two buffers
    end: Annotated[Ints, 2, "R", BUFFER]
    nr_accesses: Annotated[Shorts, 2, "R", BUFFER]
    last_nr_accesses: Annotated[Shorts, 2, "R", BUFFER]
    age: Annotated[Shorts, 2, "R", BUFFER]
    chance: Annotated[Floats, SIDE_BY_SIDE]  # that a check of a region hits; how many there are; see monitor
    checks: Annotated[Ints, SIDE_BY_SIDE]
    place: Annotated[Ints, SIDE_BY_SIDE]  # which region that is, of those that are looked at together
    drawn: Annotated[Ints, SIDE_BY_SIDE]  # hits
    undecided: Annotated[Words, SIDE_BY_SIDE]  # bits of those checks that are neither hits nor misses yet
    ext_start: Annotated[Ints, "E", BUFFER]  # pages; extents are sorted and never cross an area's border
    ext_end: Annotated[Ints, "E", BUFFER]
    ext_area: Annotated[Ints, "E", BUFFER]
    ext_swapped: Annotated[Ints, "E", BUFFER]  # pages of the extent that are in swap, anywhere in it
    ext_untouched: Annotated[Ints, "E", BUFFER]  # pages never touched
    ext_more: Annotated[Ints, "E", "Y"]  # see X_ADVICE
    area_more: Annotated[Ints, "A", "Y"]
    node_pages: Annotated[Ints, "N"]  # pages that a node has for the workload
    node_room: Annotated[Ints, "N"]  # pages of them that are left
    node_factor: Annotated[Floats, 2, "N"]  # by how much a sequential, a random access takes longer there
    scheme: Annotated[Ints, "K", S_SIZE]
    scheme_dests: Annotated[Ints, "K", "N+1"]  # weights of the nodes that a scheme migrates to, last of unknown ones
    stats: Annotated[Ints, "K", ST_SIZE]
    quota: Annotated[Ints, "K", Q_SIZE]
    goal: Annotated[Ints, "J", G_SIZE]
    filter: Annotated[Ints, "L", FL_SIZE]
    histogram: Annotated[Ints, NR_SCORES]  # bytes of regions by score
    samples: Annotated[Floats, SAMPLE_CAPACITY, len(SAMPLE_COLUMNS), BUFFER]
    trace_t: Annotated[Floats, "T", BUFFER]  # µs
    trace_offset: Annotated[Ints, "T+1"]
    trace_regions: Annotated[Ints, "X", 4, BUFFER]  # start, pages, nr_accesses, age


FIELDS = declared(State)


@lru_cache(maxsize=256)
def _plan(sizes: tuple[tuple[str, int], ...]) -> Plan:
    return plan(FIELDS, dict(sizes))


def allocate(sizes: Mapping[str, int]) -> State:
    """A state with these sizes of its shapes: zeros, and buffers without content."""
    return State(_plan(tuple(sorted(sizes.items()))))


def room_for(max_nr_regions: int, n_areas: int) -> dict[str, int]:
    """Capacities for that many regions, as sizes of `State`."""
    regions = max_nr_regions * 2 + 3 * n_areas + 64
    return {"R": regions, "E": 4 * regions + 64}


def with_room(state: State, max_nr_regions: int, exactly: Mapping[str, int], columns: int = 0) -> State:
    """A state that has room for that many regions, at least that many columns of `ext_more` and `exactly` those sizes
    of its shapes: the same, or a copy of it."""
    sizes = dict(state.plan.sizes)
    wanted = room_for(max_nr_regions, sizes["A"]) | {"Y": columns}
    if {**sizes, **exactly} == sizes and sizes["R"] >= wanted["R"] and sizes["Y"] >= columns:
        return state
    for name, size in wanted.items():
        sizes[name] = max(sizes[name], size)
    copy = allocate({**sizes, **exactly})
    for field in FIELDS[1:]:
        old, new = getattr(state, field.name), getattr(copy, field.name)
        common = tuple(slice(min(a, b)) for a, b in zip(old.shape, new.shape, strict=True))
        new[common] = old[common]
    return copy
