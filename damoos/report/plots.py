"""The report's charts over time as plotly figures: plain values in, `{"data": …, "layout": …}` out.

Plain dictionaries rather than `plotly.graph_objects`: nothing has to be imported, and the page needs JSON anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Figure = dict[str, Any]

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
BASELINE = "#9aa5b1"
TRIAL = "#8fb8de"
BEST = "#c2410c"
DEFAULT = "#0f766e"
FRONT = "#2563eb"

# Of heat 0..1: most of a workload's memory is touched seldom, so the low end is spread.
HEAT_COLOURS = (
    (0.0, "#f7f7f5"),
    (0.02, "#fdeac0"),
    (0.15, "#fbc66a"),
    (0.4, "#f0843c"),
    (0.7, "#c93c3a"),
    (1.0, "#6b1338"),
)

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Line:
    """A series over time: `t_s` in s, `values` in its own unit."""

    name: str
    t_s: Sequence[float]
    values: Sequence[float]
    colour: str
    filled: bool = False


def base_layout(x_title: str, y_title: str, **more: Any) -> dict[str, Any]:
    """The layout that all charts share, with `more` laid over it."""
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
    }
    layout: dict[str, Any] = {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        # the same for all, so that charts with the same time axis line up
        "margin": {"l": 64, "r": 14, "t": 8, "b": 46},
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "xaxis": {**axis, "title": {"text": x_title, "standoff": 10, "font": {"size": 13}}},
        "yaxis": {**axis, "title": {"text": y_title, "standoff": 8, "font": {"size": 13}}},
    }
    for key, value in more.items():
        layout[key] = {**layout[key], **value} if isinstance(layout.get(key), dict) else value
    return layout


def size_unit(highest: float) -> tuple[str, int]:
    """The unit, and its bytes, in which sizes up to `highest` bytes read well on an axis."""
    return ("GiB", GIB) if highest >= 2 * GIB else ("MiB", MIB)


def heat_map(
    heat: NDArray[np.float64],
    end_s: float,
    total_bytes: int,
    regions: Sequence[tuple[str, int, int]],
    *,
    axis_end_s: float,
) -> Figure:
    """Access heat map; `heat` [time, address] is the share, 0..1, of pages touched in some window of time.

    It covers 0..`end_s` s of an axis up to `axis_end_s`; `regions` are (name, first byte, bytes) in 0..`total_bytes`.
    """
    times, addresses = heat.shape
    unit, factor = size_unit(total_bytes)
    seconds = (np.arange(times) + 0.5) * end_s / times
    places = (np.arange(addresses) + 0.5) * total_bytes / addresses / factor
    borders = [
        {
            "type": "line",
            "x0": 0,
            "x1": end_s,
            "y0": start / factor,
            "y1": start / factor,
            "line": {"color": "rgba(31,41,51,0.35)", "width": 1, "dash": "dot"},
        }
        for _, start, _ in regions
        if start > 0
    ]
    names = [
        {
            "text": _escape(name),
            "xref": "paper",
            "x": 0.004,
            "xanchor": "left",
            "y": (start + size / 2) / factor,
            "showarrow": False,
            "font": {"size": 11, "color": INK},
            "bgcolor": "rgba(255,255,255,0.75)",
            "borderpad": 2,
        }
        for name, start, size in regions
        if size >= total_bytes / 14
    ]
    trace = {
        "type": "heatmap",
        "x": seconds.tolist(),
        "y": places.tolist(),
        "z": (100 * heat.T).tolist(),
        "zmin": 0,
        "zmax": 100,
        "zsmooth": False,
        "colorscale": [list(stop) for stop in HEAT_COLOURS],
        "showscale": False,
        "hovertemplate": f"%{{x:.1f}} s, at %{{y:.0f}} {unit}: %{{z:.1f}} % of pages<extra></extra>",
    }
    layout = base_layout(
        "time, s",
        f"address, {unit}",
        xaxis={"range": [0, axis_end_s], "showgrid": False},
        yaxis={"range": [0, total_bytes / factor], "showgrid": False},
        shapes=borders,
        annotations=names,
    )
    return {"data": [trace], "layout": layout}


def over_time(lines: Sequence[Line], what: str, *, axis_end_s: float) -> Figure:
    """Sizes in bytes over time, one line a run, from zero."""
    unit, factor = size_unit(max((max(line.values) for line in lines if len(line.values)), default=0.0))
    traces = []
    for line in lines:
        trace = {
            "type": "scatter",
            "mode": "lines",
            "name": _escape(line.name),
            "x": list(line.t_s),
            "y": [value / factor for value in line.values],
            "line": {"color": line.colour, "width": 2},
            "hovertemplate": f"{_escape(line.name)}: %{{y:.0f}} {unit} at %{{x:.1f}} s<extra></extra>",
        }
        if line.filled:
            trace |= {"fill": "tozeroy", "fillcolor": _faint(line.colour)}
        traces.append(trace)
    layout = base_layout("time, s", f"{what}, {unit}", yaxis={"rangemode": "tozero"}, xaxis={"range": [0, axis_end_s]})
    return {"data": traces, "layout": layout}


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.12)"


def _escape(text: str) -> str:
    """`text` for plotly's labels, which read a small set of HTML tags and %-templates."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")
