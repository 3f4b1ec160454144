"""Courses on Ray: clusters of nodes that are simulated on this machine, in a process of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiment.matrices import write_matrix

pytest.importorskip("ray", reason="Ray is not installed: pip install 'damoos[sweep]'")
pytestmark = pytest.mark.slow

SIMULATED = {"backend": "sim:zram", "strategies": ["random", "border"], "budget": 6, "counts": [6], "seeds": 4}


def run(code: str, *arguments: str) -> str:
    """What a script prints; Ray warns of too much to load it here."""
    command = [sys.executable, "-m", "tests.experiment.ray_scripts", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_cluster_that_loses_a_node_half_way_gives_the_same_rows(tmp_path: Path) -> None:
    write_matrix(tmp_path, **SIMULATED)
    printed = run("lose_a_node", str(tmp_path))
    assert "nodes 2, then 1" in printed
    rows = (tmp_path / "here.csv").read_bytes()
    assert len(rows.splitlines()) == 1 + 2 * 2 * 4 * 6
    assert (tmp_path / "ray.csv").read_bytes() == rows == (tmp_path / "pool.csv").read_bytes()


def test_on_kernels_runs_one_job_at_a_time_on_each_node_that_has_one(tmp_path: Path) -> None:
    assert run("on_kernels", str(tmp_path)).split() == ["0", "1", "2", "3", "4", "5", "at", "most", "1"]


def test_what_a_job_raises_is_raised_here() -> None:
    assert "BackendError: no luck with 3" in run("raises")


def test_a_cluster_that_is_not_there_is_said_in_a_line() -> None:
    assert "BackendError: no Ray cluster at 127.0.0.1:1" in run("not_there")
