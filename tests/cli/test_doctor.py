"""The command, on files below a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from damoos.cli.main import app
from tests.kernel.fake import FakeTree, plant


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *args], env={"COLUMNS": "80", "TERM": "dumb"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(FakeTree("7.3"), tmp_path)
    return tmp_path


def test_a_free_machine_is_ready(root: Path) -> None:
    result = invoke("--root", str(root))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "ok   kernel     7.3.4-amd64" and lines[-1] == "damoos can tune here."
    swap = next(i for i, line in enumerate(lines) if line.startswith("note swap"))
    assert lines[swap + 1].strip().startswith("fix: ")


def test_a_machine_in_use_is_not(root: Path) -> None:
    (root / "sys/module/damon_stat/parameters/enabled").write_text("Y\n")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    result = invoke("--root", str(root))
    assert result.exit_code == 1
    assert "BAD  in use     DAMON_STAT" in result.stdout
    assert "fix: echo N > /sys/module/damon_stat/parameters/enabled" in result.stdout
    assert result.stdout.endswith("see BAD.\n")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_json_says_the_same(root: Path) -> None:
    tree = json.loads(invoke("--root", str(root), "--json").stdout)
    assert tree["ready"] is True and tree["kernel"] == "7.3.4-amd64"
    assert {"name", "verdict", "found", "means", "fix"} == set(tree["findings"][0])


def test_restore_without_anything_to_undo(root: Path) -> None:
    result = invoke("--root", str(root), "--restore")
    assert result.exit_code == 0 and result.stdout.startswith("restored: nothing to undo\n")
    assert json.loads(invoke("--root", str(root), "--restore", "--json").stdout)["restored"]["stopped"] == []


def test_a_journal_left_over_is_undone_on_request(root: Path) -> None:
    thp = root / "sys/kernel/mm/transparent_hugepage/enabled"
    thp.parent.mkdir(parents=True)
    thp.write_text("never\n")
    boot_id = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    journal = root / "run/damoos/journal.jsonl"
    journal.parent.mkdir(parents=True)
    name = "/sys/kernel/mm/transparent_hugepage/enabled"
    lines = [{"format": 1, "boot_id": boot_id}, {"write": name, "new": "never", "old": "madvise"}]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = invoke("--root", str(root))
    assert result.exit_code == 1 and "damoos doctor --restore" in result.stdout
    result = invoke("--root", str(root), "--restore")
    assert result.exit_code == 0 and "files written: 1" in result.stdout
    assert thp.read_text() == "madvise" and not journal.exists()


def test_this_machines_own_kernel_is_refused_where_it_is_switched_off() -> None:
    result = invoke()
    assert result.exit_code == 1 and "DAMOOS_HOST_BACKEND" in result.stderr and result.stdout == ""


def test_a_root_that_is_no_folder_is_wrong_input(tmp_path: Path) -> None:
    assert invoke("--root", str(tmp_path / "none")).exit_code == 2
