"""An env and a workload on a backend as a task."""

import math
from itertools import pairwise
from pathlib import Path

import pytest

from damoos.experiment.course import BASELINE, run_course
from damoos.experiment.env_task import JUDGED_WITH, EnvTask
from damoos.experiment.replay import VIOLATION
from damoos.tune.preset import load_env
from damoos.tune.strategies import find_strategy
from damoos.workload import masim
from tests.tune import fake


@pytest.fixture
def task(tmp_path: Path) -> EnvTask:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    return EnvTask("toy", load_env("reclaim"), masim.load(path), fake.open_fake(), repeats=2)


def test_a_trial_is_a_function_of_the_point_and_the_seed(task: EnvTask) -> None:
    values = task.space.defaults()
    first = task.measure(values, 1, 0)
    assert first == task.measure(values, 1, 5) and first != task.measure(values, 2, 0)
    assert first.feasible and first.excess is not None and first.excess < 0


def test_worth_comes_from_seeds_of_its_own(task: EnvTask) -> None:
    values = task.space.defaults()
    task.measure(values, 0, 0)
    seen = {seed for _, seeds in task._runs for seed in seeds}
    worth = task.judge(values)
    judged = {seed for _, seeds in task._runs for seed in seeds} - seen
    assert len(judged) == JUDGED_WITH and math.isfinite(worth) and worth > VIOLATION


def test_a_point_costs_its_runs_once(task: EnvTask) -> None:
    values = task.space.defaults()
    task.judge(values)
    runs = len(task._runs)
    task.judge(values)
    assert len(task._runs) == runs


def test_a_strategy_with_kdamonds_of_its_own_is_scored_alike(task: EnvTask) -> None:
    task.judge(task.space.defaults())
    own = task.under(find_strategy("kernel-psi"))
    assert own.backend is task.backend and set(own._runs) == {key for key in task._runs if key[0] is None}
    base, row = run_course(task, find_strategy("kernel-psi"), seed=0, budget=4)
    assert (base.number, base.params, base.reached) == (BASELINE, {}, 0.0)
    assert row.params == {"stall": 500, "interval": 1_000_000}
    assert row.score == own.measure(row.params, 0, 0).score != task.measure(task.space.defaults(), 0, 0).score
    assert task.under(find_strategy("random")) is task


def test_strategies_see_all_that_was_measured(task: EnvTask) -> None:
    measured = task.measure(task.space.defaults(), 0, 0)
    assert measured.trial is not None and measured.trial.score == measured.score
    # The toy says that half of what is paged out comes back.
    rows = run_course(task, find_strategy("refault-control"), seed=0, budget=8)
    ages = [row.params["min_age"] for row in rows if row.number >= 0]
    assert ages == [10_000_000, 20_000_000, 40_000_000]


def test_a_course_gets_to_the_top_of_the_hill(task: EnvTask) -> None:
    rows = list(run_course(task, find_strategy("border"), seed=0, budget=15))
    best = task.judge(task.space.defaults() | {"min_age": round(fake.BEST_AGE_S * 1e6)})
    assert rows[-1].reached >= 0.9 * best


def test_short_runs_cost_the_part_that_they_are_and_name_nothing(task: EnvTask) -> None:
    strategy = find_strategy("halving")
    rows = list(run_course(task, strategy, seed=0, budget=18))
    # Baseline and default, of two runs each; a third of the baseline and of nine points; three points once; one whole.
    costs = [round(after.runs - before.runs, 3) for before, after in pairwise(rows)]
    assert rows[0].runs == 2 and costs[:14] == [2.0, 0.667, *[0.333] * 8, 1.0, 1.0, 1.0, 2.0]
    assert rows[-1].runs <= 18
    whole = [row for row in rows[1:] if row.number in (0, 13)]
    assert not any(row.feasible for row in rows[1:] if row not in whole) and all(row.feasible for row in whole)
    assert {row.reached for row in rows[1:14]} == {max(rows[0].reached, rows[1].reached)}
    # A part takes its part of the time.
    assert rows[4].workload_time_s - rows[3].workload_time_s < 0.5 * (rows[1].workload_time_s - rows[0].workload_time_s)
    assert [row.params for row in rows] == [row.params for row in run_course(task, strategy, seed=0, budget=18)]


def test_a_course_says_what_its_point_costs_and_saves(task: EnvTask) -> None:
    rows = list(run_course(task, find_strategy("border"), seed=0, budget=15))
    assert (rows[0].slower_percent, rows[0].saved_percent) == (0.0, 0.0)
    row = rows[-1]
    assert row.slower_percent is not None and row.saved_percent is not None
    assert row.reached == pytest.approx(0.5 * row.saved_percent - 0.5 * row.slower_percent)
    assert 0 < row.slower_percent < 20 < row.saved_percent
