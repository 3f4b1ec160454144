"""kill -9 during a study: the same command again goes on, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import fake

TRIALS = 12
SEEDS_A_TRIAL = 2


def start(folder: Path, name: str, delay_s: float, log: Path, backend: str = "fake") -> subprocess.Popen[str]:
    arguments = [folder / "toy.cfg", folder / f"{name}.journal", TRIALS, folder / f"{name}.json", backend]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tune.fake", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {fake.DELAY_S: str(delay_s), fake.LOG: str(log)},
        cwd=Path(__file__).parents[2],
    )


def end(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def outcome(folder: Path, name: str) -> dict[str, Any]:
    tree = json.loads((folder / f"{name}.json").read_text())
    return {key: value for key, value in tree.items() if key != "created"}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "lost"), [("fake", 10), ("fake:virtual", 2)])
def test_killed_at_random_moments_nothing_is_lost_or_repeated(
    workload: Path, tmp_path: Path, backend: str, lost: int
) -> None:
    assert end(start(tmp_path, "whole", 0, tmp_path / "whole.log", backend)) == 0
    rng = np.random.default_rng(7)
    kills = 0
    for _ in range(8):
        process = start(tmp_path, "killed", 0.004, tmp_path / "killed.log", backend)
        assert process.stdout is not None
        steps = int(rng.integers(1, 8))
        for _line in zip(range(steps), process.stdout, strict=False):
            pass
        # Inside a run, between runs, or while the journal is written.
        time.sleep(float(rng.uniform(0, 0.03)))
        process.kill()
        kills += end(process) == -signal.SIGKILL
    assert kills >= 4, "nothing was killed, so nothing was tested"
    assert end(start(tmp_path, "killed", 0, tmp_path / "killed.log", backend)) == 0

    assert outcome(tmp_path, "killed") == outcome(tmp_path, "whole")
    runs, plain = (Counter((tmp_path / f"{name}.log").read_text().split("\n")) for name in ("killed", "whole"))
    assert set(runs) == set(plain)
    # A kill costs at most what was being run: the repeats of a trial, or a verified scheme's runs, of which those that
    # take a workload's time are remembered one by one.
    again = sum((runs - plain).values())
    assert again <= kills * lost


def test_a_killed_study_does_not_stay_locked(workload: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "one", 0.05, tmp_path / "log")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    assert end(process) == -signal.SIGKILL
    assert sorted(p.name for p in tmp_path.iterdir() if "journal" in p.name) == ["one.journal"]
    assert end(start(tmp_path, "one", 0, tmp_path / "log")) == 0
