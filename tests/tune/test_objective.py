"""Scores, limits and Pareto fronts."""

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.errors import InputError
from damoos.tune.objective import PENALTY, Objective, pareto_front, parse_objective
from damoos.tune.outcome import Run

BASE = Run(
    seed=1,
    runtime_s=100.0,
    rss_mean_bytes=200e6,
    rss_peak_bytes=400_000_000,
    major_faults=100,
    swap_in_bytes=0,
    swap_out_bytes=0,
    kdamond_cpu_s=0.0,
)


def run(runtime_percent: float = 0.0, rss_percent: float = 0.0) -> Run:
    runtime_s, rss = BASE.runtime_s * (1 + runtime_percent / 100), BASE.rss_mean_bytes * (1 + rss_percent / 100)
    return dataclasses.replace(BASE, runtime_s=runtime_s, rss_mean_bytes=rss)


def test_the_published_example() -> None:
    # damonitor.github.io, evaluation: freqmine with the tuned scheme, RSS -93.4 % at runtime +1.2 %
    repeat = Objective().repeat(run(1.2, -93.4), BASE)
    assert repeat.score == pytest.approx(-0.5 * 1.2 + 0.5 * 93.4)


@given(st.floats(-50, 50), st.floats(-90, 90), st.floats(0, 1))
@settings(deadline=None)
def test_the_score_is_the_weighted_mean_of_what_is_saved(runtime: float, rss: float, weight: float) -> None:
    repeat = Objective(weight=weight).repeat(run(runtime, rss), BASE)
    assert repeat.score == pytest.approx(-(weight * runtime + (1 - weight) * rss), abs=1e-6)
    assert repeat.runtime_overhead_percent == pytest.approx(runtime, abs=1e-9)
    assert repeat.rss_overhead_percent == pytest.approx(rss, abs=1e-9)


def test_no_scheme_scores_nothing() -> None:
    assert Objective().repeat(BASE, BASE).score == 0


def test_the_limit_holds_for_the_mean_over_the_repeats() -> None:
    objective = Objective(limit_percent=10.0)
    slow, fast = objective.repeat(run(18), BASE), objective.repeat(run(1), BASE)
    assert objective.excess_percent([slow]) == pytest.approx(8)
    assert objective.excess_percent([slow, fast]) == pytest.approx(-0.5)
    assert objective.excess_percent([objective.repeat(run(9.99), BASE)]) <= 0


def test_a_learner_pays_for_the_excess_without_a_cliff() -> None:
    objective = Objective(limit_percent=10.0)

    def reward(runtime: float) -> float:
        return objective.reward([objective.repeat(run(runtime, -90), BASE)])

    assert reward(5) == pytest.approx(-2.5 + 45)
    assert reward(10.001) == pytest.approx(reward(9.999), abs=0.1)
    assert reward(10) - reward(11) == pytest.approx(PENALTY + 0.5)


def test_metrics_are_relative_to_the_baseline() -> None:
    worse = dataclasses.replace(run(10), major_faults=330, kdamond_cpu_s=1.1, swap_in_bytes=220 << 20)
    scores = {
        name: parse_objective(f"metric:{name}", 0.5, 10).repeat(worse, BASE).score
        for name in ("runtime", "rss", "rss-peak", "major-faults", "kdamond-cpu", "swap-in")
    }
    expected = {"runtime": -10, "rss": 0, "rss-peak": 0, "major-faults": -2, "kdamond-cpu": -1, "swap-in": -2}
    assert scores == pytest.approx(expected)


def test_a_front_has_one_value_a_metric_and_the_damoos_score() -> None:
    objective = parse_objective("pareto:runtime,rss", 0.25, 10)
    repeats = [objective.repeat(run(4, -20), BASE), objective.repeat(run(6, -40), BASE)]
    assert objective.values(repeats, [BASE, BASE]) == pytest.approx((-5, 30))
    assert repeats[0].score == pytest.approx(-1 + 15)


@pytest.mark.parametrize(
    ("text", "weight", "limit", "message"),
    [
        ("best", 0.5, 10, "unknown objective, got 'best'; allowed: damoos, metric:NAME, pareto:NAME,NAME"),
        ("metric", 0.5, 10, "wrong metrics"),
        ("metric:rss,runtime", 0.5, 10, "wrong metrics"),
        ("pareto:rss", 0.5, 10, "wrong metrics"),
        ("pareto:rss,rss", 0.5, 10, "wrong metrics"),
        ("damoos:rss", 0.5, 10, "wrong metrics"),
        ("metric:speed", 0.5, 10, "unknown metric"),
        ("damoos", 1.1, 10, "weight: out of range"),
        ("damoos", 0.5, 0, "runtime limit: out of range"),
        ("damoos", 0.5, float("inf"), "runtime limit: out of range"),
    ],
)
def test_what_is_no_objective_is_refused(text: str, weight: float, limit: float, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_objective(text, weight, limit)
    assert message in str(caught.value)


def brute_force(points: Sequence[Sequence[float]]) -> set[int]:
    def beaten(p: Sequence[float]) -> bool:
        return any(all(a >= b for a, b in zip(q, p, strict=True)) and list(q) != list(p) for q in points)

    return {i for i, p in enumerate(points) if not beaten(p)}


# Few different numbers, so that ties are common.
@given(st.integers(1, 3).flatmap(lambda d: st.lists(st.lists(st.integers(-3, 3), min_size=d, max_size=d), max_size=25)))
@settings(deadline=None)
def test_the_front_is_what_nothing_dominates(points: list[list[int]]) -> None:
    front = pareto_front(points)
    assert set(front) == brute_force(points) and len(set(front)) == len(front)
    firsts = [points[i][0] for i in front]
    assert firsts == sorted(firsts, reverse=True)
