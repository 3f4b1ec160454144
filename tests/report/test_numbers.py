from __future__ import annotations

import math

import pytest

from damoos.report import numbers


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (4096, "4.00 KiB"),
        (1023.6 * 1024, "1.00 MiB"),
        (512 << 20, "512 MiB"),
        (-(3 << 29), "-1.50 GiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_sizes_have_three_digits_and_the_unit_that_fits(count: float, text: str) -> None:
    assert numbers.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00 %"), (-0.001, "0.00 %"), (0.42, "+0.42 %"), (-32.14, "-32.1 %"), (0.996, "+1.0 %")],
)
def test_signed_percent_never_shows_a_signed_zero(value: float, text: str) -> None:
    assert numbers.percent(value, sign=True) == text


@pytest.mark.parametrize(
    ("value", "text"), [(59.6, "1 min 0 s"), (42.2, "42 s"), (312, "5 min 12 s"), (11_040, "3 h 4 min")]
)
def test_durations_carry_into_the_next_unit(value: float, text: str) -> None:
    assert numbers.duration(value) == text


def test_a_score_that_is_none_or_infinite_is_a_dash() -> None:
    assert [numbers.score(x) for x in (None, -math.inf, 1.005, -3.0)] == ["-", "-", "1.00", "-3.00"]


@pytest.mark.parametrize(("value", "text"), [(9.996, "10.0 s"), (99.96, "100 s"), (0.5, "0.50 s")])
def test_seconds_round_before_choosing_the_decimals(value: float, text: str) -> None:
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1234"), (0.0512345, "0.05123"), (12_000_000, "1.2e+07"), (42.0, "42"), (-1.5, "-1.5")]
)
def test_a_metric_has_four_digits(value: float, text: str) -> None:
    assert numbers.metric(value) == text
