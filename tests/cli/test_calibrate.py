"""`damoos calibrate`, on the real simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.sim.machine import load_machine


def run(*arguments: str, code: int = 0, command: str = "calibrate") -> Any:
    done = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, [command, *arguments])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def test_what_it_writes_is_a_machine_to_run_on(tmp_path: Path) -> None:
    out = tmp_path / "here.toml"
    done = run("--backend", "sim:nvme-swap", "--out", str(out), "--title", "Here")
    assert "nvme-swap" in done.stdout and "simulated time" in done.stdout
    assert "  major_fault_us        95\n" in done.stdout and "as in zram: scan_page_us" in done.stdout
    assert f"model: {out}" in done.stderr and "0/18, access rates" in done.stderr
    machine = load_machine(str(out))
    assert machine.title == "Here" and machine.major_fault_us == pytest.approx(95.0)
    assert f"# Made by `damoos calibrate --backend sim:nvme-swap --out {out} --title Here`," in out.read_text()
    workload = tmp_path / "small.cfg"
    workload.write_text("a, 4194304, none\n\ntouch\n100\na, 0, 4096, 1\n")
    assert "here" in run(str(workload), "--machine", str(out), command="run").stdout


def test_what_is_not_measured_is_like_the_named_machine(tmp_path: Path) -> None:
    out = tmp_path / "here.toml"
    done = run("--backend", "sim:zram", "--out", str(out), "--like", "vm-lab", "--repeats", "1")
    assert "as in vm-lab" in done.stdout
    assert load_machine(str(out)).wait_share == load_machine("vm-lab").wait_share
    assert "--like vm-lab --repeats 1`" in out.read_text()


def test_an_existing_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "here.toml"
    out.write_text("mine")
    refused = run("--backend", "sim:zram", "--out", str(out), code=2)
    assert "--force" in refused.stderr and out.read_text() == "mine"
    assert "access rates" not in refused.stderr  # said before anything is measured
    run("--backend", "sim:zram", "--out", str(out), "--force", "--repeats", "1")
    assert load_machine(str(out)).shared_cpu


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "moon"), "unknown backend"),
        (("--backend", "sim:moon"), "moon"),
        (("--backend", "ssh"), "says no machine"),
        (("--backend", "sim:zram", "--like", "moon"), "no such machine"),
        (("--backend", "sim:zram", "--repeats", "0"), "--repeats"),
        (("--backend", "sim:zram", "--out", "here.txt"), "NAME.toml"),
        ((), "--backend"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    out = () if "--out" in arguments else ("--out", str(tmp_path / "here.toml"))
    done = run(*arguments, *out, code=2)
    assert said in done.stderr and list(tmp_path.iterdir()) == []


def test_help_has_examples() -> None:
    assert "damoos calibrate --backend vm:7.3 --out guest.toml" in run("--help").stdout
