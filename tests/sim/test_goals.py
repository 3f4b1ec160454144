"""The feedback loop of goals and of the monitoring intervals, by the vectors of its formulas."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.damon.quotas import GOAL_METRICS, QuotaGoal, Quotas
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Range, Scheme
from damoos.sim import eligible, goals, intervals, vmstat
from damoos.sim.jit import callable_kernel
from damoos.sim.machine import Node, load_machine
from damoos.sim.state import C_MEMORY, C_MEMORY_USED, C_PCP, C_STALL, MAJOR_FAULTS, X_DEPRIO, X_NODE
from damoos.sim.tables import G_CURRENT, METRICS

from .states import state_of

_feed = callable_kernel(goals.feed_loop_next_input)
adaptation_bp = callable_kernel(intervals.adaptation_bp)
active_bp = callable_kernel(vmstat.active_bp)
eligible_bp = callable_kernel(eligible.eligible_bp)
goal_quota = callable_kernel(goals.goal_quota)
memcg_used_bp = callable_kernel(vmstat.memcg_used_bp)
node_free_bp = callable_kernel(vmstat.node_free_bp)
node_used_bp = callable_kernel(vmstat.node_used_bp)

U64 = 2**64 - 1


def feed(last: int, score: int) -> int:
    return int(_feed(np.uint64(last), np.uint64(score)))


@pytest.mark.parametrize(
    ("last", "score", "expected"),
    [
        (900_000, 200, 1_782_000),
        (900_000, 2_000, 1_620_000),
        (900_000, 250_000_000, 10_000),
        (10_000, 0, 20_000),
        (10_000, 5_000, 15_000),
        (10_000, 9_999, 10_001),
        (100_000, 12_000, 80_000),
        (100_000, 19_999, 10_000),
        (1_000_000, 10_000, 1_000_000),
        (U64, 0, U64),
        (U64, 20_000, 10_000),
        (U64 - 615, 15_000, U64 - 615 - (U64 - 615) // 10_000 * 5_000),
    ],
)
def test_next_input(last: int, score: int, expected: int) -> None:
    assert feed(last, score) == expected


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0, 20_000),
        (1_000, 19_000),
        (2_500, 17_500),
        (5_000, 15_000),
        (9_000, 11_000),
        (9_999, 10_001),
        (11_000, 9_500),
        (12_500, 8_750),
        (15_000, 7_500),
        (17_500, 6_250),
        (20_000, 5_000),
        (1_000_000, 5_000),
    ],
)
def test_adaptation_of_intervals(score: int, expected: int) -> None:
    assert adaptation_bp(score) == expected


def scheme(*goals: QuotaGoal, tuner: str = "consist", size: int = 0) -> Scheme:
    return Scheme(Action.PAGEOUT, ANYTHING, quotas=Quotas(bytes=size, goals=goals, goal_tuner=tuner))


def test_a_goal_that_is_far_away_starts_from_two_bytes_and_doubles() -> None:
    _, handle = state_of([(0, 10)], schemes=[scheme(QuotaGoal("user_input", 100, 0))])
    quotas = [goal_quota(handle, 0) for _ in range(30)]
    assert [quotas[i - 1] for i in (1, 2, 3, 10, 11, 12, 20, 30)] == [2, 4, 8, 1024, 2048, 4096, 1 << 20, 1 << 30]


def test_the_quota_grows_to_the_limit_of_the_type_and_comes_back() -> None:
    state, handle = state_of([(0, 10)], schemes=[scheme(QuotaGoal("user_input", 100, 0))])
    quotas = [goal_quota(handle, 0) for _ in range(60)]
    assert quotas[-1] == U64 // 10_000
    state.goal[0, G_CURRENT] = 150
    assert goal_quota(handle, 0) == pytest.approx(U64 / 20_000, rel=1e-9)
    state.goal[0, G_CURRENT] = 200
    assert goal_quota(handle, 0) == 1


def test_the_best_of_several_goals_counts() -> None:
    state, handle = state_of(
        [(0, 10)], schemes=[scheme(QuotaGoal("user_input", 100, 0), QuotaGoal("user_input", 1_000, 1_000))]
    )
    assert [goal_quota(handle, 0) for _ in range(3)] == [1, 1, 1]


def test_stall_time_counts_from_one_evaluation_to_the_next() -> None:
    state, handle = state_of([(0, 10)], schemes=[scheme(QuotaGoal("some_mem_psi_us", 356, 0))])
    state.c[C_STALL] = 1.0
    assert goal_quota(handle, 0) == 1  # the first has nothing to compare with: achieved
    assert goal_quota(handle, 0) == 2
    assert goal_quota(handle, 0) == 4
    state.n[MAJOR_FAULTS] = 10  # of 35.6 µs
    assert goal_quota(handle, 0) == 4
    assert goal_quota(handle, 0) == 8


def test_the_temporal_tuner_gives_all_or_nothing() -> None:
    state, handle = state_of([(0, 10)], schemes=[scheme(QuotaGoal("user_input", 100, 99), tuner="temporal")])
    assert goal_quota(handle, 0) == U64 // 10_000
    state.goal[0, G_CURRENT] = 100
    assert goal_quota(handle, 0) == 0
    _, handle = state_of([(0, 10)], schemes=[scheme(QuotaGoal("user_input", 100, 99), tuner="temporal", size=8192)])
    assert goal_quota(handle, 0) == 8192


def test_goals_without_a_target_are_dropped() -> None:
    state, _ = state_of([(0, 10)], schemes=[scheme(QuotaGoal("user_input", 0, 5))])
    assert len(state.goal) == 0


def test_shares_of_a_machine_without_tiers() -> None:
    state, handle = state_of([])
    # 4096 pages of the workload and 91 of its program are in memory.
    state.c[C_MEMORY], state.c[C_MEMORY_USED], state.c[C_PCP] = 100_000, 10_000, 0
    assert (node_used_bp(handle, 0), node_free_bp(handle, 0)) == (1418, 8581)
    assert memcg_used_bp(handle, 0, -1) == 418
    # A node that is not there has nothing in use.
    assert [node_used_bp(handle, 1), node_free_bp(handle, 1), memcg_used_bp(handle, -1, -1)] == [0, 10_000, 0]


def test_shares_of_nodes() -> None:
    tiers = dataclasses.replace(load_machine("vm-lab"), nodes=(Node(12 << 20), Node(32 << 20)))
    state, handle = state_of([], machine=tiers, columns=X_NODE + 1)
    assert state.node_room.tolist() == [0, 8192 - 1024]
    assert [node_used_bp(handle, n) for n in (0, 1, 2)] == [10_000, 1250, 0]
    assert [node_free_bp(handle, n) for n in (0, 1, 2)] == [0, 8750, 10_000]
    assert [memcg_used_bp(handle, n, -1) for n in (0, 1, 2)] == [10_000, 1250, 0]


def test_what_was_deprioritised_is_inactive() -> None:
    scheme_of = [scheme(QuotaGoal("active_mem_bp", 5_000)), scheme(QuotaGoal("inactive_mem_bp", 5_000))]
    state, handle = state_of([], schemes=scheme_of, columns=X_NODE)
    assert active_bp(handle) == 10_000
    state.area_more[0, X_DEPRIO] = (4096 + 91) // 4
    assert active_bp(handle) == 7_502
    assert [goal_quota(handle, k) for k in (0, 1)] == [1, 1]
    # The goal of half being inactive is half reached.
    assert goal_quota(handle, 1) == 2


def test_metrics_have_their_numbers() -> None:
    assert set(METRICS) == set(GOAL_METRICS)


def test_eligible_memory_is_what_is_in_regions_of_the_pattern() -> None:
    # 12 MiB of the workload's 16 are on node 0; only the last region has the pattern.
    tiers = dataclasses.replace(load_machine("vm-lab"), nodes=(Node(12 << 20), Node(32 << 20)))
    busy = Scheme(Action.MIGRATE_COLD, AccessPattern(Range(0, 1 << 40), Range(10, 20), Range(0, 99)), target_nid=1)
    rows = [(0, 1024, 5), (1024, 3072, 0), (3072, 4096, 15)]
    state, handle = state_of(rows, schemes=[busy], machine=tiers, columns=X_NODE + 1)
    assert [eligible_bp(handle, 0, node) for node in (0, 1, 2)] == [7_500, 2_500, 0]
    # None of it: its pages are in swap.
    state.ext_swapped[:] = state.ext_end - state.ext_start
    state.ext_more[:] = 0
    assert eligible_bp(handle, 0, 0) == 0
    state, handle = state_of(rows[:2], schemes=[busy], machine=tiers, columns=X_NODE + 1)
    assert eligible_bp(handle, 0, 0) == 0
