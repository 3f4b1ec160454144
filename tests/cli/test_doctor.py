"""The command, on files below a folder."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from damoos.cli.main import app
from damoos.kernel import abi
from damoos.kernel.journal import agent_journal_path
from damoos.kernel.link import AgentHost, AgentLink, agent_argv
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


def test_what_an_agent_left_is_undone_and_what_it_can_not_is_told(root: Path) -> None:
    swappiness, thp = "/proc/sys/vm/swappiness", "/sys/kernel/mm/transparent_hugepage/enabled"
    for path, text in ((swappiness, "60\n"), (thp, "always [madvise] never\n")):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    for path, value, code in ((swappiness, "10", 0), (thp, "never", 1)):
        link = AgentLink(agent_argv(str(root), str(agent_journal_path(root))))
        try:
            AgentHost(link, "host").write(path, value)
            os.kill(link.hello["pid"], signal.SIGKILL)
        finally:
            link.abandon()
        looked = invoke("--root", str(root))
        assert looked.exit_code == 1 and "BAD  left over  /run/damoos/agent.journal" in looked.stdout
        done = invoke("--root", str(root), "--restore")
        assert done.exit_code == code and done.stdout.startswith("restored after an agent: ")
    assert (root / swappiness[1:]).read_text() == "60\n"
    assert f"  failed: {thp}: holds something else" in done.stdout.splitlines()
    tree = json.loads(invoke("--root", str(root), "--restore", "--json").stdout)
    assert [path for path, _ in tree["restored"]["agent"]["failed"]] == [thp]


def test_what_somebody_staged_since_is_kept_unless_told_otherwise(root: Path) -> None:
    pattern = f"{abi.KDAMONDS}/nr_kdamonds"
    boot_id = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    lines = [{"format": 1, "boot_id": boot_id}, {"damon": {"nr_kdamonds": "0"}}, {"write": pattern, "new": "1"}]
    journal = root / "run/damoos/journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / pattern[1:]).write_text("2\n")
    for number in "01":
        (root / pattern[1:]).with_name(number).mkdir()
        (root / pattern[1:]).with_name(number).joinpath("state").write_text("off\n")
    refused = invoke("--root", str(root), "--restore")
    assert refused.exit_code == 2 and "--restore-anyway" in refused.stderr and pattern in refused.stderr
    assert journal.exists() and (root / pattern[1:]).read_text() == "2\n"
    assert invoke("--root", str(root), "--restore-anyway").stdout.startswith("restored: kdamonds stopped: 0, files")
    assert not journal.exists() and (root / pattern[1:]).read_text().strip() == "0"


@pytest.mark.parametrize("host", ["hosts", "ssh:", "vm:"])
def test_a_host_that_is_none_is_wrong_input(host: str) -> None:
    result = invoke(host)
    assert result.exit_code == 2 and "not a machine" in result.stderr and "vm:NAME" in result.stderr


def test_this_machines_own_kernel_is_refused_where_it_is_switched_off() -> None:
    result = invoke()
    assert result.exit_code == 1 and "DAMOOS_HOST_BACKEND" in result.stderr and result.stdout == ""


def test_a_root_that_is_no_folder_is_wrong_input(tmp_path: Path) -> None:
    assert invoke("--root", str(tmp_path / "none")).exit_code == 2
