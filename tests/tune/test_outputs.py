"""The files of a study, and the outcome read back."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from damoos.damon.damo_format import from_damo, load_kdamonds
from damoos.errors import BackendError, ConfigError
from damoos.tune.outcome import Outcome
from damoos.tune.outputs import read_outcome, write_outputs
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
from damoos.workload.command import command, parse_metric


@pytest.fixture
def outcome(request_of: Callable[..., StudyRequest]) -> Outcome:
    return run_study(request_of(backend="fake:broken", trials=20))


def test_the_recommended_kdamonds_are_left_for_damo(outcome: Outcome, tmp_path: Path) -> None:
    write_outputs(outcome, tmp_path / "out")
    for name in ("best.json", "best.yaml"):
        assert load_kdamonds(tmp_path / "out" / name) == from_damo(outcome.recommended)


def test_the_result_reads_back_equal(outcome: Outcome, tmp_path: Path) -> None:
    write_outputs(outcome, tmp_path / "out")
    assert read_outcome(tmp_path / "out") == outcome == read_outcome(tmp_path / "out" / "result.json")


def test_the_table_has_each_trial_with_units_in_its_head(outcome: Outcome, tmp_path: Path) -> None:
    write_outputs(outcome, tmp_path)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert len(rows) == len(outcome.trials)
    for row, trial in zip(rows, outcome.trials, strict=True):
        assert row["state"] == trial.state and row["feasible"] == str(trial.feasible).lower()
        assert int(row["min_age_us"]) == trial.params["min_age"]
        assert (float(row["score"]) if row["score"] else None) == trial.score
        assert row["error"] == (trial.error or "")
    assert {row["state"] for row in rows} == {"complete", "failed"}


def test_nothing_but_the_files_is_left_and_old_ones_are_replaced(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("old")
    paths = write_outputs(outcome, tmp_path)
    assert {p.name for p in paths} == {"best.json", "best.yaml", "trials.csv", "result.json"}
    left = {p.name for p in tmp_path.iterdir()} - {"toy.cfg", "study.journal"}
    assert left == {p.name for p in paths} and (tmp_path / "trials.csv").read_text() != "old"


def test_a_folder_that_can_not_be_written_is_an_error_with_its_path(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"file"):
        write_outputs(outcome, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.update(format=2), "format: unknown format, got 2"),
        (lambda tree: tree.pop("format"), "format: unknown format"),
        (lambda tree: tree.pop("trials"), "wrong keys"),
        (lambda tree: tree["trials"][3].update(score="good"), r"result.trials\[3\].score: wrong type, got 'good'"),
        (lambda tree: tree["workload"].update(name=None), "result.workload.name: wrong type"),
        (lambda tree: tree.update(front={}), "result.front: not a list"),
        (lambda tree: tree["access"]["regions"][0].pop(), r"result.access.regions\[0\]: wrong length"),
    ],
)
def test_a_result_that_is_none_is_refused_with_file_and_field(
    outcome: Outcome, tmp_path: Path, change: Callable[[dict], object], message: str
) -> None:
    tree = json.loads(json.dumps(outcome.to_json()))
    change(tree)
    file = tmp_path / "result.json"
    file.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match=message) as caught:
        read_outcome(file)
    assert str(file) in str(caught.value)


RESULTS = sorted((Path(__file__).parents[1] / "data" / "results").glob("*.json"))


@pytest.mark.parametrize("file", RESULTS, ids=lambda path: path.stem)
def test_results_of_earlier_versions_open(file: Path, tmp_path: Path) -> None:
    outcome = read_outcome(file)
    assert outcome.workload.name == "toy" and len(outcome.trials) == 12
    assert {trial.state for trial in outcome.trials} == {"complete", "failed"}
    # What came later is not there, and is not put there.
    assert outcome.to_json() == json.loads(file.read_text())
    write_outputs(outcome, tmp_path)
    assert (tmp_path / "result.json").read_text() == file.read_text()


def test_measured_runs_say_which_time_they_are_of(request_of: Callable[..., StudyRequest], tmp_path: Path) -> None:
    metric = parse_metric("output:x (.*)", better="higher")
    request = request_of(backend="fake:real", program=command(["./bench"], metric=metric), trials=4)
    outcome = run_study(request)
    write_outputs(outcome, tmp_path)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert {row["time_kind"] for row in rows} == {"real"} and {row["error_kind"] for row in rows} == {""}
    for row, trial in zip(rows, outcome.trials, strict=True):
        assert float(row["metric"]) == pytest.approx(sum(r.run.metric or 0 for r in trial.repeats) / 2)


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigError, match=f"{os.sep}result.json"):
        read_outcome(tmp_path)
