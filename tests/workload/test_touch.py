"""The compiled loops against an oracle in Python, and whole runs in real processes."""

from __future__ import annotations

import ast
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damoos.workload import touch, touch_run
from damoos.workload.masim import MasimWorkload, parse
from damoos.workload.pace import Pace
from damoos.workload.touch_code import compile_loops

MIB = 1 << 20
PAGE = 4096


@pytest.fixture(scope="module")
def loops() -> dict[str, Any]:
    encoded = {name: base64.b64encode(code).decode() for name, code in compile_loops().items()}
    return touch_run.load_loops(os.uname().machine, encoded)


def workload(text: str) -> MasimWorkload:
    return parse(text, "test")


def run(
    text: str, folder: Path, pace: Pace, seed: int = 1, python: str = sys.executable, **options: Any
) -> list[dict[str, Any]]:
    """The events of a whole run; it finds files in `folder`."""
    plan = touch.write_plan(touch.plan(workload(text), pace, seed, **options), folder / "plan.json")
    done = subprocess.run(
        touch.argv(plan, python=python),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def xorshift(x: int) -> int:
    x ^= x << 13 & (2**64 - 1)
    x ^= x >> 7
    return x ^ (x << 17 & (2**64 - 1))


@pytest.mark.parametrize("stride", [0, 1, 64, 300, 4096, 5000])
@pytest.mark.parametrize("mode", ["ro", "wo", "rw"])
def test_sequential_accesses_are_those_of_masim(loops: dict[str, Any], stride: int, mode: str) -> None:
    memory, n = np.zeros(4500, np.uint8), 1000
    expected, place = np.zeros(4500, np.uint8), 37
    for left in range(n, 0, -1):
        place = place + stride if place + stride < 4500 else 0
        if mode == "wo":
            expected[place] = left % 256
        elif mode == "rw":
            expected[place] = (int(expected[place]) + 1) % 256
    assert loops[f"sequential {mode}"](memory.ctypes.data, 4500, 37, stride, n) == place
    assert (memory == expected).all()


@pytest.mark.parametrize("mode", ["ro", "wo", "rw"])
def test_random_accesses_are_uniform_and_follow_the_seed(loops: dict[str, Any], mode: str) -> None:
    memory, n, state = np.zeros(64, np.uint8), 2000, 12345
    expected = np.zeros(64, np.uint8)
    for left in range(n, 0, -1):
        state = xorshift(state)
        place = state * 64 >> 64
        if mode == "wo":
            expected[place] = left % 256
        elif mode == "rw":
            expected[place] = (int(expected[place]) + 1) % 256
    assert loops[f"random {mode}"](memory.ctypes.data, 64, 12345, 0, n) == state
    assert (memory == expected).all()
    if mode == "rw":
        assert abs(memory - n / 64).max() < 6 * (n / 64) ** 0.5


def test_filled_pages_are_half_random(loops: dict[str, Any]) -> None:
    memory = np.zeros(3 * PAGE, np.uint8)
    loops["fill"](memory.ctypes.data, 0, 99, 0, 3 * 512)
    for number, page in enumerate(memory.reshape(3, PAGE)):
        assert np.unique(page[: PAGE // 2]).size > 200
        assert (page[PAGE // 2 :] == number).all()


def test_no_access_is_optimised_away(loops: dict[str, Any]) -> None:
    # a read whose value nobody needs still faults pages in: seen by the process's own resident pages
    memory = touch_run.Memory("a", 16 * MIB)
    before = touch_run.rss_bytes()
    loops["sequential ro"](memory.address, memory.size, 0, PAGE, memory.pages)
    grown = touch_run.rss_bytes() - before
    memory.map.close()
    # reads of untouched memory map the shared page of zeros, which is not resident; writes are
    assert grown < MIB
    memory = touch_run.Memory("a", 16 * MIB)
    before = touch_run.rss_bytes()
    loops["sequential wo"](memory.address, memory.size, 0, PAGE, memory.pages)
    assert touch_run.rss_bytes() - before >= 15 * MIB
    memory.map.close()
    slow, start = 10**7, time.perf_counter()
    loops["sequential ro"](np.zeros(1, np.uint8).ctypes.data, 1, 0, 0, slow)
    assert time.perf_counter() - start > slow * 0.1e-9


TWO_PHASES = """
a, 8388608
b, 4194304

both
40
a, 0, 4096, 3, wo
b, 1, 0, 1, rw

one
20
a, 1, 0, 1, ro
"""


def test_fixed_work_makes_exactly_its_accesses(tmp_path: Path) -> None:
    ready, both, one, done = run(TWO_PHASES, tmp_path, Pace(accesses_per_ms=1234.5, batch=1000))
    assert [r["bytes"] for r in ready["regions"]] == [8 * MIB, 4 * MIB]
    assert (both["accesses"], one["accesses"], done["accesses"]) == (49380, 24690, 74070)
    assert both["elapsed_ms"] + one["elapsed_ms"] <= done["elapsed_ms"]


def test_timed_phases_last_their_time_and_make_whole_batches(tmp_path: Path) -> None:
    _, both, one, done = run(TWO_PHASES, tmp_path, Pace(timing="time", batch=1000))
    for phase, ms in ((both, 40), (one, 20)):
        assert phase["nominal_ms"] == ms and phase["elapsed_ms"] >= ms
        assert phase["accesses"] > 0 and phase["accesses"] % 1000 == 0
    assert done["elapsed_ms"] < 10_000


def test_a_limited_rate_is_kept(tmp_path: Path) -> None:
    _, both, _, done = run(TWO_PHASES, tmp_path, Pace(timing="time", limit_per_ms=500, batch=100))
    assert both["accesses"] <= 500 * (both["elapsed_ms"] + 1.5)
    _, both, _, done = run(TWO_PHASES, tmp_path, Pace(accesses_per_ms=1000, limit_per_ms=500))
    assert both["elapsed_ms"] >= 2 * 40 - 1.5


def test_a_phase_sleeps_or_waits_without_accesses(tmp_path: Path) -> None:
    text = "a, 4096\n\nsleeps\n30\n\nwaits\n30\na, 0, 1, 0\n"
    _, sleeps, waits, _ = run(text, tmp_path, Pace(timing="time"))
    assert sleeps["accesses"] == waits["accesses"] == 0
    assert sleeps["elapsed_ms"] >= 30 and waits["elapsed_ms"] >= 30


@pytest.mark.parametrize(
    "pace", [Pace(timing="time", batch=1000), Pace(accesses_per_ms=100, limit_per_ms=100, batch=1000)]
)
def test_who_starts_it_is_told_how_far_a_phase_is(tmp_path: Path, pace: Pace) -> None:
    text = "a, 4096\n\nlong\n2300\na, 0, 64, 1\n\nshort\n10\na, 0, 64, 1\n"
    ready, *told, long, short, done = run(text, tmp_path, pace, sync=True)
    assert [event["event"] for event in (ready, long, short, done)] == ["ready", "phase", "phase", "done"]
    assert len(told) >= 2 and {event["event"] for event in told} == {"work"}
    parts = [event["nominal_ms"] for event in told]
    assert parts == sorted(parts) and parts[0] <= 1600 and parts[-1] <= 2301
    assert [event["event"] for event in run(text, tmp_path, pace)] == ["ready", "phase", "phase", "done"]


def test_resident_memory_is_what_was_touched(tmp_path: Path) -> None:
    # every second page of 64 MiB, then a sleep during which we look
    text = "a, 67108864\nuntouched, 67108864\n\ntouch\n1\na, 0, 8192, 1, wo\n\nlook\n400\n"
    tree = touch.plan(workload(text), Pace(accesses_per_ms=8192), 1, sync=True)
    plan = touch.write_plan(tree, tmp_path / "plan.json")
    with subprocess.Popen(
        touch.argv(plan), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert ready["rss_bytes"] < 16 * MIB
        before = resident(process.pid)
        assert abs(before - ready["rss_bytes"]) < MIB
        process.stdin.write("x")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["accesses"] == 8192
        assert abs(resident(process.pid) - before - 32 * MIB) < MIB
        assert json.loads(process.stdout.readline())["name"] == "look"
        assert json.loads(process.stdout.readline())["event"] == "done"
        assert resident(process.pid) - before < MIB
        assert process.poll() is None  # it waits, so that the last counters can be read
        process.stdin.close()
        assert process.wait(10) == 0


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_prefaulted_memory_is_resident_before_the_run(tmp_path: Path) -> None:
    plan = touch.plan(workload("a, 33554432\n\np\n1\n"), Pace(prefault=True), 1, sync=True)
    argv = touch.argv(touch.write_plan(plan, tmp_path / "plan.json"))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert abs(resident(process.pid) - ready["rss_bytes"] - 32 * MIB) < MIB
        process.stdin.close()


def test_initial_data_comes_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(os.urandom(10_000))
    ready, _, _ = run("a, 10000, data\n\np\n1\n", tmp_path, Pace(timing="time"))
    assert ready["regions"][0]["bytes"] == 10_000
    plan = touch.write_plan(touch.plan(workload("a, 10001, data\n\np\n1\n"), Pace(), 1), tmp_path / "plan.json")
    done = subprocess.run(touch.argv(plan), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "smaller than region a" in done.stderr
    (tmp_path / "data").unlink()
    done = subprocess.run(touch.argv(plan), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr == "damoos touch: data: No such file or directory\n"


def test_the_same_seed_makes_the_same_choices(tmp_path: Path, loops: dict[str, Any], capsys: Any) -> None:
    text = "a, 4096\nb, 4096\n\np\n10\na, 0, 1, 1, rw\nb, 1, 1, 2, rw\n"

    def contents(seed: int) -> list[bytes]:
        execution = touch_run.Run(touch.plan(workload(text), Pace(accesses_per_ms=1000, batch=10), seed))
        execution.prepare()
        for phase in execution.plan["phases"]:
            execution.run_phase(*phase)
        return [bytes(memory.map) for memory in execution.memories]

    first, again, other = contents(1), contents(1), contents(2)
    assert first == again != other
    share = sum(first[0]) / 10_000
    assert 0.25 < share < 0.42


def test_the_executor_needs_only_an_old_bare_python(tmp_path: Path) -> None:
    source = touch.RUNNER.read_text()
    ast.parse(source, feature_version=(3, 8))
    assert "damoos." not in [n.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.alias)]
    found = [shutil.which(f"python{version}") for version in ("3.8", "3.9", "3.10")]
    found += [str(path) for path in Path.home().glob(".pyenv/versions/3.8*/bin/python3.8")]
    old = next((python for python in found if python and works(python)), None)
    if old is None:
        pytest.skip("no older Python here")
    *_, done = run(TWO_PHASES, tmp_path, Pace(accesses_per_ms=100), python=old)
    assert done["accesses"] == 6000


def works(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def test_code_of_another_architecture_is_refused(tmp_path: Path) -> None:
    plan = touch.plan(workload(TWO_PHASES), Pace(), 1) | {"machine": "vax"}
    argv = touch.argv(touch.write_plan(plan, tmp_path / "plan.json"))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "compiled for vax" in done.stderr


def test_fast_enough_that_python_is_not_what_is_measured(tmp_path: Path) -> None:
    text = "a, 1048576\n\np\n100\na, 0, 64, 1, ro\n"
    best = max(run(text, tmp_path, Pace(timing="time"))[1]["accesses"] for _ in range(3))
    assert best / 100 > 50_000  # accesses a ms; Python itself would make about 10,000
