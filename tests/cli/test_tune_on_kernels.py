"""`damoos tune` and `damoos run` on a real kernel in QEMU, whole."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.damon.damo_format import load_kdamonds
from damoos.kernel.hosts import kernels
from damoos.tune.effort import VIRTUAL
from damoos.tune.outputs import read_outcome
from tests.kernel.conftest import SERIES, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

# 24 MiB of which a sixth is in use, for a second of the guest's time.
PROGRAM = """
import time
memory = bytearray(b"x") * (24 << 20)
end, rounds = time.monotonic() + 1, 0
while time.monotonic() < end:
    for page in range(0, 4 << 20, 4096):
        memory[page] = 1
    rounds += 1
print("rounds:", rounds)
"""


@pytest.fixture
def newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kernels.Kernel:
    monkeypatch.chdir(tmp_path)
    return kernel(SERIES[-1])


def damoos(*arguments: str, code: int = 0) -> Any:
    done = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, arguments)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def test_a_command_is_tuned_by_its_metric(newest: kernels.Kernel, tmp_path: Path) -> None:
    arguments = ["tune", "--backend", f"vm:{newest.series}", "--trials", "1", "--repeats", "1", "--out", "out"]
    arguments += ["--metric", "output:rounds: (.*)", "--better", "higher", "--", "python3", "-c", PROGRAM]
    done = damoos(*arguments)
    outcome = read_outcome(tmp_path / "out")
    assert outcome.time_kind == "virtual" and outcome.access is None
    assert (outcome.workload.kind, outcome.objective.speed) == ("command", "higher")
    assert 24 << 20 < outcome.workload.footprint_bytes < 64 << 20
    assert outcome.workload.duration_s == pytest.approx(1.3, abs=0.5)
    checked = outcome.verification
    assert checked is not None and checked.baseline_metric is not None and checked.baseline_metric.low > 1
    for trial in outcome.trials:
        assert trial.state == "complete" and all(repeat.run.metric for repeat in trial.repeats)
    assert {len(series.t_s) > 3 for series in outcome.series} == {True}
    assert f"virtual; means of {VIRTUAL.verify_seeds} runs" in done.stdout and "simulat" not in done.stdout
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").read_text().splitlines()))
    assert {row["time_kind"] for row in rows} == {"virtual"} and all(float(row["metric"]) > 1 for row in rows)
    load_kdamonds(tmp_path / "out" / "best.json")
    printed = [path.read_text() for path in (tmp_path / "out" / "output").iterdir()]
    assert len(printed) > 12 and all(text.startswith("rounds: ") for text in printed)

    # A finished study runs nothing, and leaves its journal as it is.
    journal = (tmp_path / "out" / "study.journal").read_bytes()
    assert "goes on" in damoos(*arguments).stderr
    assert (tmp_path / "out" / "study.journal").read_bytes() == journal
    assert read_outcome(tmp_path / "out").trials == outcome.trials


def test_a_program_that_fails_is_named_with_what_it_said(newest: kernels.Kernel) -> None:
    code = "import sys; sys.exit('no such table')"
    arguments = ["tune", "--backend", f"vm:{newest.series}", "--trials", "1", "--", "python3", "-c", code]
    message = damoos(*arguments, code=1).stderr.splitlines()
    assert any("exit code 1" in line for line in message) and "no such table" in message[-1]
    assert not any("trying again" in line for line in message)


def test_one_run_is_shown_with_its_kind_of_time(newest: kernels.Kernel, tmp_path: Path) -> None:
    where = ["run", "--backend", f"vm:{newest.series}", "--output", "kept"]
    tree = json.loads(
        damoos(*where, "--json", "--metric", "output:rounds: (.*)", "--", "python3", "-c", PROGRAM).stdout
    )
    assert tree["time_kind"] == "virtual" and tree["metric"] > 1 and tree["nr_regions_mean"] > 1
    assert [path.read_text()[:8] for path in (tmp_path / "kept").iterdir()] == ["rounds: "]
    assert "nr_kdamonds: 0 -> 1" in damoos(*where, "--dry-run", "zigzag").stdout
