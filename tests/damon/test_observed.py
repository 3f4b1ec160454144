"""Working set, idle times and temperature against what damo 3.4 printed for the same snapshots."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.damon.observed import (
    PERCENTILES,
    idle_us,
    observe,
    percentiles_over_bytes,
    percentiles_over_time,
    temperature,
    working_set_bytes,
)
from damoos.damon.snapshot import Snapshot

MIB = 2**20
SIZES = np.array([64, 64, 384, 512]) * MIB


def snapshot(
    accesses: list[int], ages: list[int] | None = None, sizes: np.ndarray = SIZES, t_s: float = 0.0
) -> Snapshot:
    end = np.cumsum(sizes)
    age = np.zeros(len(sizes), np.int64) if ages is None else np.array(ages, np.int64)
    return Snapshot(t_s, end - sizes, end, np.array(accesses, np.int64), age, sample_us=5_000, aggr_us=100_000)


def recording() -> list[Snapshot]:
    # What `damo report wss` was given: 100 snapshots, the pattern changes every 25.
    return [snapshot([20, 1, 3, 0] if i // 25 % 2 == 0 else [1, 18, 0, 0], t_s=i / 10) for i in range(100)]


def test_the_working_set_is_damos() -> None:
    sets = [working_set_bytes(s) for s in recording()]
    assert np.mean(sets) == 335_544_320
    late = sets[20:]
    assert np.mean(late) == 285_212_672
    found = dict(zip(PERCENTILES, percentiles_over_time(late), strict=True))
    assert [found[p] for p in (0, 25, 50)] == [134_217_728] * 3
    assert [found[p] for p in (75, 100)] == [536_870_912] * 2


def test_idle_time_counts_the_last_aggregation_and_what_was_accessed_is_not_idle() -> None:
    # DAMON_STAT and damo agree on a region that was never accessed: age 9 at 100 ms is 1 s.
    assert idle_us(snapshot([0, 3, 0, 20], [9, 9, 0, 50])).tolist() == [1e6, 0, 1e5, 0]


def test_temperature_has_damos_weights_and_sign() -> None:
    found = temperature(snapshot([20, 5, 0, 0], [0, 10, 0, 10]))
    assert found.tolist() == pytest.approx([100 * 100, 100 * 25 + 100 * 1e6, 0, -100 * 1e6])


def test_percentiles_over_bytes_weigh_regions_by_their_size() -> None:
    # 6.25, 6.25, 37.5 and 50 % of the bytes, the coldest last.
    seen = snapshot([20, 0, 0, 0], [0, 9, 99, 999])
    found = dict(zip(PERCENTILES, percentiles_over_bytes(seen, idle_us(seen)), strict=True))
    assert found == {0: 0, 1: 0, 5: 0, 25: 1e7, 50: 1e7, 75: 1e8, 95: 1e8, 99: 1e8, 100: 1e8}


def test_a_run_is_the_mean_of_its_snapshots() -> None:
    early, late = snapshot([0, 0, 0, 0], [9] * 4), snapshot([0, 0, 0, 0], [29] * 4)
    found = observe([early, late], hot_set_percent=50.0)
    assert found is not None
    assert found.nr_snapshots == 2 and found.hot_set_percent == 50.0
    assert found.idle_s == pytest.approx([2.0] * len(PERCENTILES))
    assert found.wss_mean_bytes == 0


def test_a_run_has_the_figures_of_damon_stat() -> None:
    # 64 MiB with 20 of 20 accesses for a second, 64 MiB with 5; the rest idle for 1 s and 10 s.
    found = observe([snapshot([20, 5, 0, 0], [9, 9, 9, 99])] * 2)
    assert found is not None and found.stat_idle_s is not None
    assert found.bandwidth_bytes_s == 64 * MIB * 25 / 0.1
    at = dict(zip(PERCENTILES, found.stat_idle_s, strict=True))
    assert (at[0], at[5], at[25], at[50], at[75], at[100]) == (-1, -1, 1, 1, 10, 10)


def test_without_regions_nothing_is_known() -> None:
    assert observe([]) is None
    assert observe([snapshot([], [], np.array([], np.int64))]) is None
