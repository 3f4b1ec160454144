"""`damoos tune`, whole: on the real simulator, with a workload of a few simulated seconds."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.damon.damo_format import load_kdamonds, to_damo
from damoos.tune.outcome import Outcome

CFG = """\
hot, 16777216, none
cold, 50331648, none

fill
500
hot, 1, 4096, 1
cold, 1, 4096, 3

work
6000
hot, 1, 4096, 1
"""
FILES = {"best.json", "best.yaml", "trials.csv", "result.json", "report.html", "study.journal"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.cfg").write_text(CFG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tune(*arguments: str, code: int = 0) -> Any:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["tune", "small.cfg", "--repeats", "1", *arguments])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def result(folder: Path) -> Outcome:
    return Outcome.from_json(json.loads((folder / "result.json").read_text()))


def test_one_command_leaves_everything_in_one_folder(here: Path) -> None:
    done = tune("--trials", "8", "--seed", "1")
    folder = here / "damoos-out" / "small-reclaim"
    assert {p.name for p in folder.iterdir()} >= FILES
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]

    outcome = result(folder)
    best = load_kdamonds(folder / "best.json")
    assert load_kdamonds(folder / "best.yaml") == best
    assert to_damo(best) == outcome.recommended
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == len(outcome.trials) == 8
    assert outcome.verification is not None and outcome.verification.helps

    assert "simulated" in done.stdout and "trials" in done.stderr
    own = [line for line in done.stdout.splitlines() if "damoos-out" not in line]  # commands are not broken
    assert max(map(len, own)) <= 80
    assert " ".join(outcome.verification.verdict.split()) in " ".join(done.stdout.split())
    assert outcome.verification.verdict.split(",")[0] in (folder / "report.html").read_text()


def test_what_is_found_runs(here: Path) -> None:
    """The file that tune leaves is one that run takes, and it saves memory there too."""
    tune("--trials", "4", "--out", "out")
    arguments = ["run", "small.cfg", "--json", "--kdamonds", "out/best.json"]
    found = json.loads(CliRunner().invoke(app, arguments).stdout)
    baseline = json.loads(CliRunner().invoke(app, ["run", "small.cfg", "--json", "--no-damon"]).stdout)
    assert found["rss_mean_bytes"] < 0.9 * baseline["rss_mean_bytes"]


def test_the_printed_commands_make_a_file_for_a_process(here: Path) -> None:
    out = tune("--trials", "4", "--out", "my out").stdout
    edit, start = (line.strip() for line in out.splitlines()[-2:])
    subprocess.run(edit.replace("PID", "4321"), shell=True, check=True, cwd=here)
    assert start == "sudo damo start --kdamonds mine.json"
    mine, best = load_kdamonds(here / "mine.json"), load_kdamonds(here / "my out" / "best.json")
    assert mine.context.targets[0].pid == 4321
    assert mine.context.schemes == best.context.schemes


def test_more_trials_continue_the_same_study(here: Path) -> None:
    tune("--trials", "3", "--out", "out")
    first = result(here / "out").trials
    assert "goes on" in tune("--trials", "5", "--out", "out").stderr
    tune("--trials", "5", "--out", "straight")
    assert result(here / "out").trials[:3] == first
    assert result(here / "out").trials == result(here / "straight").trials


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--seed", "9"], "seed"),
        (["--machine", "nvme-swap"], "backend"),
        (["--strategy", "random"], "strategy"),
        (["--timing", "time"], "timing"),
        (["--weight", "0.9"], "objective"),
    ],
)
def test_another_study_in_the_folder_is_refused_and_untouched(here: Path, change: list[str], named: str) -> None:
    tune("--trials", "2", "--out", "out")
    before = {p.name: p.read_bytes() for p in (here / "out").iterdir()}
    message = tune("--trials", "2", "--out", "out", *change, code=2).stderr
    assert named in message.splitlines()[-1]
    assert {p.name: p.read_bytes() for p in (here / "out").iterdir()} == before


def test_results_of_another_study_are_not_overwritten_through_study(here: Path) -> None:
    tune("--trials", "2", "--out", "out")
    assert (
        "another study" in tune("--trials", "2", "--out", "out", "--study", "x.journal", "--seed", "5", code=2).stderr
    )
    assert result(here / "out").seed == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--env", "reclam"], "reclaim"),
        (["--strategy", "tp"], "tpe"),
        (["--objective", "speed"], "damoos"),
        (["--machine", "zrm"], "zram"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(here: Path, arguments: list[str], named: str) -> None:
    message = tune(*arguments, code=2).stderr.splitlines()[-1]
    assert message.startswith("damoos: ") and named in message
    assert not (here / "damoos-out").exists()


def test_an_interrupt_says_how_to_go_on_and_the_same_command_does(here: Path) -> None:
    command = [sys.executable, "-m", "damoos.cli.main", "tune", "small.cfg", "--trials", "400", "--repeats", "1"]
    journal = here / "damoos-out" / "small-reclaim" / "study.journal"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        deadline = time.monotonic() + 120
        while not (journal.exists() and journal.stat().st_size > 20_000):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == "" and "Traceback" not in err
    assert "the same command goes on" in err and "tune small.cfg --trials 400" in err

    tune("--trials", "4")
    assert len(result(journal.parent).trials) >= 4
