from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.damon.snapshot import Snapshot
from damoos.report.observed import covered, observed_heat


def snapshot(*regions: tuple[int, int, int]) -> Snapshot:
    start, end, accesses = (np.array(column, dtype=np.int64) for column in zip(*regions, strict=True))
    return Snapshot(0.0, start, end, accesses, np.zeros_like(start), sample_us=5_000, aggr_us=100_000)


def test_holes_are_left_out() -> None:
    seen = [snapshot((0, 100, 20), (1_000_000, 1_000_100, 0))]
    assert [edge.tolist() for edge in covered(seen)] == [[0, 1_000_000], [100, 1_000_100]]
    assert observed_heat(seen, 4).tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_a_range_that_one_snapshot_lacks_is_cold_there() -> None:
    seen = [snapshot((0, 100, 10)), snapshot((100, 200, 20))]
    assert observed_heat(seen, 2).tolist() == [[0.5, 0.0], [0.0, 1.0]]


def test_regions_smaller_than_a_bin_are_averaged() -> None:
    assert observed_heat([snapshot((0, 25, 20), (25, 100, 4))], 1)[0, 0] == pytest.approx(0.25 * 1.0 + 0.75 * 0.2)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=20),
    st.integers(1, 40),
)
def test_no_access_is_lost_or_invented(pieces: list[tuple[int, int, int]], bins: int) -> None:
    """The mean over the picture, weighted by bytes, is the mean over the regions."""
    at, regions = 0, []
    for size, accesses, gap in pieces:
        regions.append((at, at + size, accesses))
        at += size + gap
    heat = observed_heat([snapshot(*regions)], bins)
    total = sum(end - start for start, end, _ in regions)
    expected = sum((end - start) * n / 20 for start, end, n in regions) / total
    assert heat.mean() == pytest.approx(expected)
    assert heat.min() >= -1e-12 and heat.max() <= 1 + 1e-12
