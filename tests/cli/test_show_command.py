"""`damoos show`, and the summary that `damoos tune` ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.tune.outcome import Outcome
from tests.report.sample import measured_outcome, sample_outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "result.json").write_text(json.dumps(sample_outcome().to_json()))
    (tmp_path / "best.json").write_text("{}")
    return tmp_path


def show(*arguments: str, code: int = 0, columns: int = 80) -> Any:
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["show", *arguments])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


@pytest.mark.parametrize("columns", [80, 120])
def test_the_summary_fits_the_terminal(folder: Path, columns: int) -> None:
    lines = show(str(folder), "-v", columns=columns).stdout.splitlines()
    own = [line for line in lines if str(folder) not in line]  # a path is not broken: it has to be copied
    assert max(map(len, own)) <= columns


def test_the_summary_says_what_was_found_and_what_to_do(folder: Path) -> None:
    text = show(str(folder)).stdout
    for expected in ("no scheme", "documented", "found", "8.60 ± 0.42", "simulated", "pageout", "95 % confidence"):
        assert expected in text, expected
    assert text.index("better than no") < text.index("documented")
    assert f'\'s/"pid": null/"pid": PID/\' {folder}/best.json' in text
    assert "sudo damo start --kdamonds" in text
    assert "best.yaml" not in text  # it is not there


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("speed", ["runtime", "higher", "none"])
@pytest.mark.parametrize("time_kind", ["virtual", "real"])
def test_what_was_measured_is_labelled(folder: Path, columns: int, speed: str, time_kind: str) -> None:
    outcome = measured_outcome(speed, time_kind)
    (folder / "result.json").write_text(json.dumps(outcome.to_json()))
    done = show(str(folder), columns=columns).stdout
    lines = [line for line in done.splitlines() if str(folder) not in line]
    assert max(map(len, lines)) <= columns
    assert f"(host, {time_kind})" in lines[0] and f"{time_kind}; means of" in done and "simulat" not in done
    assert ("Runtime is not measured" in done) == (speed == "none")
    assert ("1234" in done) == (speed == "higher")
    assert "failed trials: 1 (1 with a workload that failed); trials.csv says why" in " ".join(done.split())
    assert ("Found in a virtual machine" in done) == (time_kind == "virtual")
    assert Outcome.from_json(json.loads(show(str(folder), "--json").stdout)) == outcome


def test_when_nothing_helps_nothing_is_offered(folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps(sample_outcome(helps=False).to_json()))
    text = show(str(folder)).stdout
    assert "Nothing helps" in text
    assert "not recommended" in text
    assert "damo start" not in text


def test_folder_and_file_show_the_same(folder: Path) -> None:
    assert show(str(folder)).stdout == show(str(folder / "result.json")).stdout


def test_json_is_the_whole_outcome(folder: Path) -> None:
    assert Outcome.from_json(json.loads(show(str(folder), "--json").stdout)) == sample_outcome()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "result.json:1: not JSON"),
        ("[]", "not a result of damoos tune"),
        ('{"format": 99}', "format: unknown format, got 99"),
        ('{"format": 1, "workload": 3}', "wrong keys"),
    ],
)
def test_a_file_that_is_no_result_is_refused(folder: Path, content: str, expected: str) -> None:
    (folder / "result.json").write_text(content)
    message = show(str(folder), code=2).stderr
    assert message.startswith("damoos: ") and message.count("\n") == 1
    assert expected in message


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    assert "result.json: can't be read" in show(str(tmp_path), code=2).stderr
    assert "nowhere: can't be read" in show(str(tmp_path / "nowhere"), code=2).stderr
