"""The charts of a comparison, however many strategies there are."""

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from damoos.experiment.figures import THRESHOLDS, Curve, Profile
from damoos.report import bench_plots
from damoos.report.plots import Figure

MANY = [f"strategy-{i}" for i in range(27)]


def figures(ranking: list[str], against: str) -> list[Figure]:
    runs = (1, 2, 3)
    curves = [Curve(name, runs, (0.0, 0.5, 0.9), (0.0, 0.4, 0.8), (0.0, 0.6, 1.0)) for name in ranking]
    shares = tuple(1 - i / 55 for i in range(len(THRESHOLDS)))
    profiles = [Profile(name, shares, shares, shares) for name in ranking]
    found = [
        bench_plots.curves(ranking, curves, 0.95, against),
        bench_plots.profiles(ranking, profiles, against),
    ]
    for figure in found:
        go.Figure(figure)
        json.dumps(figure, allow_nan=False)
    return found


def lines(figure: Figure) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if "name" in trace]


@pytest.mark.parametrize("figure", figures(MANY, "strategy-20"))
def test_the_legend_has_the_best_and_who_they_are_compared_with(figure: Figure) -> None:
    named = [line["name"] for line in lines(figure) if line.get("showlegend", True)]
    assert named == [*MANY[: len(bench_plots.COLOURS)], "strategy-20"]
    colours = {line["line"]["color"] for line in lines(figure) if line["name"] in named}
    assert len(colours) == len(named) and bench_plots.OTHERS not in colours
    assert figure["layout"]["legend"]["yanchor"] == "bottom" and figure["layout"]["legend"]["y"] == 0


@pytest.mark.parametrize("figure", figures(MANY, "strategy-20"))
def test_all_others_are_there_in_grey_below_them(figure: Figure) -> None:
    grey = [line["name"] for line in lines(figure) if line["line"]["color"] == bench_plots.OTHERS]
    assert sorted(grey) == sorted(set(MANY[len(bench_plots.COLOURS) :]) - {"strategy-20"})
    assert [line["name"] for line in lines(figure)][: len(grey)] == grey
    assert all(line["name"] in line["hovertemplate"] for line in lines(figure))


def test_a_few_all_have_colours() -> None:
    for figure in figures(MANY[:3], MANY[1]):
        assert [line["name"] for line in lines(figure)] == MANY[:3]
        assert bench_plots.OTHERS not in {line["line"]["color"] for line in lines(figure)}
