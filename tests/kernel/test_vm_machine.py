"""QEMU's command line, its leash, and what is said when it does not start; with a stand-in for QEMU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from damoos.errors import BackendError, ConfigError
from damoos.kernel.hosts import bridge, kernels, machines, qemu, supervise

KERNEL = kernels.Kernel("7.3.4-test", Path("/vmlinuz"), None)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of guests, the image already built, and an empty PATH for a stand-in."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(machines, "image_for", lambda kernel: tmp_path / "image")
    (tmp_path / "bin").mkdir()
    return tmp_path


def stand_in(runtime: Path, script: str) -> None:
    program = runtime / "bin" / qemu.PROGRAM
    program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    program.chmod(0o755)


def line(machine: qemu.Machine, runtime: Path) -> str:
    stand_in(runtime, "exit 1")
    return " ".join(qemu.command(KERNEL, Path("/image"), machine, Path("/folder")))


def test_time_is_virtual_by_default(runtime: Path) -> None:
    words = line(qemu.Machine(), runtime)
    assert "-accel tcg -icount shift=1,sleep=off" in words and "-smp 1" in words and "-m 1024" in words
    assert " pti=on " in words and "damoos.rest_s=10" in words and "damoos.damon_stat=0" in words
    assert "numa" not in words
    assert qemu.Machine().time_kind == "virtual"


def test_kvm_is_real_time_on_more_cpus(runtime: Path) -> None:
    machine = qemu.Machine(accel="kvm", cpus=4)
    words = line(machine, runtime)
    assert "-accel kvm -cpu host -smp 4" in words and "icount" not in words and "pti" not in words
    assert machine.time_kind == "real"


def test_far_memory_is_a_node_without_cpu(runtime: Path) -> None:
    words = line(qemu.Machine(memory_mib=512, far_mib=256, append=("x=y",)), runtime)
    assert "-m 768" in words and "nodeid=0,memdev=m0,cpus=0-0" in words and "nodeid=1,memdev=m1 " in words
    assert "size=256M" in words and words.count("x=y") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_mib", 255), ("far_mib", -1), ("cpus", 2), ("rest_s", 3601), ("seed", -1), ("accel", "xen")],
)
def test_machines_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .*got {value!r}; allowed: "):
        qemu.Machine(**{name: value})  # type: ignore[arg-type]


def test_says_that_qemu_is_missing(runtime: Path) -> None:
    with pytest.raises(BackendError, match="apt install qemu-system-x86"):
        machines.boot(KERNEL, qemu.Machine())
    assert list((runtime / "run" / "damoos-vm").iterdir()) == []


@pytest.mark.parametrize("stays", [False, True])
def test_says_why_qemu_does_not_start(runtime: Path, stays: bool) -> None:
    stand_in(runtime, "echo qemu: no such machine >&2; exit 1")
    with pytest.raises(BackendError, match="QEMU does not start: qemu: no such machine"):
        if stays:
            machines.start(KERNEL, qemu.Machine(), "one")
        else:
            machines.boot(KERNEL, qemu.Machine())
    assert list((runtime / "run" / "damoos-vm").iterdir()) == []


def test_kvm_that_refuses_is_explained(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(runtime, "exit 1")
    monkeypatch.setattr(qemu, "kvm_problem", lambda: "/dev/kvm: Permission denied")
    with pytest.raises(BackendError, match="Permission denied; without --accel kvm the VM runs in virtual time"):
        machines.boot(KERNEL, qemu.Machine(accel="kvm"))
    # A /dev/kvm that makes virtual machines may still not run one.
    monkeypatch.setattr(qemu, "kvm_problem", lambda: None)
    stand_in(runtime, "echo failed to set MSR >&2; exit 1")
    with pytest.raises(BackendError, match="failed to set MSR; KVM seems not to work here: without --accel kvm"):
        machines.boot(KERNEL, qemu.Machine(accel="kvm"))


def test_folder_must_be_ours_alone(runtime: Path) -> None:
    assert machines.running() == ()
    (runtime / "run" / "damoos-vm").chmod(0o755)
    with pytest.raises(BackendError, match="open to others"):
        machines.running()


def test_names_are_checked(runtime: Path) -> None:
    for name in ("", "../x", "a/b", "x" * 33, "-a"):
        with pytest.raises(ConfigError, match="name: not a name"):
            machines.start(KERNEL, qemu.Machine(), name)
    with pytest.raises(BackendError, match="no VM named x is running .running: none.; `damoos vm start`"):
        machines.attach("x")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def leashed(folder: Path, *more: str) -> list[str]:
    # The stand-in for QEMU ignores what can be ignored.
    script = "trap '' INT TERM HUP; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.2; done"
    return [sys.executable, "-I", "-S", str(machines._SUPERVISOR), "tied", str(folder), "/bin/sh", "-c", script, *more]


def pid_in(folder: Path) -> int:
    deadline = time.monotonic() + 10
    while not (folder.parent / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((folder.parent / "pid").read_text())


@pytest.mark.parametrize("how", ["input ends", "killed", "terminated", "twice"])
def test_leash(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "guest"
    folder.mkdir()
    with subprocess.Popen(leashed(folder), stdin=subprocess.PIPE, cwd=tmp_path) as keeper:
        guest = pid_in(folder)
        assert alive(guest) and machines._is_locked(folder / "alive")
        if how == "twice":
            second = subprocess.run(leashed(folder), stdin=subprocess.DEVNULL, cwd=tmp_path)
            assert second.returncode == 1 and alive(guest)
        if how in ("killed", "terminated"):
            keeper.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(10)
    wait_until_dead(guest)
    assert folder.exists() == (how in ("killed", "terminated"))
    assert not machines._is_locked(folder / "alive")


def test_leash_notices_a_dead_parent_whose_pipe_lives_on(tmp_path: Path) -> None:
    # A forked child of the controller inherits its end of the pipe.
    folder = tmp_path / "guest"
    folder.mkdir()
    code = (
        "import os, subprocess, sys, time\n"
        f"p = subprocess.Popen({leashed(folder)!r}, stdin=subprocess.PIPE, cwd={str(tmp_path)!r})\n"
        "if os.fork() == 0:\n    time.sleep(1000)\n"
        "print(p.pid, flush=True); time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as controller:
        assert controller.stdout is not None
        keeper = int(controller.stdout.readline())
        guest = pid_in(folder)
        controller.kill()
        wait_until_dead(guest, keeper)
        os.killpg(controller.pid, signal.SIGKILL)  # the forked child
    assert not folder.exists()


def test_bridge_knows_when_the_guest_hangs_up() -> None:
    event = b'{"event": "VSERPORT_CHANGE", "data": {"id": "%s", "open": %s}}'
    assert bridge.closes_port(event % (b"stream", b"false"))
    assert not bridge.closes_port(event % (b"stream", b"true"))
    assert not bridge.closes_port(event % (b"control", b"false"))
    assert not bridge.closes_port(b'{"return": {}}')


def test_leash_leaves_a_guest_in_use_alone(tmp_path: Path) -> None:
    held = supervise.locked(str(tmp_path / "lock"))
    assert held is not None and supervise.locked(str(tmp_path / "lock")) is None
    supervise.stop_time(str(tmp_path))  # or it would ask for a monitor that is not there
    os.close(held)
    supervise.stop_time(str(tmp_path))  # nor is that one an error: QEMU may be starting


def test_command_line_without_guests(runtime: Path) -> None:
    from damoos.cli.vm import app

    runner = CliRunner()
    listed = runner.invoke(app, ["list"])
    assert "no VM is running" in listed.output and "damoos vm fetch" in listed.output
    for words in (["exec", "--", "true"], ["stop"], ["stop", "x"], ["start"]):
        done = runner.invoke(app, words)
        assert isinstance(done.exception, BackendError), words
    (runtime / "cache" / "damoos" / "vm").mkdir(parents=True)
    (runtime / "cache" / "damoos" / "vm" / "file").write_bytes(b"x" * (3 << 20))
    assert "removed 3 MiB" in runner.invoke(app, ["clean"]).output
    assert not (runtime / "cache" / "damoos" / "vm").exists()
