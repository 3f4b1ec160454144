"""A workload that is fitted to a recording does what was recorded, as far as DAMON shows it."""

import numpy as np
import pytest

from damoos.damon.snapshot import Snapshot
from damoos.workload.recorded import CORE, SILENT, Rate, heat_of, recorded_workload
from damoos.workload.recording import Recording

MIB = 1 << 20
AGGR_S = 0.1
RATE = Rate(60_000.0, 0)


def snapshot(t_s: float, *regions: tuple[int, int, int]) -> Snapshot:
    """Regions one after the other from 0: MiB, nr_accesses, age."""
    edges = np.cumsum([0, *(size for size, _, _ in regions)]) * MIB
    counts, ages = (np.array(column, np.int64) for column in list(zip(*regions, strict=True))[1:])
    return Snapshot(t_s, edges[:-1], edges[1:], counts, ages, 5_000, 100_000)


def recording(snapshots: list[Snapshot], runtime_s: float, rss_mib: float) -> Recording:
    times = np.linspace(0.1, runtime_s, 50)
    rss = np.full(50, int(rss_mib * MIB))
    return Recording("toy", "sim:zram", "simulated", 1, runtime_s, times, rss, tuple(snapshots))


def in_turn() -> Recording:
    """The lower half is in use for 2 s, then the upper one."""
    looks = []
    for i in range(1, 20):
        t_s = 0.2 * i
        first = t_s <= 2.0
        since = int(round((t_s if first else t_s - 2.0) / AGGR_S))
        looks.append(snapshot(t_s, (8, 20 if first else 0, since - 1), (8, 0 if first else 20, since - 1)))
    return recording(looks, 4.0, 16)


def test_memory_in_use_in_turn_becomes_two_regions_and_two_phases() -> None:
    workload = recorded_workload(in_turn(), RATE)
    sizes = {region.name: region.sz for region in workload.regions}
    assert sizes.pop(CORE) and list(sizes.values()) == [8 * MIB] * 2
    assert sum(phase.ms for phase in workload.phases) == 4_000
    used = [{p.region for p in phase.patterns} - {CORE} for phase in workload.phases]
    assert [used[0], used[-1]] == [{"r0"}, {"r1"}]
    changes = [i for i in range(1, len(used)) if used[i] != used[i - 1]]
    assert len(changes) == 1 and sum(phase.ms for phase in workload.phases[: changes[0]]) == pytest.approx(
        2_000, abs=200
    )


def test_the_change_is_where_the_age_says_it_was() -> None:
    # Looked at once a second only: the age says that it began to be idle 0.7 s before the second look.
    looks = [snapshot(1.0, (16, 20, 9)), snapshot(2.0, (16, 0, 6)), snapshot(3.0, (16, 0, 16))]
    heat = heat_of(recording(looks, 3.0, 16))
    idle_from_s = float((heat.share[:, 0] > 0.5).sum()) * heat.bin_s
    assert idle_from_s == pytest.approx(1.3, abs=heat.bin_s)


def test_an_age_that_lags_behind_the_clock_tells_of_moments_of_use() -> None:
    # Idle at each look, but every fifth of a second a quarter of it was in use and looks as old as the rest.
    age, looks = 100.0, []
    for i in range(1, 101):
        looks.append(snapshot(0.2 * i, (64, 0, round(age))))
        age = 0.75 * (age + 2.0)
    heat = heat_of(recording(looks, 20.0, 64))
    # The first age says nothing, and ages of a few aggregations are too coarse to say much.
    assert not heat.share.any() and heat.moments[:20, 0].sum() == pytest.approx(0.25 * 9, rel=0.2)
    workload = recorded_workload(recording(looks, 20.0, 64), RATE)
    touched = sum(any(p.region == "r0" for p in phase.patterns) for phase in workload.phases)
    assert touched >= 5


def test_memory_that_is_never_seen_in_use_is_there_all_the_same() -> None:
    looks = [snapshot(0.2 * i, (8, 20, 2 * i), (32, 0, 2 * i)) for i in range(1, 10)]
    sizes = {region.name: region.sz for region in recorded_workload(recording(looks, 2.0, 24), RATE).regions}
    assert sizes[SILENT] == pytest.approx(16 * MIB, rel=0.01)
    # And what was in use but mostly not resident is smaller.
    sizes = {region.name: region.sz for region in recorded_workload(recording(looks, 2.0, 2), RATE).regions}
    assert SILENT not in sizes and sizes["r0"] == pytest.approx(2 * MIB, rel=0.01)


def test_without_a_look_it_only_computes() -> None:
    workload = recorded_workload(recording([], 2.0, 0), RATE)
    assert [region.name for region in workload.regions] == [CORE] and workload.duration_ms == 2_000
