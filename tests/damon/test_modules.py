"""DAMON's modules: their schemes by their parameters, and DAMON_STAT's figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.damon.modules import (
    LruSort,
    Monitoring,
    Reclaim,
    estimated_memory_bandwidth,
    memory_idle_ms_percentiles,
    stat,
)
from damoos.damon.quotas import QuotaGoal
from damoos.damon.schemes import Action, Range
from damoos.damon.snapshot import Snapshot
from damoos.damon.validation import validate
from damoos.errors import KdamondsError


def snapshot(*regions: tuple[int, int, int, int], aggr_us: int = 100_000) -> Snapshot:
    """Regions as (start, end, nr_accesses, age)."""
    start, end, nr, age = (np.array(column, np.int64) for column in zip(*regions, strict=True))
    return Snapshot(0.0, start, end, nr, age, 5_000, aggr_us)


def test_reclaim_by_its_defaults() -> None:
    value = Reclaim().kdamonds()
    validate(value)
    context = value.context
    (scheme,) = context.schemes
    assert context.ops == "paddr" and context.targets[0].regions == ()
    assert (context.intervals.sample_us, context.intervals.aggr_us, context.intervals.ops_update_us) == (
        5000,
        100000,
        0,
    )
    assert scheme.action == Action.PAGEOUT
    assert (scheme.access_pattern.nr_accesses, scheme.access_pattern.age.min) == (Range(0, 0), 1200)
    assert (scheme.quotas.ms, scheme.quotas.bytes, scheme.quotas.reset_interval_ms) == (10, 128 << 20, 1000)
    assert dataclasses.astuple(scheme.quotas.weights) == (0, 0, 1)
    assert dataclasses.astuple(scheme.watermarks) == ("free_mem_rate", 5_000_000, 500, 400, 200)
    assert scheme.quotas.goals == () and scheme.ops_filters == ()


def test_reclaim_with_goals_and_without_anonymous_pages() -> None:
    (scheme,) = (
        Reclaim(quota_mem_pressure_us=1000, quota_autotune_feedback=42, skip_anon=True).kdamonds().context.schemes
    )
    assert scheme.quotas.goals == (QuotaGoal("some_mem_psi_us", 1000), QuotaGoal("user_input", 10_000, 42))
    assert [(f.type, f.matching, f.allow) for f in scheme.ops_filters] == [("anon", True, False)]


def test_lru_sort_by_its_defaults() -> None:
    value = LruSort().kdamonds()
    validate(value)
    hot, cold = value.context.schemes
    assert (hot.action, cold.action) == (Action.LRU_PRIO, Action.LRU_DEPRIO)
    assert hot.access_pattern.nr_accesses.min == 10 and cold.access_pattern.age.min == 1200
    assert cold.access_pattern.nr_accesses == Range(0, 0)
    for scheme in (hot, cold):
        assert (scheme.quotas.ms, scheme.quotas.bytes) == (5, 0)
        assert dataclasses.astuple(scheme.quotas.weights) == (0, 1, 1)
        assert scheme.watermarks.high == 200
    assert value.context.intervals.intervals_goal.aggrs == 0


def test_lru_sort_with_all_its_features() -> None:
    value = LruSort(active_mem_bp=7_000, autotune_monitoring_intervals=True, filter_young_pages=True).kdamonds()
    hot, cold = value.context.schemes
    assert hot.quotas.goals == (QuotaGoal("active_mem_bp", 7_000),)
    assert cold.quotas.goals == (QuotaGoal("inactive_mem_bp", 3_002),)
    assert (hot.ops_filters[0].matching, cold.ops_filters[0].matching) == (False, True)
    assert value.context.intervals.intervals_goal.access_bp == 40
    with pytest.raises(KdamondsError, match="active_mem_bp"):
        LruSort(active_mem_bp=10_001).kdamonds()


def test_stat_tunes_its_intervals_and_does_nothing_else() -> None:
    context = stat().context
    assert context.schemes == ()
    assert dataclasses.astuple(context.intervals.intervals_goal) == (400, 3, 5_000, 10_000_000)


def test_a_region_can_be_given() -> None:
    value = Reclaim(monitoring=Monitoring(monitor_region_start=4096, monitor_region_end=8192)).kdamonds()
    assert [(r.start, r.end) for r in value.context.targets[0].regions] == [(4096, 8192)]


def test_bandwidth_as_damon_stat_estimates_it() -> None:
    # damon-semantics 8.8
    assert estimated_memory_bandwidth(snapshot((0, 1 << 30, 5, 0))) == 53_687_091_200


def test_idle_times_as_damon_stat_reports_them() -> None:
    # damon-semantics 8.8
    assert set(memory_idle_ms_percentiles(snapshot((0, 4096, 0, 9)))) == {1000}
    assert set(memory_idle_ms_percentiles(snapshot((0, 4096, 3, 9)))) == {-1000}
    mixed = memory_idle_ms_percentiles(snapshot((0, 25 << 12, 0, 99), (25 << 12, 100 << 12, 4, 1)))
    assert len(mixed) == 101 and (mixed[:76] == -200).all() and (mixed[76:] == 10_000).all()
