from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.report import plots, search_plots

POINTS = [
    search_plots.TradeOffPoint(0, 0.5, 10.0, 4.75, True),
    search_plots.TradeOffPoint(1, 2.0, 30.0, 14.0, True),
    search_plots.TradeOffPoint(2, 14.0, 50.0, None, False),
    search_plots.TradeOffPoint(3, 4000.0, 90.0, None, False),
]


def trace_named(figure: plots.Figure, name: str) -> dict:
    return next(trace for trace in figure["data"] if trace["name"] == name)


def check(figure: plots.Figure) -> None:
    """plotly itself accepts every property, and the figure is JSON."""
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)


def trade_off(points: list[search_plots.TradeOffPoint], **more: object) -> tuple[plots.Figure, int]:
    options = {"front": [0, 1], "best": 1, "default": 0, "limit_percent": 10.0} | more
    return search_plots.trade_off(points, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit", "right", "beyond", "lines"), [(4.0, 5.2, 2, 1), (10.0, 2.3, 2, 0)])
def test_the_axis_ends_where_the_feasible_trials_or_a_limit_near_them_end(
    limit: float, right: float, beyond: int, lines: int
) -> None:
    figure, outside = trade_off(POINTS, limit_percent=limit)
    check(figure)
    assert outside == beyond
    assert figure["layout"]["xaxis"]["range"][1] == pytest.approx(right)
    assert len(figure["layout"]["shapes"]) == lines


def test_best_and_default_are_marked_once_and_not_among_the_trials() -> None:
    figure, _ = trade_off(POINTS)
    assert trace_named(figure, "found")["x"] == [2.0]
    assert trace_named(figure, "default (trial 0)")["x"] == [0.5]
    assert all(trace["name"] != "trials" for trace in figure["data"])


def test_a_default_that_is_the_best_is_marked_as_both() -> None:
    figure, _ = trade_off(POINTS, best=0)
    assert trace_named(figure, "found")["x"] == trace_named(figure, "default (trial 0)")["x"] == [0.5]


def test_nothing_feasible_still_draws() -> None:
    figure, outside = trade_off(POINTS[3:], front=[], best=None, default=None)
    check(figure)
    assert outside == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.none() | st.floats(-1e6, 1e3), st.booleans()), max_size=40))
def test_best_so_far_never_falls_and_every_trial_is_drawn_once(trials: list[tuple[float | None, bool]]) -> None:
    scores, feasible = [s for s, _ in trials], [f for _, f in trials]
    figure, below = search_plots.convergence(range(len(trials)), scores, feasible, name="score")
    check(figure)
    drawn = [n for trace in figure["data"] if trace["name"] != "best so far" for n in trace["x"]]
    assert sorted(drawn) == [n for n, s in enumerate(scores) if s is not None]
    assert below <= len(drawn)
    best = [trace["y"] for trace in figure["data"] if trace["name"] == "best so far"]
    assert all(y == sorted(y) for y in best)
    fair = [s for s, f in trials if f and s is not None]
    assert [y[-1] for y in best] == ([max(fair)] if fair else [])


def test_text_from_files_is_not_read_as_markup() -> None:
    name = "<a href='x'>r</a> %{x}"
    heat = plots.heat_map(np.zeros((2, 2)), 1.0, 1 << 20, [(name, 0, 1 << 20)], axis_end_s=1.0)
    lines = plots.over_time([plots.Line(name, [0.0, 1.0], [1.0, 2.0], "#000000")], "RSS", axis_end_s=1.0)
    for figure in (heat, lines):
        check(figure)
        shown = json.dumps(figure)
        assert "<a" not in shown and "%{x}'" not in shown


def test_a_heat_map_has_one_row_an_address_and_one_column_a_time() -> None:
    heat = np.array([[0.0, 1.0, 0.5], [0.25, 0.0, 0.0]])
    figure = plots.heat_map(heat, 60.0, 3 << 30, [("a", 0, 1 << 30), ("b", 1 << 30, 2 << 30)], axis_end_s=64.0)
    check(figure)
    trace = figure["data"][0]
    assert trace["z"] == [[0.0, 25.0], [100.0, 0.0], [50.0, 0.0]]
    assert trace["x"] == [15.0, 45.0]
    assert trace["y"] == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(("highest", "unit"), [((2 << 30) - 1, "MiB"), (2 << 30, "GiB")])
def test_axis_units(highest: int, unit: str) -> None:
    assert plots.size_unit(highest)[0] == unit
