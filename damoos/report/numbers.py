"""Measured numbers as text for people: rounded, with a unit. (What must be read back exactly is in `damoos.units`.)"""

from __future__ import annotations

import math

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """Bytes with three significant digits: `0 B`, `4.00 KiB`, `512 MiB`, `1.25 GiB`."""
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_SIZES) - 1:
        value /= 1024
        unit += 1
    return f"{value:.0f} B" if unit == 0 else f"{_digits(value)} {_SIZES[unit]}"


def seconds(value: float) -> str:
    """A duration in s with three significant digits below 100 s: `0.52 s`, `61.3 s`, `184 s`."""
    return f"{_digits(value)} s"


def duration(value: float) -> str:
    """A longer duration, in s, min or h: `42 s`, `5 min 12 s`, `3 h 4 min`."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(value: float, *, sign: bool = False) -> str:
    """Percent with one decimal, two below 1 %: `12.3 %`, `-0.42 %`; with `sign` also `+12.3 %`."""
    decimals = 2 if abs(value) < 0.995 else 1
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return f"{text} %"


def score(value: float | None) -> str:
    """A score with two decimals; `-` where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def metric(value: float) -> str:
    """A workload's own number, four significant digits: `1234`, `0.05123`, `1.2e+07`."""
    return f"{value:.4g}"


def count(value: float) -> str:
    """A count with thousands separated by thin groups: `12 345`."""
    return f"{round(value):,}".replace(",", " ")


def _digits(value: float) -> str:
    magnitude = abs(value)
    if magnitude < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if magnitude < 99.95 else f"{value:.0f}"
