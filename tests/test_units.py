"""Quantities: every accepted form, every refusal, and that formatted values read back exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos import units
from damoos.errors import UnitError
from damoos.units import U32_MAX, U64_MAX

u64 = st.one_of(st.integers(0, U64_MAX), st.integers(0, 10**7), st.integers(0, 63).map(lambda bit: 2**bit))


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("5 ms", 5_000),
        ("5ms", 5_000),
        ("1.5 s", 1_500_000),
        ("1 m 30 s", 90_000_000),
        ("1m30s", 90_000_000),
        ("2 min", 120_000_000),
        ("1 d 2 h", 93_600_000_000),
        ("3000 ns", 3),
        ("7 µs", 7),
        ("5000", 5_000),
        ("1,000", 1_000),
        ("400.000000", 400),
        (5_000, 5_000),
        (2.0, 2),
        ("min", 0),
        ("max", U64_MAX),
    ],
)
def test_times(text: object, us: int) -> None:
    assert units.parse_time_us(text) == us


def test_bare_times_are_in_the_unit_of_the_field() -> None:
    assert units.parse_time_ms(10) == 10
    assert units.parse_time_ms("10 s") == 10_000
    assert units.format_time_ms(10) == "10 ms"


@pytest.mark.parametrize(
    "bad",
    ["5 sec", "5 MS", "", " ", "ms", "-5 ms", "-5", -5, "1,5 s", "10,00", "0.5 us", 0.5, "5 ms x"]
    + ["99999999999999999999", float("nan"), float("inf"), True, None, [5]],
)
def test_refused_times(bad: object) -> None:
    with pytest.raises(UnitError):
        units.parse_time_us(bad)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 KiB", 4096),
        ("4K", 4096),
        ("4KB", 4096),
        ("4 kb", 4096),
        ("4.5 MiB", 4_718_592),
        ("1 E", 2**60),
        ("10 B", 10),
        ("4,096", 4096),
        (4096, 4096),
        ("max", U64_MAX),
        ("95.367 MiB", 99_999_547),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert units.parse_size_bytes(text) == size


@pytest.mark.parametrize("bad", ["4 KiBs", "4 X", "-4K", "-4096", "16 EiB", "", True, None])
def test_refused_sizes(bad: object) -> None:
    with pytest.raises(UnitError):
        units.parse_size_bytes(bad)


def test_shares() -> None:
    assert units.parse_permil("2.5 %") == 25
    assert units.parse_permil("500") == 500
    assert units.parse_bp("0.37%") == 37
    assert units.parse_percent("3.7 %") == units.parse_percent(3.7) == Fraction(37, 10)
    for refused in ("2.55 %", "500 permil", "0.5", -1, "-1 %"):
        with pytest.raises(UnitError):
            units.parse_permil(refused)
    for refused in ("-1 %", "max", "x", False):
        with pytest.raises(UnitError):
            units.parse_percent(refused)


def test_counts_and_truth_values() -> None:
    assert units.parse_count("1,000") == 1000
    assert units.parse_count(-1, minimum=-1) == units.parse_count("min", minimum=-1) == -1
    assert units.parse_count("max", maximum=U32_MAX) == U32_MAX
    assert units.parse_bool("Yes") is True
    assert units.parse_bool(False) is False
    for refused in (1, "1", "on", None):
        with pytest.raises(UnitError):
            units.parse_bool(refused)


def test_the_message_names_field_value_and_forms() -> None:
    with pytest.raises(UnitError, match=r"^sample_us: not a time, got '5 sec'; allowed: a time such as \"5 ms\""):
        units.parse_time_us("5 sec", field="sample_us")
    with pytest.raises(UnitError, match=r"^age: out of range, got 4294967296; allowed: 0 to 4294967295$"):
        units.parse_count(2**32, field="age", maximum=U32_MAX)


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0 us"), (999, "999 us"), (5_000, "5 ms"), (33_333, "33.333 ms"), (1_500_000, "1.5 s")]
    + [(90_000_000, "1 m 30 s"), (60_000_000, "1 m"), (90_061_000_001, "1 d 1 h 1 m 1.000001 s"), (U64_MAX, "max")],
)
def test_times_read_well(us: int, text: str) -> None:
    assert units.format_time_us(us) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (4096, "4 KiB"), (4097, "4,097 B"), (3 * 2**29, "1.5 GiB"), (U64_MAX, "max")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert units.format_size_bytes(size) == text


@settings(deadline=None)
@given(u64)
def test_formatted_values_read_back_exactly(value: int) -> None:
    assert units.parse_time_us(units.format_time_us(value)) == value
    assert units.parse_size_bytes(units.format_size_bytes(value)) == value
    assert units.parse_bp(units.format_bp(value)) == value
    assert units.parse_count(units.format_count(value)) == value
    assert units.parse_percent(units.format_percent(Fraction(value, 1000))) == Fraction(value, 1000)
    assert units.parse_permil(units.format_permil(value), maximum=U64_MAX) == value
    assert value > U64_MAX // 1000 or units.parse_time_ms(units.format_time_ms(value)) == value


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_other_text_is_a_unit_error(text: str) -> None:
    for parse in (units.parse_time_us, units.parse_size_bytes, units.parse_permil, units.parse_count):
        try:
            assert 0 <= parse(text) <= U64_MAX
        except UnitError:
            pass
