"""`damoos bench EXPERIMENT` and `damoos validate`."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.experiment.known import load_best
from damoos.experiment.leaderboard import read_results
from damoos.experiment.matrix import load_matrix
from damoos.experiment.run import RECORDS
from damoos.tune.strategies import STRATEGIES
from tests.experiment.matrices import AT, write_matrix

runner = CliRunner()


def invoke(*arguments: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment on the toy backend whose best points were searched with little effort."""
    for name, value in (("FILL", 32), ("LINE", 5), ("AGAIN", 4), ("STARTS", 1), ("STEPS", 4), ("FINALISTS", 2)):
        monkeypatch.setattr(f"damoos.experiment.best.{name}", value)
    folder = tmp_path / "small"
    write_matrix(folder)
    pytest.importorskip("scipy")
    invoke("bench", folder, "--best", "-j1")
    return folder


def test_the_search_of_best_points_goes_on_and_notices_changes(small: Path) -> None:
    matrix = load_matrix(small)
    found = load_best(matrix)
    assert set(found) == {"toy", "other"} and all(best.score > 20 for best in found.values())
    tree = json.loads((small / "best.json").read_text())
    tree["tasks"]["toy"]["score"] += 1.0
    del tree["tasks"]["other"]
    (small / "best.json").write_text(json.dumps(tree))
    invoke("bench", small, "--best", "-j1")
    assert load_best(matrix) == found
    write_matrix(small, repeats=2)
    assert "toy: is of another env or workload" in invoke("bench", small, code=2)


def test_an_experiment_leaves_its_files(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = invoke("bench", small, "--out", out, "-j1", "--publish")
    assert "border" in shown and "8 runs" in shown and str(out / "leaderboard.md") in shown
    rows = list(csv.DictReader((out / "rows.csv").read_text().splitlines()))
    assert len(rows) == 2 * 3 * (8 + 8 + 4 + 8) and rows[0]["task"] == "other" and rows[0]["number"] == "-1"
    results = read_results(out / "results.json")
    assert results.ranking()[0] == "border" and results.comparison.seeds == 3
    board = (out / "leaderboard.md").read_text()
    assert "| `border` |" in board and "3 seeds: it is a test" in board and "Workloads for training" in board
    page = (out / "leaderboard.html").read_text()
    assert "curves-chart" in page and "profiles-chart" in page and "improvement-chart" in page
    assert (small / "leaderboard.md").read_text() == board and (small / "results.json").exists()
    tree = json.loads(invoke("bench", small, "--out", out, "-j1", "--json").splitlines()[-1])
    assert tree["format"] == 1 and tree["budget"] == 8


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (30, ["strategy", "8 runs"]),
        (42, ["strategy", "4 runs", "8 runs"]),
        (80, ["strategy", "4 runs", "8 runs", "runs to 95 %", "slower %", "saved %"]),
        (120, ["strategy", "4 runs", "8 runs", "runs to 95 %", "slower %", "saved %", "thinking ms"]),
    ],
)
def test_a_narrow_terminal_shows_fewer_columns_and_breaks_none(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, shown: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = invoke("bench", small, "--out", tmp_path / "out", "-j1", "--seeds", 1)
    head, _, *rows = text[text.index("strategy  ") :].splitlines()[:5]
    assert re.split(r" {2,}", head) == shown and len(head) <= width
    assert [row.split()[0] for row in rows] == ["border", "random", "damoos-polyfit"]
    assert all(len(re.split(r" {2,}", row)) == len(shown) for row in rows)
    left_out = f"Not in {width} columns, but in leaderboard.md: "
    words = " ".join(text.split())
    assert (left_out in words) == (width < 120) and (f"{left_out}thinking ms." in words) == (width == 80)


def test_fewer_seeds_are_a_trial_and_say_so(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke("bench", small, "--out", out, "-j1", "--seeds", 1, "--strategies", "border,random")
    assert "1 seeds (a trial: 3 are asked for)" in (out / "leaderboard.md").read_text()


def test_only_what_is_wanted_has_to_be_installed(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "needy", AT)
    write_matrix(small, strategies=["needy", "random", "border"], against="needy")
    out = tmp_path / "out"
    assert "pip install 'damoos[search]'" in invoke("bench", small, "--out", out, "-j1", code=1)
    invoke("bench", small, "--best", "-j1")
    invoke("bench", small, "--out", out, "-j1", "--seeds", 1, "--strategies", "random,border")
    assert "28 of 28 trials" in invoke("validate", out / "rows.csv", "--all")


def test_who_leaves_an_env_out_is_named(small: Path, tmp_path: Path) -> None:
    # Of two tiers, where memory counts too: the toy knows no faster ones.
    (small / "tiers.toml").write_text('extends = "tiering"\n[objective]\nweight = 0.5\n')
    envs = {"reclaim": {}, "tiers.toml": {"workloads": ["toy.cfg"]}}
    write_matrix(small, envs=envs, strategies=["random", "hmsdk"])
    invoke("bench", small, "--best", "-j1")
    out = tmp_path / "out"
    shown = invoke("bench", small, "--out", out, "-j1")
    assert "hmsdk (1 of 3 tasks)" in shown
    results = read_results(out / "results.json")
    assert results.ranking() == ["random", "hmsdk"] and results.nr_tasks("hmsdk") == 1
    board = (out / "leaderboard.md").read_text()
    assert "- `hmsdk` leaves reclaim out: is for other schemes." in board
    assert "hmsdk (1 of 3 tasks)" in (out / "leaderboard.html").read_text()
    line = next(line for line in board.splitlines() if line.startswith("| toy/reclaim |"))
    assert line.endswith("| - |")
    invoke("validate", out / "rows.csv", "--all")


def test_rows_run_again_and_agree(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke("bench", small, "--out", out, "-j1")
    shown = invoke("validate", out / "rows.csv", "--all")
    assert f"{2 * 3 * (7 + 7 + 3 + 7)} of {2 * 3 * (7 + 7 + 3 + 7)} trials of small ran again (simulated)" in shown
    assert "2 of 24 courses" in invoke("validate", out / "rows.csv", "--courses", "--sample", 2)
    text = (out / "rows.csv").read_text().splitlines()
    changed = text[3].split(",")
    changed[7] = str(float(changed[7]) + 0.5)
    (out / "rows.csv").write_text("\n".join([*text[:3], ",".join(changed), *text[4:]]) + "\n")
    shown = invoke("validate", out / "rows.csv", "--experiment", small, "--all", code=1)
    assert "trial 1: score was" in shown and "0.5" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "what is to be compared?"),
        (["bench", "x.toml", "--replay", "y.json"], "what is to be compared?"),
        (["bench", "nowhere.toml"], "nowhere.toml: can't be read"),
        (["validate", "nowhere.csv"], "nowhere.csv: can't be read"),
    ],
)
def test_what_is_wrong_ends_with_code_2(arguments: list[str], message: str) -> None:
    assert message in " ".join(invoke(*arguments, code=2).split())


def test_without_best_points_it_says_how_to_find_them(tmp_path: Path) -> None:
    path = write_matrix(tmp_path)
    assert f"`damoos bench --best {path}` finds them" in " ".join(invoke("bench", path, code=2).split())
    assert "is the experiment's own" in invoke("bench", path, "--budget", 3, code=2)


def test_parquet_needs_pyarrow(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("bench", small, "--out", out, "-j1", "--seeds", 1, "--strategies", "random", "--parquet")
    try:
        import pyarrow.parquet
    except ImportError:
        assert "pip install 'damoos[parquet]'" in invoke(*arguments, code=1)
        return
    invoke(*arguments)
    assert pyarrow.parquet.read_table(out / "rows.parquet").num_rows == 2 * 8


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    path = write_matrix(tmp_path, backend="sim:zram", strategies=["random"], seeds=200)
    matrix = load_matrix(path)
    entry = {"score": 20.0, "params": {}, "runs": 1}
    tasks = {task.name: {**entry, "digest": task.digest} for task in matrix.tasks}
    (tmp_path / "best.json").write_text(json.dumps({"format": 1, "made_by": "a test", "tasks": tasks}))
    command = [sys.executable, "-m", "damoos.cli.main", "bench", str(path), "--out", str(tmp_path / "out"), "-j2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    records, deadline = tmp_path / "out" / RECORDS, time.monotonic() + 300
    while not records.exists() or len(records.read_bytes().splitlines()) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    # To all of them, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was done is kept, the same command goes on" in said and "Traceback" not in said
