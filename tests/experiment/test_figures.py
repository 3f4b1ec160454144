"""Figures of courses, worked out by hand."""

import math

import pytest

from damoos.experiment.course import BASELINE, Row, last_after, last_within, reached_in
from damoos.experiment.figures import THRESHOLDS, comparison


def rows_of(
    task: str, strategy: str, seed: int, reached: list[float], budget: int = 4, run_s: float = 10.0
) -> list[Row]:
    """A course with a baseline run of 10 s, then trials of `run_s` each that had reached these worths."""
    base = Row(task, strategy, seed, budget, BASELINE, 1.0, 10.0, {}, 0.0, True, 0.0, 0.0)
    return [
        base,
        *(
            Row(
                task, strategy, seed, budget, i, i + 2.0, 10.0 + (i + 1) * run_s, {}, worth, True, worth, 0.01 * (i + 1)
            )
            for i, worth in enumerate(reached)
        ),
    ]


@pytest.fixture
def courses() -> dict[tuple[str, str, int, int], list[Row]]:
    found = {}
    for task, best in (("a", 10.0), ("b", 20.0)):
        for seed in range(2):
            found[task, "quick", seed, 4] = rows_of(task, "quick", seed, [0.5 * best, best, best])
            found[task, "slow", seed, 4] = rows_of(task, "slow", seed, [0.0, 0.5 * best, 0.96 * best], run_s=20.0)
            for budget in (2, 4):
                worths = [0.1 * best * budget] * (budget - 1)
                found[task, "planner", seed, budget] = rows_of(task, "planner", seed, worths, budget)
    return found


def test_what_was_reached_is_of_the_last_run_that_was_paid(courses: dict[tuple[str, str, int, int], list[Row]]) -> None:
    rows = courses["a", "slow", 0, 4]
    assert [reached_in(last_after(rows, n)) for n in (0, 1, 2, 3, 4, 9)] == [0.0, 0.0, 0.0, 5.0, 9.6, 9.6]
    assert [reached_in(last_within(rows, s)) for s in (5, 10, 49, 50, 70)] == [0.0, 0.0, 0.0, 5.0, 9.6]


def test_who_has_only_some_tasks_is_compared_on_those(courses: dict[tuple[str, str, int, int], list[Row]]) -> None:
    whole = comparison(courses, {"a": 10.0, "b": 20.0, "c": -1.0}, (2, 4), seeds=2, against="slow")
    for seed in range(2):
        courses["b", "picky", seed, 4] = rows_of("b", "picky", seed, [20.0, 20.0, 10.0])
        courses["c", "lost", seed, 4] = rows_of("c", "lost", seed, [0.0, 0.0, 0.0])
    found = comparison(courses, {"a": 10.0, "b": 20.0, "c": -1.0}, (2, 4), seeds=2, against="slow")
    assert [f for f in found.figures if f.strategy != "picky"] == list(whole.figures)
    assert [(f.runs, f.iqm) for f in found.figures if f.strategy == "picky"] == [(2, 1.0), (4, 0.5)]
    assert [(f.task, f.reached) for f in found.by_task if f.strategy == "picky"] == [("b", 10.0)]
    picky = [(i.runs, i.probability) for i in found.improvements if i.strategy == "picky"]
    assert picky == [(2, 1.0), (4, 0.0)]
    against = comparison(courses, {"a": 10.0, "b": 20.0}, (4,), seeds=2, against="picky")
    assert {i.strategy: i.probability for i in against.improvements} == {"quick": 1.0, "slow": 1.0, "planner": 0.0}


def test_figures_are_of_all_pairs(courses: dict[tuple[str, str, int, int], list[Row]]) -> None:
    found = comparison(courses, {"a": 10.0, "b": 20.0, "hopeless": -1.0}, (2, 4), seeds=2, against="slow")
    assert found.tasks == ("a", "b") and found.left_out == ("hopeless",)
    means = {(f.strategy, f.runs): (f.mean, f.iqm, f.share) for f in found.figures}
    assert means == {
        ("quick", 2): (0.5, 0.5, 0.0),
        ("quick", 4): (1.0, 1.0, 1.0),
        ("slow", 2): (0.0, 0.0, 0.0),
        ("slow", 4): (0.96, 0.96, 1.0),
        ("planner", 2): (0.2, 0.2, 0.0),
        ("planner", 4): (0.4, 0.4, 0.0),
    }
    # Two runs of 20 s are not over within the time of four of 10 s.
    timed = {(f.strategy, f.runs): f.iqm for f in found.timed}
    assert timed["quick", 4] == 1.0 and timed["slow", 4] == 0.0 and timed["planner", 2] == 0.2
    better = {(i.strategy, i.runs): i.probability for i in found.improvements}
    assert better == {("quick", 2): 1.0, ("quick", 4): 1.0, ("planner", 2): 1.0, ("planner", 4): 0.0}


def test_speed_is_the_first_run_near_the_best(courses: dict[tuple[str, str, int, int], list[Row]]) -> None:
    found = comparison(courses, {"a": 10.0, "b": 20.0}, (2, 4), seeds=2, against="slow")
    speeds = {speed.strategy: speed for speed in found.speeds}
    assert (speeds["quick"].median, speeds["slow"].median, speeds["planner"].median) == (3.0, 4.0, None)
    assert speeds["slow"].workload_time_s == 70.0
    assert speeds["quick"].ask_ms == pytest.approx(20.0) and speeds["quick"].ask_last_ms == pytest.approx(30.0)


def test_profiles_and_curves_fall_and_rise(courses: dict[tuple[str, str, int, int], list[Row]]) -> None:
    found = comparison(courses, {"a": 10.0, "b": 20.0}, (2, 4), seeds=2, against="slow")
    profile = next(p for p in found.profiles if p.strategy == "slow")
    assert [share for t, share in zip(THRESHOLDS, profile.shares, strict=True) if t < 0.96] == [1.0] * 48
    assert profile.shares[-1] == 0.0
    curves = {curve.strategy: curve for curve in found.curves}
    assert curves["quick"].runs == (1, 2, 3, 4) and curves["quick"].iqm == (0.0, 0.5, 1.0, 1.0)
    assert curves["planner"].runs == (2, 4)
    assert all(math.isfinite(x) for curve in found.curves for x in (*curve.low, *curve.high))
