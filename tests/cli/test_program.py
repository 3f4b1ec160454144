"""What `tune` and `run` are to run, as the command line says it; on the toy backend, which runs anything."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.backend.base import Workload
from damoos.backend.registry import BACKENDS
from damoos.cli.main import app
from damoos.damon.damo_format import dump_kdamonds
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.errors import DamonInUseError, HostError, SetUpError
from damoos.tune.outputs import read_outcome
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload, Metric
from tests.tune import fake

REAL = ("--backend", "fake:real")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setitem(BACKENDS, "fake", "tests.tune.fake:open_fake")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.cfg").write_text(fake.WORKLOAD)
    (tmp_path / "db.toml").write_text('command = "./db --bench"\n[metric]\nsource = "output"\npattern = "tps (.*)"\n')
    fake.closed.clear()
    yield tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Workload]:
    """The workloads that were started."""
    seen: list[Workload] = []
    real = fake.FakeBackend.start

    def start(self: fake.FakeBackend, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> fake.FakeSession:
        seen.append(workload)
        return real(self, workload, kdamonds, seed)

    monkeypatch.setattr(fake.FakeBackend, "start", start)
    return seen


def damoos(*arguments: str, code: int = 0) -> Any:
    done = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, arguments)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def test_what_follows_two_dashes_is_the_command_whole(started: list[Workload]) -> None:
    damoos("run", *REAL, "--", "./bench", "--seed", "7", "--", "--help", "a b")
    assert started == [CommandWorkload("bench", ("./bench", "--seed", "7", "--", "--help", "a b"))]


def test_a_command_takes_its_options(started: list[Workload]) -> None:
    options = ["--cwd", "/srv", "--setenv", "THREADS=4", "--setenv", "A=b=c", "--timeout", "2 min", "--user", "me"]
    options += ["--metric", "output:tps (.*)", "--better", "higher"]
    done = damoos("run", *REAL, *options, "--", "./bench")
    assert started == [
        CommandWorkload(
            name="bench",
            argv=("./bench",),
            cwd="/srv",
            env=(("A", "b=c"), ("THREADS", "4")),
            timeout_s=120.0,
            user="me",
            metric=Metric("output", None, "tps (.*)", "higher"),
        )
    ]
    assert "real time" in done.stdout and "metric" in done.stdout


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("1.5 s", 1.5), ("2 min", 120.0), ("250 ms", 0.25)])
def test_a_bare_time_is_in_seconds(started: list[Workload], text: str, seconds: float) -> None:
    damoos("run", *REAL, "--timeout", text, "--", "./bench")
    assert isinstance(started[0], CommandWorkload) and started[0].timeout_s == seconds


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--pid", "4321"], AttachedWorkload("pid-4321", "pid", "4321", 2.0)),
        (["--cgroup", "a/b"], AttachedWorkload("cgroup-a-b", "cgroup", "a/b", 2.0)),
        (["--paddr"], AttachedWorkload("paddr", "paddr", "", 2.0)),
        (
            ["--pid", "1", "--metric", "url:http://localhost:9/m", "--metric-pattern", "p99 (.*)"],
            AttachedWorkload("pid-1", "pid", "1", 2.0, Metric("url", "http://localhost:9/m", "p99 (.*)")),
        ),
    ],
)
def test_what_runs_already_is_attached_to(
    started: list[Workload], options: list[str], expected: AttachedWorkload
) -> None:
    damoos("run", *REAL, *options, "--duration", "2 s")
    assert started == [expected]


def test_a_file_says_it_all(started: list[Workload]) -> None:
    damoos("run", *REAL, "db.toml")
    assert started == [CommandWorkload("db", ("./db", "--bench"), metric=Metric("output", None, "tps (.*)"))]


@pytest.mark.parametrize("command", ["run", "tune"])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["WORKLOAD: nothing to run", "--pid", "--cgroup", "--paddr"]),
        (["--"], ["no program"]),
        (["toy.cfg", "--", "true"], ["-- COMMAND: can't be given together with WORKLOAD, got 'true'"]),
        (["toy.cfg", "--pid", "1", "--duration", "1"], ["--pid: can't be given together with WORKLOAD"]),
        (["--pid", "1", "--cgroup", "x", "--duration", "1"], ["--cgroup: can't be given together with --pid, got 'x'"]),
        (["--paddr", "--duration", "1", "--", "true"], ["--paddr: can't be given together with -- COMMAND"]),
        (["--pid", "1"], ["--duration: missing"]),
        (["--pid", "1", "--duration", "0"], ["duration: out of range"]),
        (["--pid", "1", "--duration", "soon"], ["--duration: not a time, got 'soon'"]),
        (["--duration", "1 s", "--", "true"], ["--duration: can't be given together with -- COMMAND"]),
        (["toy.cfg", "--duration", "1 s"], ["--duration: can't be given together with WORKLOAD"]),
        (["toy.cfg", "--cwd", "/"], ["--cwd: can't be given together with WORKLOAD; a .toml file says it itself"]),
        (["db.toml", "--metric", "output:x"], ["--metric: can't be given together with WORKLOAD; a .toml"]),
        (["toy.cfg", "--setenv", "A=1"], ["--setenv: can't be given"]),
        (["toy.cfg", "--user", "me"], ["--user: can't be given"]),
        (["--pid", "1", "--duration", "1", "--timeout", "9"], ["--timeout: can't be given together with --pid"]),
        (["--paddr", "--duration", "1", "--cwd", "/"], ["--cwd: can't be given together with --paddr"]),
        (["--setenv", "A", "--", "true"], ["--setenv: has no =, got 'A'"]),
        (["--setenv", "=x", "--", "true"], ["env: not a name"]),
        (["--better", "higher", "--", "true"], ["--better: says nothing without --metric"]),
        (["--metric-pattern", "x", "--", "true"], ["--metric-pattern: says nothing without --metric"]),
        (["--metric", "tps", "--", "true"], ["metric: not a metric, got 'tps'"]),
        (["--pid", "1", "--duration", "1", "--metric", "output:x"], ["metric: its output is not damoos's to read"]),
        (["nowhere.toml"], ["no such workload"]),
    ],
)
def test_what_does_not_fit_together_is_named(
    here: Path, started: list[Workload], command: str, arguments: list[str], named: list[str]
) -> None:
    done = damoos(command, *REAL, *arguments, code=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    for text in named:
        assert text in done.stderr
    assert started == [] and not (here / "damoos-out").exists()


@pytest.mark.parametrize("command", ["run", "tune"])
@pytest.mark.parametrize("arguments", [["--", "true"], ["--paddr", "--duration", "1 s"]])
def test_the_simulator_refuses_what_it_can_not_run(here: Path, command: str, arguments: list[str]) -> None:
    message = damoos(command, *arguments, code=2).stderr.splitlines()[-1]
    assert "only masim workloads can be simulated" in message and "--backend vm, host or ssh" in message
    assert not (here / "damoos-out").exists()


# ---- tune ----


def test_a_command_is_tuned_as_any_workload(here: Path) -> None:
    arguments = ["tune", *REAL, "--trials", "6", "--", "./bench", "--fast"]
    done = damoos(*arguments)
    folder = here / "damoos-out" / "bench-reclaim"
    outcome = read_outcome(folder)
    assert (outcome.workload.name, outcome.workload.path) == ("bench", "./bench --fast")
    assert "6 of 2 runs each" in done.stderr and "workload  bench: ./bench --fast" in done.stderr
    assert "fake:real, real" in done.stderr and "timing" not in done.stderr
    assert "real; means of 5 runs" in done.stdout and "simulat" not in done.stdout
    assert (folder / "report.html").exists() and fake.closed == ["fake:real"]
    assert "goes on" in damoos(*arguments).stderr
    assert "is another study: workload: bench (" in damoos(*arguments[:-1], "--slow", code=2).stderr
    shown = damoos("show", str(folder)).stdout
    assert shown.splitlines()[0].startswith("bench") and "(fake:real, real)" in shown


def test_the_metric_is_in_all_that_is_left(here: Path) -> None:
    options = ["--metric", "output:tps (.*)", "--better", "higher", "--trials", "6", "--out", "out"]
    done = damoos("tune", *REAL, *options, "--", "./bench")
    outcome = read_outcome(here / "out")
    assert outcome.objective.speed == "higher"
    for text in (done.stdout, damoos("show", "out").stdout):
        assert re.search("score +metric +change, %", text) and "higher is better" in text
        assert "runtime" not in text.split("Scheme")[0]
    assert "output, tps (.*); higher is better" in (here / "out" / "report.html").read_text()


def test_without_a_metric_what_runs_already_says_nothing_of_speed(here: Path) -> None:
    done = damoos("tune", *REAL, "--pid", "7", "--duration", "2 s", "--trials", "6")
    assert "Runtime is not measured: --metric makes damoos watch speed." in done.stdout
    assert "pid 7, 2.00 s a run" in done.stderr and (here / "damoos-out" / "pid-7-reclaim").is_dir()
    assert "Runtime is not measured" in damoos("show", "damoos-out/pid-7-reclaim").stdout
    assert "runtime is not measured" in (here / "damoos-out" / "pid-7-reclaim" / "report.html").read_text()


def test_a_simulated_study_starts_a_real_one(here: Path) -> None:
    damoos("tune", "toy.cfg", "--backend", "fake", "--trials", "12", "--out", "simulated")
    damoos("tune", "toy.cfg", *REAL, "--trials", "6", "--from", "simulated", "--from-best", "3", "--out", "real")
    simulated, real = read_outcome(here / "simulated"), read_outcome(here / "real")
    best = [t.params for t in sorted(simulated.trials, key=lambda t: -(t.score or -1e9)) if t.number and t.feasible]
    assert [t.params for t in real.trials[1:4]] == best[:3]
    assert "begun with" in (here / "real" / "report.html").read_text()
    message = damoos("tune", "toy.cfg", *REAL, "--from", "nowhere", "--out", "x", code=2).stderr
    assert "nowhere: can't be read" in message


def test_results_name_the_backend_that_was_meant(here: Path) -> None:
    """`sim` is `sim:zram`: the same command goes on."""
    arguments = ["tune", "zigzag", "--backend", "sim", "--trials", "1", "--repeats", "1"]
    damoos(*arguments)
    assert "goes on" in damoos(*arguments).stderr


def test_a_set_up_that_fails_is_told_and_how_to_go_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "fault", lambda kdamonds, seed: SetUpError("the guest is gone"))
    done = damoos("tune", "toy.cfg", *REAL, code=1)
    lines = done.stderr.splitlines()
    assert "the set-up failed, trying again (2 of 2): the guest is gone" in lines
    assert lines[-1] == "damoos: the guest is gone"
    assert "what was done is kept, the same command goes on" in done.stderr and fake.closed == ["fake:real"]


@pytest.mark.parametrize(
    ("error", "code"), [(DamonInUseError("damo (pid 7) uses DAMON there"), 2), (HostError("/sys/x", 5, "lost"), 1)]
)
def test_the_backend_is_closed_when_it_can_not_be_used(
    here: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def probe(self: fake.FakeBackend) -> None:
        raise error

    monkeypatch.setattr(fake.FakeBackend, "probe", probe)
    assert str(error) in damoos("tune", "toy.cfg", *REAL, code=code).stderr
    assert fake.closed == ["fake:real"] and not (here / "damoos-out").exists()


def test_outputs_are_kept_beside_the_results(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    real = fake.open_fake

    def opened(detail: str = "", **options: Any) -> fake.FakeBackend:
        seen.append(options["outputs"])
        return real(detail, **options)

    monkeypatch.setattr(fake, "open_fake", opened)
    damoos("tune", *REAL, "--trials", "1", "--out", "o", "--", "true")
    damoos("run", *REAL, "--output", "kept", "--", "true")
    damoos("run", *REAL, "--", "true")
    assert seen == [Path("o/output"), Path("kept"), None]


# ---- run ----


def test_a_run_of_unknown_length_is_shown_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake.FakeSession, "done", property(lambda self: self.now_s >= 1000.0))
    from damoos.cli import run

    seen: list[int] = []
    monkeypatch.setattr("damoos.cli.run_text.print_result", lambda *a, **k: seen.append(len(a[2])))
    damoos("run", *REAL, "--", "true")
    assert run.STEPS <= seen[0] < 2 * run.STEPS


def test_an_interrupted_run_closes_the_backend(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(self: fake.FakeSession, seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    fake.FakeSession.threads.clear()
    monkeypatch.setattr(fake.FakeSession, "advance", advance)
    damoos("run", *REAL, "--", "true", code=130)
    assert fake.closed == ["fake:real"] and len(fake.FakeSession.threads) == 1


def test_only_simulated_runs_are_recorded(started: list[Workload]) -> None:
    message = damoos("run", *REAL, "--record", "x.json.gz", "--", "true", code=2).stderr
    assert "--record: only simulated runs are recorded, got 'fake:real'; allowed: sim" in message and started == []


def test_the_metric_is_in_the_json(here: Path) -> None:
    done = damoos("run", *REAL, "--json", "--metric", "output:x (.*)", "--", "true")
    tree = json.loads(done.stdout)
    assert tree["metric"] == pytest.approx(10 * tree["runtime_s"]) and tree["time_kind"] == "real"


# ---- dry runs ----


def test_a_dry_run_shows_what_the_default_would_write(here: Path, started: list[Workload]) -> None:
    done = damoos("tune", "toy.cfg", *REAL, "--dry-run")
    assert done.stdout == "admin/kdamonds/nr_kdamonds: 0 -> 1, 1 schemes\n" and done.stderr == ""
    assert started == [] and not (here / "damoos-out").exists() and fake.closed == ["fake:real"]


def test_a_dry_run_shows_what_a_run_would_write(here: Path, started: list[Workload]) -> None:
    dump_kdamonds(Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT] * 2), here / "two.json")
    assert "2 schemes" in damoos("run", *REAL, "--dry-run", "--kdamonds", "two.json", "--", "true").stdout
    assert "0 schemes" in damoos("run", *REAL, "--dry-run", "toy.cfg").stdout
    assert started == [] and fake.closed == ["fake:real"] * 2
    assert "--dry-run" in damoos("run", *REAL, "--dry-run", "--no-damon", "toy.cfg", code=2).stderr


@pytest.mark.parametrize("command", ["run", "tune"])
def test_the_simulator_has_nothing_to_write(here: Path, command: str) -> None:
    message = damoos(command, "zigzag", "--dry-run", code=2).stderr
    assert "nothing is written" in message and "vm, host, ssh:HOST" in message


# ---- a machine that can't be used ----

PREFLIGHT = """
import sys
from damoos.cli.main import main
sys.argv = ["damoos", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code
print("LOADED", *sorted({"llvmlite", "numba", "optuna", "plotly", "scipy"} & set(sys.modules)))
sys.exit(code)
"""


def test_a_switched_off_host_is_refused_before_anything_heavy_is_loaded(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREFLIGHT, "tune", "--backend", "host", "--", "true"],
        capture_output=True,
        text=True,
        env={**os.environ, "DAMOOS_HOST_BACKEND": "off"},
        timeout=60,
    )
    assert done.returncode in (1, 2), done.stderr
    assert "DAMOOS_HOST_BACKEND=off" in done.stderr.splitlines()[-1]
    assert done.stdout == "LOADED\n"
    assert not (here / "damoos-out").exists()


def test_an_interrupted_study_of_many_machines_ends_soon_and_goes_on(here: Path) -> None:
    """Ctrl-C while two runs of half a minute are under way: neither is waited for."""
    code = (
        "import os, sys, threading, time\n"
        "from tests.tune import fake\n"
        "go_on = fake.FakeSession.advance\n"
        "begun = threading.local()\n"
        "def advance(self, seconds):\n"
        "    samples = go_on(self, 0.005)\n"
        "    if not hasattr(begun, 'told'):\n"
        "        begun.told = os.write(1, b'started\\n')\n"
        "    time.sleep(0.1)\n"
        "    return samples\n"
        "fake.FakeSession.advance = advance\n"
        "from damoos.cli.main import main\n"
        "sys.argv = ['damoos', 'tune', 'toy.cfg', '--backend', 'fake:virtual', '--repeats', '2']\n"
        "try: main()\n"
        "finally: print(len(fake.FakeSession.threads), 'closed', fake.closed)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and time.monotonic() - begin < 15
    assert out == "2 closed ['fake:virtual']\n"
    assert "the same command goes on" in err and "Traceback" not in err
