"""`damoos touch` as a command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

CONFIG = "a, 1048576\n\nfirst\n10\na, 0, 4096, 1\n\nsecond\n5\na, 1, 0, 1, ro\n"


def damoos(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "damoos.cli.main", "touch", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_prints_a_json_line_per_phase(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text(CONFIG)
    done = damoos(
        "my.cfg", "--work", "100", "--batch", "64", "--seed", "3", "--sync", "--prefault", "--json", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["ready", "phase", "phase", "done"]
    assert [(e["name"], e["nominal_ms"], e["accesses"]) for e in events[1:3]] == [
        ("first", 10, 1000),
        ("second", 5, 500),
    ]


def test_without_json_it_is_text(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text(CONFIG)
    done = damoos("my.cfg", "--time", "--rate", "5000", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and re.match(r"first: \d+", lines[1])


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text(CONFIG)
    for arguments in (["no-such.cfg"], ["my.cfg", "--time", "--work", "5"], ["my.cfg", "--rate", "0"]):
        done = damoos(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("damoos: ") and done.stderr.count("\n") == 1


def test_several_processes_are_refused_by_name(tmp_path: Path) -> None:
    done = damoos("hot-beside-cold", cwd=tmp_path)
    assert done.returncode != 0 and "one of them: zigzag, hot-cold" in " ".join(done.stderr.split())
