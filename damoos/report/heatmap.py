"""Heat over time and address: the matrix of a workload's expected accesses, and any such matrix as terminal text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from damoos.workload.access import heat_between
from damoos.workload.processes import AnyMasim

from . import numbers

LEVELS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 0.7)
"""A value above LEVELS[i], and not above the next one, is drawn at level i + 1; 0 at level 0."""

# Levels 0 to 7: characters that grow darker, and colours from dark blue over red to
# yellow that stay apart with 256 colours.
MARKS = " .:-=+#@"
COLOURS = ("", *(f"color({c})" for c in (17, 54, 90, 126, 167, 208, 229)))


_STEPS = (0.001, 0.01, 0.1, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)  # s


@dataclass(frozen=True)
class Heatmap:
    """`heat` [time, address]: 0..1. `time_edges_s` [times + 1] since the start; `labels` [addresses]: the name of what
    begins in that address bin, empty where nothing does."""

    heat: NDArray[np.float64]
    time_edges_s: NDArray[np.float64]
    labels: tuple[str, ...]


def expected_map(workload: AnyMasim, accesses_per_ms: float, *, columns: int, rows: int) -> Heatmap:
    """How likely a page is touched within `WINDOW_MS`: `columns` equal times, about `rows` address bins.

    Regions come in the file's order and get bins by their size, at least one each, so the map has at least as many
    bins as regions and small regions are drawn larger than they are.
    """
    times = np.linspace(0.0, workload.duration_ms, columns + 1)
    edges, labels, low = [np.zeros(1)], [], 0
    for region, bins in zip(workload.regions, _bins([r.sz for r in workload.regions], rows), strict=True):
        edges.append(np.linspace(low, low + region.sz, bins + 1)[1:])
        labels += [f"{region.name} {numbers.size(region.sz)}"] + [""] * (bins - 1)
        low += region.sz
    heat = heat_between(workload, accesses_per_ms, times, np.concatenate(edges))
    return Heatmap(heat, times / 1000, tuple(labels))


def terminal_lines(heatmap: Heatmap, *, unicode: bool = True, colour: bool = False) -> list[Text]:
    """The map as lines: addresses downwards with their labels, time to the right, a time axis, a legend.

    In colour each cell is a blank on a coloured ground; else, a character.
    """
    margin = max((len(label) for label in heatmap.labels), default=0)
    side, corner, floor = ("│", "└", "─") if unicode else ("|", "+", "-")
    lines = []
    for label, cells in zip(heatmap.labels, heatmap.heat.T, strict=True):
        line = Text(f"{label:>{margin}} {side}", no_wrap=True)
        for level, run in groupby(np.searchsorted(LEVELS, cells)):
            line.append(*_cell(int(level), colour, len(list(run))))
        lines.append(line)
    columns = len(heatmap.heat)
    lines.append(Text(f"{'':>{margin}} {corner}{floor * columns}", no_wrap=True))
    lines.append(Text(f"{'':>{margin}}  {_time_axis(heatmap.time_edges_s, columns)}".rstrip(), no_wrap=True))
    lines.append(_legend(margin, colour))
    return lines


def _bins(sizes: list[int], rows: int) -> list[int]:
    total = sum(sizes)
    return [max(1, round(rows * size / total)) for size in sizes]


def _cell(level: int, colour: bool, count: int = 1) -> tuple[str, str]:
    if colour:
        return " " * count, f"on {COLOURS[level]}" if level else ""
    return MARKS[level] * count, ""


def _time_axis(edges: NDArray[np.float64], columns: int) -> str:
    # Labels at round times, as many as fit with room between them.
    length = float(edges[-1])
    axis = [" "] * columns
    axis[:3] = "0 s"
    if length > 0:
        step = next((s for s in _STEPS if s * columns >= 8 * length), length)
        for mark in np.arange(1, int(length / step * (1 + 1e-9)) + 1) * step:
            text = f"{mark:g}"
            place = min(round(mark / length * columns), columns - len(text))
            if "".join(axis[place - 1 : place + len(text)]).isspace():
                axis[place : place + len(text)] = text
    return "".join(axis)


def _legend(margin: int, colour: bool) -> Text:
    line = Text(f"{'':>{margin}}  ", no_wrap=True)
    for level, above in enumerate(LEVELS, 1):
        line.append(*_cell(level, colour))
        line.append(f" >{100 * above:g}{' %' if above else ''}  ")
    line.rstrip()
    return line
