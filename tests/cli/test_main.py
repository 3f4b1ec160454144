"""The entry point: what it imports, how errors end, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from damoos import __version__
from damoos.cli.main import COMMANDS, app

HEAVY = ("numba", "optuna", "plotly", "torch", "yaml", "stable_baselines3", "numpy", "gymnasium")


def damoos(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "damoos.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", **environment},
        timeout=60,
    )


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    code = (
        "import sys\n"
        "from damoos.cli.main import main\n"
        "sys.argv = ['damoos', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout
    assert all(name in done.stdout for name in COMMANDS)


def test_help_is_quick() -> None:
    def once() -> float:
        before = os.times()
        assert damoos("--help").returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # CPU time, the best of several: other work on the machine is not the command's fault
    assert min(once() for _ in range(5)) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_in_80_columns(name: str) -> None:
    done = damoos(name, "--help")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"damoos {name}" in done.stdout
    assert "\x1b" not in done.stdout


def test_version() -> None:
    done = damoos("--version")
    assert (done.returncode, done.stdout) == (0, f"damoos {__version__}\n")


@pytest.mark.parametrize(
    "arguments", [["tun"], ["tune"], ["tune", "zigzag", "--trials", "many"], ["run", "--nonsense"]]
)
def test_usage_errors_exit_2_without_a_traceback(arguments: list[str]) -> None:
    done = damoos(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_unknown_command_names_the_nearest() -> None:
    assert "'tune'" in damoos("tnue").stderr


def test_errors_are_one_line_and_a_traceback_only_on_request(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such.cfg")
    done = damoos("run", missing)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("damoos: ") and done.stderr.count("\n") == 1
    assert "Traceback" in damoos("run", missing, DAMOOS_DEBUG="1").stderr


def test_a_defect_is_reported_in_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from damoos.cli import main as module

    monkeypatch.setitem(module.COMMANDS, "run", ("damoos.cli.no_such_module", "broken"))
    monkeypatch.setattr(sys, "argv", ["damoos", "run", "x"])
    monkeypatch.delenv("DAMOOS_DEBUG", raising=False)
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 1
    assert "internal error: ModuleNotFoundError" in capsys.readouterr().err


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from damoos.cli import run

    monkeypatch.setattr(run, "backend_spec", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    done = CliRunner().invoke(app, ["run", "zigzag"])
    assert done.exit_code == 130
    assert "interrupted" in done.stderr


def test_a_terminal_without_unicode_gets_everything_all_the_same() -> None:
    done = damoos("envs", "show", "reclaim", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and "min_age" in done.stdout


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[" in damoos("envs", "list", FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[" not in damoos("envs", "list", TERM="xterm").stdout
    assert "\x1b[3" not in damoos("workloads", "show", "zigzag", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm").stdout


def test_an_error_of_the_operating_system_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = damoos("run", "zigzag", "--record", str(tmp_path / "file" / "x.json.gz"))
    assert done.returncode == 1
    assert done.stderr.startswith("damoos: ") and "x.json.gz" in done.stderr and done.stderr.count("\n") == 1
