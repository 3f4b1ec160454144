"""The report's charts as plotly figures: plain values in, `{"data": …, "layout": …}` out.

Plain dictionaries rather than `plotly.graph_objects`: nothing has to be imported, and the page needs JSON anyway.
"""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class TradeOffPoint:
    """A trial in the trade-off chart: runtime overhead and RSS saved against no scheme, both in percent."""

    number: int
    runtime_overhead_percent: float
    rss_saved_percent: float
    score: float | None
    feasible: bool


def _layout(x_title: str, y_title: str, **more: Any) -> dict[str, Any]:
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
        "margin": {"l": 58, "r": 14, "t": 8, "b": 46},
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
    heat: NDArray[np.float64], end_s: float, total_bytes: int, regions: Sequence[tuple[str, int, int]]
) -> Figure:
    """Access heat map; `heat` [time, address] is the share, 0..1, of pages touched in some window of time.

    `regions` are (name, first byte, bytes) in the same address range, 0..`total_bytes`.
    """
    times, addresses = heat.shape
    unit, factor = size_unit(total_bytes)
    seconds = (np.arange(times) + 0.5) * end_s / times
    places = (np.arange(addresses) + 0.5) * total_bytes / addresses / factor
    borders = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
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
    layout = _layout(
        "time, s",
        f"address, {unit}",
        xaxis={"range": [0, end_s], "showgrid": False},
        yaxis={"range": [0, total_bytes / factor], "showgrid": False},
        shapes=borders,
        annotations=names,
    )
    return {"data": [trace], "layout": layout}


def over_time(lines: Sequence[Line], what: str) -> Figure:
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
    layout = _layout("time, s", f"{what}, {unit}", yaxis={"rangemode": "tozero"}, xaxis={"rangemode": "tozero"})
    return {"data": traces, "layout": layout}


def trade_off(
    points: Sequence[TradeOffPoint],
    *,
    front: Sequence[int],
    best: int | None,
    default: int | None,
    limit_percent: float | None,
) -> tuple[Figure, int]:
    """Runtime overhead against RSS saved, one dot a trial, and how many trials lie outside the axes.

    `front`, `best` and `default` are trial numbers; `limit_percent` is the objective's limit of the runtime overhead.
    Slow infeasible trials would press all others into a corner, so the axis ends soon after the limit.
    """
    by_number = {p.number: p for p in points}
    fair = [p.runtime_overhead_percent for p in points if p.feasible] or [0.0]
    right = max(1.15 * max(fair), 1.3 * (limit_percent or 0.0), 1.0)
    left = min(1.15 * min(fair), -0.06 * right)
    inside = [p for p in points if left <= p.runtime_overhead_percent <= right]
    special = {best, default}
    data = [
        _dots("trials", [p for p in inside if p.feasible and p.number not in special], {"color": TRIAL, "size": 9}),
        _dots(
            "over the limit",
            [p for p in inside if not p.feasible and p.number not in special],
            {"color": "rgba(0,0,0,0)", "size": 8, "line": {"color": BASELINE, "width": 1.5}},
        ),
    ]
    ends = sorted((by_number[n] for n in front if n in by_number), key=lambda p: p.runtime_overhead_percent)
    if len(ends) > 1:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Pareto front",
                "x": [p.runtime_overhead_percent for p in ends],
                "y": [p.rss_saved_percent for p in ends],
                "line": {"color": FRONT, "width": 1.5, "shape": "hv"},
                "hoverinfo": "skip",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "no scheme",
            "x": [0],
            "y": [0],
            "marker": {"symbol": "cross-thin", "size": 11, "line": {"color": INK, "width": 2}},
            "hovertemplate": "no scheme<extra></extra>",
        }
    )
    if default in by_number and by_number[default] in inside:
        style = {"symbol": "diamond", "color": DEFAULT, "size": 12, "line": {"color": "white", "width": 1}}
        data.append(_dots("default (trial 0)", [by_number[default]], style))
    if best in by_number and by_number[best] in inside:
        style = {"symbol": "star", "color": BEST, "size": 17, "line": {"color": "white", "width": 1}}
        data.append(_dots("found", [by_number[best]], style))
    shapes = []
    if limit_percent is not None:
        line = {"color": MUTED, "width": 1, "dash": "dash"}
        shapes.append(
            {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": limit_percent, "x1": limit_percent, "line": line}
        )
    layout = _layout(
        "runtime overhead, %",
        "RSS saved, %",
        xaxis={"range": [left, right]},
        shapes=shapes,
        annotations=[
            {
                "text": f"limit {limit_percent:g} %",
                "x": limit_percent,
                "xanchor": "right",
                "yref": "paper",
                "y": 0.02,
                "yanchor": "bottom",
                "textangle": -90,
                "showarrow": False,
                "font": {"size": 11, "color": MUTED},
            }
        ]
        if limit_percent is not None
        else [],
    )
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}, len(points) - len(inside)


def convergence(
    numbers: Sequence[int], scores: Sequence[float | None], feasible: Sequence[bool], *, name: str
) -> tuple[Figure, int]:
    """Score of each trial and the best feasible one so far, and how many trials are drawn at the lower edge.

    Very bad trials would flatten everything else, so the axis ends somewhat below the worse of 0 and the lower
    quartile; what lies below is drawn as a triangle on the edge.
    """
    known = [(n, s, f) for n, s, f in zip(numbers, scores, feasible, strict=True) if s is not None and math.isfinite(s)]
    values = np.array([s for _, s, _ in known] or [0.0])
    top = max(float(values.max()), 0.0)
    worst_shown = min(float(np.quantile(values, 0.25)), 0.0)
    span = max(top - worst_shown, 1.0)
    low, high = worst_shown - 0.15 * span, top + 0.1 * span
    below = [k for k in known if k[1] < low]
    shown = [k for k in known if k[1] >= low]
    best_x: list[int] = []
    best_y: list[float] = []
    for n, s, ok in known:
        if ok and (not best_y or s > best_y[-1]):
            best_x.append(n)
            best_y.append(s)
    if best_x and known[-1][0] > best_x[-1]:
        best_x.append(known[-1][0])
        best_y.append(best_y[-1])
    hover = "trial %{x}: %{y:.2f}<extra></extra>"
    hollow = {"color": "rgba(0,0,0,0)", "size": 7, "line": {"color": BASELINE, "width": 1.5}}
    data = [
        _series("trials", [k[:2] for k in shown if k[2]], {"color": TRIAL, "size": 8}, hover),
        _series("over the limit", [k[:2] for k in shown if not k[2]], hollow, hover),
        {
            "type": "scatter",
            "mode": "markers",
            "name": "below the axis",
            "x": [n for n, _, _ in below],
            "y": [low + 0.03 * span] * len(below),
            "customdata": [s for _, s, _ in below],
            "marker": {"symbol": "triangle-down", "color": BASELINE, "size": 8},
            "hovertemplate": "trial %{x}: %{customdata:.2f}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": best_x,
            "y": best_y,
            "line": {"color": BEST, "width": 2, "shape": "hv"},
            "hovertemplate": "best up to trial %{x}: %{y:.2f}<extra></extra>",
        },
    ]
    zero = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": MUTED, "width": 1}}
    layout = _layout("trial", name, yaxis={"range": [low, high]}, shapes=[zero])
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}, len(below)


def _dots(name: str, points: Sequence[TradeOffPoint], marker: dict[str, Any]) -> dict[str, Any]:
    scores = ["infeasible" if p.score is None else f"{p.score:.2f}" for p in points]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [p.runtime_overhead_percent for p in points],
        "y": [p.rss_saved_percent for p in points],
        "customdata": [[p.number, score] for p, score in zip(points, scores, strict=True)],
        "marker": marker,
        "hovertemplate": "trial %{customdata[0]}: runtime %{x:+.2f} %, RSS saved %{y:.1f} %, "
        "score %{customdata[1]}<extra></extra>",
    }


def _series(name: str, points: Sequence[tuple[int, float]], marker: dict[str, Any], hover: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "marker": marker,
        "hovertemplate": hover,
    }


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.12)"


def _escape(text: str) -> str:
    """`text` for plotly's labels, which read a small set of HTML tags and %-templates."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")
