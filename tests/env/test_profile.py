"""The profile against shares counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.backend.registry import open_backend
from damoos.damon.snapshot import Snapshot
from damoos.env.profile import FEATURES, LOG_SIZE_MAX, profile, summary
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region

MIB = 1 << 20
NAMES = [name for name, _ in FEATURES]


def snapshot(*regions: tuple[int, int, int, int], t_s: float = 1.0) -> Snapshot:
    """Regions as (first MiB, end MiB, nr_accesses of 20, age in aggregations of 100 ms)."""
    start, end, nr_accesses, age = (np.array(column, np.int64) for column in zip(*regions, strict=True))
    return Snapshot(t_s, start * MIB, end * MIB, nr_accesses, age, 5_000, 100_000)


def named(*snapshots: Snapshot, rss_bytes: float = 0.0) -> dict[str, float]:
    return dict(zip(NAMES, summary(snapshots, rss_bytes).tolist(), strict=True))


def test_bytes_are_counted_by_idle_time_and_by_rate() -> None:
    found = named(
        snapshot((0, 10, 20, 50), (10, 30, 0, 9), (30, 60, 0, 10), (70, 90, 1, 300), (90, 110, 0, 300)),
        rss_bytes=50 * MIB,
    )
    assert found["idle_0_s"] == pytest.approx(0.2) and found["idle_1_s"] == pytest.approx(0.3)
    assert found["idle_30_s"] == pytest.approx(0.2) and found["idle_2_s"] == 0
    assert found["no_access"] == pytest.approx(0.7)
    assert found["no_access"] == pytest.approx(sum(found[n] for n in NAMES if n.startswith("idle")))
    # One of twenty samples is exactly 5 %, which is not more than 5 %.
    assert summary([snapshot((0, 1, 1, 0))], 0.0)[7] == 1
    assert found["above_50_percent"] == pytest.approx(0.1)
    assert found["rss"] == pytest.approx(0.5)
    assert found["rss_log2"] == pytest.approx(np.log2(50 * MIB) / LOG_SIZE_MAX)


def test_what_changes_is_found_across_different_regions() -> None:
    before = snapshot((0, 10, 20, 1), (10, 40, 0, 5))
    after = snapshot((0, 5, 20, 1), (5, 20, 0, 0), (20, 40, 11, 0))
    # 5..10 got idle; 20..40 got busy by 55 % of the samples.
    assert named(before, after)["change_mean"] == pytest.approx(25 / 40)
    assert named(before, before, after)["change_max"] == pytest.approx(25 / 40)
    assert named(before, before, after)["change_mean"] == pytest.approx(25 / 80)


def test_what_only_one_of_two_snapshots_covers_has_not_changed() -> None:
    assert named(snapshot((0, 10, 20, 1)), snapshot((20, 30, 0, 1)))["change_max"] == 0
    assert named(snapshot((0, 10, 20, 1), (50, 60, 0, 1)), snapshot((0, 60, 20, 1)))["change_max"] == pytest.approx(0.5)


region_lists = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 3), st.integers(0, 20), st.integers(0, 10**6)), min_size=1, max_size=20
)


@given(st.lists(region_lists, min_size=1, max_size=5), st.floats(0, 2.0**60))
@settings(deadline=None)
def test_a_profile_is_shares_that_add_up(lists: list[list[tuple[int, int, int, int]]], rss_bytes: float) -> None:
    snapshots = []
    for regions in lists:
        place, rows = 0, []
        for size, gap, nr_accesses, age in regions:
            rows.append((place + gap, place + gap + size, nr_accesses, age))
            place += gap + size
        snapshots.append(snapshot(*rows))
    found = summary(snapshots, rss_bytes)
    assert found.dtype == np.float32 and found.shape == (len(FEATURES),)
    assert (found >= 0).all() and (found <= 1).all()
    rates = [i for i, name in enumerate(NAMES) if name == "no_access" or name.startswith("above")]
    assert found[rates].sum() == pytest.approx(1, abs=1e-5)


def test_the_simulators_workload_looks_as_it_is() -> None:
    touch_all = Phase("all", 1_000, (Pattern("hot", False, 4096, 1), Pattern("cold", False, 4096, 1)))
    workload = MasimWorkload(
        "half",
        (Region("hot", 64 * MIB), Region("cold", 64 * MIB)),
        (touch_all, Phase("one", 20_000, (Pattern("hot", False, 4096, 1),))),
    )
    found = dict(zip(NAMES, profile(open_backend("sim:zram"), workload, 3).tolist(), strict=True))
    assert 0.3 < found["above_50_percent"] < 0.6
    assert 0.3 < found["no_access"] < 0.7
    assert found["change_mean"] < 0.1
    assert found["rss"] > 0.9


def test_each_number_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
