from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.cli.chart import area_chart, resample


def test_resampling_weights_by_time_not_by_sample() -> None:
    """A value that lasts nine of ten seconds dominates, however many samples the tenth second has."""
    t = np.array([0.0, 9.0, 9.2, 9.4, 9.6, 9.8, 10.0])
    values = np.array([100.0, 0, 0, 0, 0, 0, 0])
    assert resample(t, values, 1)[0] == pytest.approx(90.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=50), st.integers(20, 120), st.booleans())
def test_the_chart_keeps_its_width_and_height(values: list[float], columns: int, unicode: bool) -> None:
    t = np.arange(len(values), dtype=float)
    lines = area_chart(t, np.array(values), columns=columns, rows=4, top_label="1.00 GiB", unicode=unicode)
    assert len(lines) == 6
    assert max(map(len, lines)) <= columns
    assert unicode or "".join(lines).isascii()


def test_a_constant_series_fills_the_chart() -> None:
    lines = area_chart(np.array([0.0, 1.0]), np.array([5.0, 5.0]), columns=20, rows=2, top_label="5")
    assert lines[0] == "5 │" + "█" * 16
    assert lines[1] == "  │" + "█" * 16
