"""The report's charts about the search: what trials cost and gave, and how it came along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .plots import BASELINE, BEST, DEFAULT, FRONT, INK, MUTED, TRIAL, Figure, base_layout


@dataclass(frozen=True)
class TradeOffPoint:
    """A trial in the trade-off chart: runtime overhead and RSS saved against no scheme, both in percent."""

    number: int
    runtime_overhead_percent: float
    rss_saved_percent: float
    score: float | None
    feasible: bool


def trade_off(
    points: Sequence[TradeOffPoint],
    *,
    front: Sequence[int],
    best: int | None,
    default: int | None,
    limit_percent: float,
    speed: str = "runtime overhead",
) -> tuple[Figure, int]:
    """Runtime overhead against RSS saved, one dot a trial, and how many trials lie outside the axes.

    `front`, `best` and `default` are trial numbers; `limit_percent` is the objective's limit of the runtime overhead,
    which `speed` names.
    Slow infeasible trials would press all others into a corner, so the axis ends soon after the feasible ones and, if
    they come near it, the limit.
    """
    by_number = {p.number: p for p in points}
    fair = [p.runtime_overhead_percent for p in points if p.feasible] or [0.0]
    right = max(1.15 * max(fair), 1.0)
    limit_is_near = limit_percent < 2 * right
    if limit_is_near:
        right = max(right, 1.3 * limit_percent)
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
    if limit_is_near:
        line = {"color": MUTED, "width": 1, "dash": "dash"}
        shapes.append(
            {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": limit_percent, "x1": limit_percent, "line": line}
        )
    layout = base_layout(
        f"{speed}, %",
        "RSS saved, %",
        xaxis={"range": [left, right]},
        yaxis={"range": _saved_range(inside)},
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
        if limit_is_near
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
    # never finer than a point of score: what is smaller is noise and should look like it
    low, high = worst_shown - 0.15 * span, max(top + 0.1 * span, 1.0)
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
    layout = base_layout("trial", name, yaxis={"range": [low, high]}, shapes=[zero])
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}, len(below)


def _saved_range(points: Sequence[TradeOffPoint]) -> list[float]:
    saved = [p.rss_saved_percent for p in points]
    low, high = min([0.0, *saved]), max([1.0, *saved])
    return [low - 0.08 * (high - low), high + 0.1 * (high - low)]


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
