"""A small area chart of a series over time, for terminals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNICODE_STEPS = " ▁▂▃▄▅▆▇█"
ASCII_STEPS = " .:#"


def resample(t_s: NDArray[np.float64], values: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Mean of the series, held constant between its samples, in each of `columns` equal pieces of its time."""
    if len(t_s) < 2 or t_s[-1] <= t_s[0]:
        return np.full(columns, float(values[-1]) if len(values) else 0.0)
    edges = np.linspace(t_s[0], t_s[-1], columns + 1)
    area = np.concatenate([[0.0], np.cumsum(np.diff(t_s) * values[:-1])])
    return np.diff(np.interp(edges, t_s, area)) / np.diff(edges)


def area_chart(
    t_s: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    columns: int,
    rows: int = 6,
    top_label: str,
    unicode: bool = True,
) -> list[str]:
    """Lines of text, at most `columns` wide: a filled chart from 0 to the maximum, its time axis in seconds below.

    `top_label` names the maximum beside the highest line.
    """
    steps = UNICODE_STEPS if unicode else ASCII_STEPS
    side, corner, floor = ("│", "└", "─") if unicode else ("|", "+", "-")
    margin = max(len(top_label), 1)
    plot = max(columns - margin - 3, 8)
    heights = resample(t_s, values, plot)
    highest = float(values.max()) if len(values) else 0.0
    full = len(steps) - 1
    levels = np.zeros(plot, dtype=int)
    if highest > 0:
        levels = np.ceil(heights / highest * rows * full - 1e-9).astype(int)
    lines = []
    for row in range(rows - 1, -1, -1):
        label = top_label if row == rows - 1 else ""
        marks = "".join(steps[k] for k in np.clip(levels - row * full, 0, full))
        lines.append(f"{label:>{margin}} {side}{marks}".rstrip())
    lines.append(f"{'0':>{margin}} {corner}{floor * plot}")
    start, end = "0 s", f"{t_s[-1]:.0f} s" if len(t_s) else "0 s"
    lines.append(f"{'':>{margin}}  {start}{end:>{plot - len(start)}}")
    return lines
