"""Tables of measured points as tasks, and the figures of strategies on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.errors import ConfigError
from damoos.experiment.course import run_course, run_courses
from damoos.experiment.figures import compare
from damoos.experiment.replay import VIOLATION, read_replay
from damoos.tune.preset import load_env
from damoos.tune.strategies import find_strategy

runner = CliRunner()
RECLAIM = load_env("reclaim")


def falling(border_s: int, top: float = 30.0) -> dict[str, list[float]]:
    """A landscape whose limit is broken below an age, and whose benefit falls from there."""
    ages = list(range(61))
    return {"min_age_s": ages, "score": [-1000.0 if age < border_s else top * 0.9 ** (age - border_s) for age in ages]}


def write(path: Path, landscapes: dict[str, object]) -> Path:
    path.write_text(json.dumps({"meta": {"what": "made up"}, "landscapes": landscapes}))
    return path


@pytest.fixture
def replay(tmp_path: Path) -> Path:
    hopeless = {"min_age_s": [0, 1, 2], "score": [-1000, -3.0, -1.0]}
    return write(tmp_path / "replay.json", {"near": falling(2), "far": falling(20, 8.0), "hopeless": hopeless})


def test_a_table_is_a_space_of_its_points(replay: Path) -> None:
    near = read_replay(replay, RECLAIM)[0]
    (parameter,) = near.space.parameters
    assert parameter.place == "schemes[0].access_pattern.age.min"
    assert (parameter.low, parameter.high, parameter.step) == (0, 60_000_000, 1_000_000)
    assert parameter.scale == "linear" and parameter.default == 5_000_000
    assert near.measure({"min_age": 2_000_000}, 0, 0).score == 30.0 == near.best
    broken = near.measure({"min_age": 1_000_000}, 0, 0)
    assert broken.score == VIOLATION and not broken.feasible


def test_points_between_are_the_nearest_and_several_parameters_go_together(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = ["1,4,10", "1,64,20", "10,4,30", "10,64,40", "40,4,1", "40,64,2"]
    path.write_text("\n".join(["min_age_s,min_size_kib,score", *rows]) + "\n")
    (task,) = read_replay(path, RECLAIM)
    assert task.name == "two" and [p.name for p in task.space.parameters] == ["min_age", "min_size"]
    # 1, 10 and 40 s are no equal steps, so the scale is the env's.
    assert task.space.parameters[0].scale == "log" and task.space.parameters[0].step is None
    assert task.judge({"min_age": 7_000_000, "min_size": 8192}) == 30.0
    assert task.judge({"min_age": 39_000_000, "min_size": 65536}) == 2.0


def test_points_that_were_measured_again_are_noisy(tmp_path: Path) -> None:
    path = write(tmp_path / "noisy.json", {"a": {"min_age_s": [1, 1, 1, 2], "score": [10, 14, -1000, 5]}})
    (task,) = read_replay(path, RECLAIM)
    values = {"min_age": 1_000_000}
    drawn = [task.measure(values, seed=3, number=number).score for number in range(60)]
    assert set(drawn) == {10.0, 14.0, VIOLATION}
    assert drawn == [task.measure(values, seed=3, number=number).score for number in range(60)]
    assert task.judge(values) == pytest.approx((10 + 14 - 20) / 3) and task.best == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("{}", "landscapes: missing"),
        ('{"landscapes": {}}', "has no landscapes"),
        ('{"landscapes": {"a": {"score": [1]}}}', "a: columns are missing"),
        ('{"landscapes": {"a": {"min_age_s": [1], "score": [1, 2]}}}', "a.min_age_s: wrong number of values"),
        ('{"landscapes": {"a": {"min_age_s": [1, "x"], "score": [1, 2]}}}', "a.min_age_s: not a number, got 'x'"),
        ('{"landscapes": {"a": {"colour_s": [1, 2], "score": [1, 2]}}}', "a.colour: not a time of env reclaim"),
        ('{"landscapes": {"a": {"min_age_s": [1, 1], "score": [1, 2]}}}', "a.min_age: has only one value"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_replay(path, RECLAIM)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_course_remembers_the_best_feasible_point(replay: Path) -> None:
    task = read_replay(replay, RECLAIM)[0]
    rows = list(run_course(task, find_strategy("random"), seed=4, budget=15))
    assert [row.number for row in rows] == list(range(15))
    best = np.maximum.accumulate([row.score for row in rows])
    assert [row.reached for row in rows] == best.tolist()


def test_who_plans_for_a_budget_gets_a_course_for_each(replay: Path) -> None:
    task = read_replay(replay, RECLAIM)[0]
    rows = run_courses(task, find_strategy("damoos-polyfit"), seed=0, counts=(5, 10))
    assert [(row.budget, row.runs) for row in rows if row.runs == row.budget] == [(5, 5), (10, 10)]
    rows = run_courses(task, find_strategy("random"), seed=0, counts=(5, 10))
    assert {row.budget for row in rows} == {10} and len(rows) == 10


def test_who_knows_the_shape_needs_few_runs(replay: Path) -> None:
    tasks = read_replay(replay, RECLAIM)
    found = compare(tasks, [find_strategy("random"), find_strategy("border")], budget=10, seeds=5)
    assert found.tasks == ("near", "far") and found.left_out == ("hopeless",)
    by_cell = {(figure.strategy, figure.runs): figure for figure in found.figures}
    assert set(by_cell) == {(name, runs) for name in ("random", "border") for runs in (3, 5, 10)}
    assert by_cell["border", 10].share == 1.0
    assert by_cell["border", 5].mean > by_cell["random", 5].high
    better = found.improvements[-1]
    assert (better.strategy, better.over, better.runs) == ("border", "random", 10) and better.low > 0.5


def test_the_command_prints_the_figures(replay: Path) -> None:
    arguments = ["bench", "--replay", str(replay), "--strategies", "border", "--budget", "5", "--seeds", "2"]
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "border" in shown.stdout and "2 landscapes and 2 seeds" in shown.stdout and "hopeless" in shown.stdout
    tree = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout.splitlines()[-1])
    assert [figure["runs"] for figure in tree["figures"]] == [3, 5]


def test_the_command_refuses_what_a_strategy_can_not_take(tmp_path: Path) -> None:
    path = write(tmp_path / "sizes.json", {"a": {"min_size_kib": [4, 8, 16], "score": [1, 2, 3]}})
    result = runner.invoke(app, ["bench", "--replay", str(path), "--strategies", "damoos-simple"])
    assert result.exit_code == 2 and "strategy damoos-simple" in result.output


def test_the_command_refuses_strategies_with_kdamonds_of_their_own(replay: Path) -> None:
    result = runner.invoke(app, ["bench", "--replay", str(replay), "--strategies", "kernel-psi"])
    assert result.exit_code == 2 and "brings kdamonds of its own" in " ".join(result.output.split())


def test_what_was_measured_is_never_short(replay: Path) -> None:
    rows = list(run_course(read_replay(replay, RECLAIM)[0], find_strategy("halving"), seed=0, budget=14))
    assert [row.runs for row in rows] == list(range(1, 15)) and any(row.feasible for row in rows[:9])
