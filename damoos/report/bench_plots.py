"""The charts of a comparison of strategies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from damoos.experiment.figures import THRESHOLDS, Curve, Improvement, Profile

from .plots import INK, MUTED, Figure, base_layout

COLOURS = ("#c2410c", "#2563eb", "#0f766e", "#a16207", "#7e22ce", "#be185d")
"""Of as many strategies, the best; all others are grey."""
AGAINST, OTHERS = INK, "#c9d0d7"
_BELOW = {
    "legend": {"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}, "itemwidth": 30},
    "margin": {"b": 96},
}
"""The few that have a colour in one line or two below the axis, where they take nothing from the lines."""


def curves(ranking: Sequence[str], found: Sequence[Curve], near: float, against: str) -> Figure:
    """The interquartile mean of score / best by runs, with bands for the best strategies and for `against`."""
    data: list[dict[str, Any]] = []
    for name, colour in _coloured(ranking, against):
        curve = next(c for c in found if c.strategy == name)
        data += _line(name, colour, curve.runs, curve.iqm, curve.low, curve.high, "after %{x} runs: %{y:.3f}")
    low = min((min(curve.iqm[1:], default=0.0) for curve in found), default=0.0)
    lines = [_level(1.0, "dot"), _level(near, "dash")]
    # What is far below no scheme would flatten all else.
    reach = {"range": [max(low, -0.5) - 0.03, 1.06]}
    return {"data": data, "layout": base_layout("runs", "score / best", yaxis=reach, shapes=lines, **_BELOW)}


def profiles(ranking: Sequence[str], found: Sequence[Profile], against: str) -> Figure:
    """The share of pairs of task and seed above each threshold of score / best, with bands as `curves`."""
    data: list[dict[str, Any]] = []
    for name, colour in _coloured(ranking, against):
        one = next(p for p in found if p.strategy == name)
        hover = "above %{x:.2f}: %{y:.2f} of pairs"
        data += _line(name, colour, THRESHOLDS, one.shares, one.low, one.high, hover)
    layout = base_layout("score / best", "share of pairs above", yaxis={"range": [0, 1.03]}, **_BELOW)
    return {"data": data, "layout": layout}


def improvements(found: Sequence[Improvement], over: str) -> Figure:
    """How probably each strategy ends better than `over`, with intervals; the first of `found` is on top."""
    order = list(reversed(found))
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [one.probability for one in order],
        "y": [one.strategy for one in order],
        "marker": {"color": COLOURS[1], "size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.probability for one in order],
            "arrayminus": [one.probability - one.low for one in order],
            "color": COLOURS[1],
        },
        "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
    }
    half = {"type": "line", "yref": "paper", "x0": 0.5, "x1": 0.5, "y0": 0, "y1": 1}
    layout = base_layout(
        f"probability of ending better than {over}",
        "",
        xaxis={"range": [-0.02, 1.02]},
        # Each name, however many there are.
        yaxis={"automargin": True, "dtick": 1, "tickfont": {"size": 10}},
        shapes=[{**half, "line": {"color": MUTED, "dash": "dash", "width": 1}}],
    )
    return {"data": [trace], "layout": layout}


def _coloured(ranking: Sequence[str], against: str) -> list[tuple[str, str]]:
    """The strategies with their colours; the grey ones first, so that the others are drawn over them."""
    best = dict(zip(ranking, COLOURS, strict=False))
    if against in ranking:
        best.setdefault(against, AGAINST)
    return [*((name, OTHERS) for name in ranking if name not in best), *best.items()]


def _line(
    name: str,
    colour: str,
    x: Sequence[float],
    y: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    hover: str,
) -> list[dict[str, Any]]:
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": 2},
        "hovertemplate": f"{name} {hover}<extra></extra>",
    }
    if colour == OTHERS:
        return [{**line, "showlegend": False, "line": {"color": colour, "width": 1}}]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    band = {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": name,
        "x": [*x, *reversed(x)],
        "y": [*high, *reversed(low)],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.13)",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [band, line]


def _level(y: float, dash: str) -> dict[str, Any]:
    line = {"color": INK, "width": 1, "dash": dash}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "opacity": 0.4}
