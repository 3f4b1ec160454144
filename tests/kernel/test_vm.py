"""A real kernel in QEMU as a host: files, processes, pipes, and what becomes of it when its controller dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from damoos.errors import BackendError, HostError
from damoos.kernel.host import Host, TreeReader
from damoos.kernel.hosts import kernels, machines, qemu
from damoos.kernel.hosts.image import PYTHON_MODULES
from damoos.kernel.hosts.qmp import Qmp
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.link import AGENT, AgentLink

pytestmark = pytest.mark.kernel
KDAMONDS = "/sys/kernel/mm/damon/admin/kdamonds/"
CHECKOUT = Path(__file__).parents[2]


def shell(vm: VmHost, script: str) -> str:
    done = vm.run(["sh", "-ec", script])
    assert (done.status, done.err) == (0, b"")
    return done.out.decode().strip()


def uptime_s(vm: VmHost) -> float:
    return float(vm.read("/proc/uptime").split()[0])


def test_is_a_host(vm: VmHost) -> None:
    host: Host = vm
    assert isinstance(vm, TreeReader)
    assert host.name in ("vm:6.12", "vm:7.3")
    assert vm.time_kind == "virtual"


def test_runs_the_kernel_that_was_asked_for(vm: VmHost) -> None:
    assert shell(vm, "uname -r") == vm.release
    assert vm.name == "vm:" + ".".join(vm.release.split(".")[:2])


def test_guest_has_what_trials_need(vm: VmHost) -> None:
    assert "/dev/zram0" in vm.read("/proc/swaps")
    assert "some avg10=" in vm.read("/proc/pressure/memory")
    assert "madvise" in vm.read("/sys/kernel/mm/transparent_hugepage/enabled")
    assert "memory" in vm.read("/sys/fs/cgroup/cgroup.subtree_control").split()
    assert "damon" in vm.listdir("/sys/kernel/tracing/events")
    assert uptime_s(vm) > 10  # it has rested


def test_second_node_has_memory_and_no_cpu(vm: VmHost) -> None:
    node = "/sys/devices/system/node/node1/"
    assert vm.read(node + "cpulist") == ""
    assert "MemTotal:" in vm.read(node + "meminfo")


def test_cpu_isolates_page_tables(vm: VmHost) -> None:
    assert " pti " in vm.read("/proc/cpuinfo").replace("\n", " ")


def test_damon_is_free(vm: VmHost) -> None:
    assert vm.read(KDAMONDS + "nr_kdamonds") == "0"
    switch = "/sys/module/damon_stat/parameters/enabled"
    assert not vm.exists(switch) or vm.read(switch) == "N"
    assert "kdamond" not in shell(vm, "cat /proc/[0-9]*/comm")


def test_stages_and_runs_a_kdamond_by_hand(vm: VmHost) -> None:
    with vm.stream(["sleep", "1000"]) as sleeper:
        try:
            for path, value in {
                "nr_kdamonds": "1",
                "0/contexts/nr_contexts": "1",
                "0/contexts/0/operations": "vaddr",
                "0/contexts/0/targets/nr_targets": "1",
                "0/contexts/0/targets/0/pid_target": str(sleeper.pid),
                "0/state": "on",
            }.items():
                vm.write(KDAMONDS + path, value)
            assert vm.read(KDAMONDS + "0/state") == "on"
            kdamond = int(vm.read(KDAMONDS + "0/pid"))
            assert vm.read(f"/proc/{kdamond}/comm").startswith("kdamond")
            files = vm.read_tree(KDAMONDS)
            assert files["0/contexts/0/targets/0/pid_target"] == str(sleeper.pid)
            assert files["0/contexts/0/operations"] == "vaddr"
        finally:
            vm.write(KDAMONDS + "0/state", "off")
            vm.write(KDAMONDS + "nr_kdamonds", "0")
    assert vm.listdir(KDAMONDS) == ["nr_kdamonds"]


def test_errors_carry_path_value_and_number(vm: VmHost) -> None:
    with pytest.raises(HostError) as refused:
        vm.write(KDAMONDS + "nr_kdamonds", "-1")
    assert (refused.value.errno, refused.value.path, refused.value.value) == (
        errno.EINVAL,
        KDAMONDS + "nr_kdamonds",
        "-1",
    )
    for action in (vm.read, vm.listdir, vm.read_tree, vm.get):
        with pytest.raises(HostError) as missing:
            action("/nowhere")
        assert missing.value.errno == errno.ENOENT
    with pytest.raises(HostError) as created:
        vm.write("/tmp/new", "1")
    assert created.value.errno == errno.ENOENT
    assert not vm.exists("/tmp/new")


def test_files_go_there_and_come_back(vm: VmHost) -> None:
    data = bytes(range(256)) * 3000  # more than a chunk
    vm.put("/tmp/data", data, mode=0o640)
    assert vm.get("/tmp/data") == data
    assert shell(vm, "stat -c %a /tmp/data; sha256sum < /tmp/data").split()[0] == "640"
    vm.put("/tmp/data", b"")
    assert vm.get("/tmp/data") == b""
    shell(vm, "rm /tmp/data")


def test_run_carries_input_outputs_and_exit_code(vm: VmHost) -> None:
    data = os.urandom(400_000)
    done = vm.run(["sh", "-c", 'cat; echo "$X $PWD" >&2; exit 7'], stdin=data, env={"X": "y"}, cwd="/tmp")
    assert (done.status, done.out, done.err, done.timed_out) == (7, data, b"y /tmp\n", False)
    pieces: list[tuple[str, bytes]] = []
    vm.run(["sh", "-c", "echo a; sleep 1; echo b"], tell=lambda kind, data: pieces.append((kind, data)))
    assert pieces == [("out", b"a\n"), ("out", b"b\n")]


def test_run_of_nothing_and_run_without_end(vm: VmHost) -> None:
    with pytest.raises(BackendError, match="no-such-program can't be started.*No such file"):
        vm.run(["no-such-program"])
    before_s = uptime_s(vm)
    done = vm.run(["sh", "-c", "echo begun; sleep 1000 & wait"], timeout_s=2)
    assert (done.status, done.out, done.timed_out) == (-signal.SIGKILL, b"begun\n", True)
    assert 2 <= uptime_s(vm) - before_s < 10
    assert "sleep" not in shell(vm, "cat /proc/[0-9]*/comm").split()[:-1]


def test_python_runs_there_with_all_its_modules(vm: VmHost) -> None:
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(sys.version)"
    done = vm.run(["python3", "-I", "-S", "-c", code, *PYTHON_MODULES])
    assert (done.status, done.out.decode().strip(), done.err) == (0, sys.version, b"")


def test_time_stands_still_while_nobody_waits(vm: VmHost) -> None:
    steps = []
    for _ in range(11):
        before_s = uptime_s(vm)
        time.sleep(0.05)
        vm.run(["true"])
        steps.append(uptime_s(vm) - before_s)
    # Most of them, since a busy machine may take too long to stop the guest; one that is left to run is late each time.
    assert statistics.median(steps) < 0.05, steps


def test_time_can_stand_still_beside_a_busy_stream(vm: VmHost) -> None:
    with vm.stream(["sh", "-c", "while :; do :; done"]) as busy:

        def cpu_ticks() -> int:
            return int(vm.read(f"/proc/{busy.pid}/stat").rsplit(")", 1)[1].split()[11])

        with subprocess.Popen(busy.argv, stdin=subprocess.PIPE) as pipe:  # it does not begin before
            while cpu_ticks() < 20:
                time.sleep(0.05)
            with vm.standing():
                before = cpu_ticks()
                time.sleep(1)
                assert cpu_ticks() - before < 20  # a hundred a second
            after = cpu_ticks()
            time.sleep(1)
            assert cpu_ticks() - after > 20
            pipe.kill()


def test_fixed_work_repeats(vm: VmHost) -> None:
    # Thousandths; one run by itself differs by a timer tick or two. On a real clock it would be tens of percents.
    code = "import time; t = time.perf_counter(); sum(range(3000000)); print(time.perf_counter() - t)"
    times = [float(vm.run(["python3", "-I", "-S", "-c", code]).out) for _ in range(4)]
    assert max(times) / min(times) < 1.02, times


def test_agent_works_behind_a_stream(vm: VmHost) -> None:
    vm.put("/tmp/agent.py", AGENT.read_bytes())
    agent = ["python3", "-I", "-S", "/tmp/agent.py", "--root", "/"]
    with vm.stream(agent) as stream, AgentLink(stream.argv) as link:
        assert link.hello["kernel"] == vm.release
        link.request("start", argv=["sleep", "2"], user="nobody")
        event = link.wait("ended", 60)
        assert event is not None and event["runtime_s"] == pytest.approx(2, abs=0.1)
    with vm.stream(agent) as stream:
        process = subprocess.Popen(stream.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        request = {"id": 1, "do": "write", "path": KDAMONDS.strip("/") + "/nr_kdamonds", "value": "2", "below": True}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ok"]
        assert vm.read(KDAMONDS + "nr_kdamonds") == "2"
        process.kill()  # a lost connection: the agent has to undo what it did
        process.communicate()
        with vm.running():
            deadline = time.monotonic() + 60
            while vm.read(KDAMONDS + "nr_kdamonds") != "0":
                assert time.monotonic() < deadline
            while "agent.py" in vm.run(["ps"]).out.decode():
                assert time.monotonic() < deadline


def test_stream_ends_when_the_program_does(vm: VmHost) -> None:
    with (
        vm.stream(["sh", "-c", "read x; echo got $x; exit 3"]) as stream,
        subprocess.Popen(stream.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe,
    ):
        assert pipe.stdin is not None and pipe.stdout is not None
        pipe.stdin.write(b"this\n")
        pipe.stdin.flush()
        assert pipe.stdout.read() == b"got this\n"
    assert pipe.returncode == 0
    with pytest.raises(BackendError, match="no-such-program can't be started"), vm.stream(["no-such-program"]):
        pass


CONTROLLER = """
import sys, time
from pathlib import Path
from damoos.kernel.hosts import kernels, machines, qemu
kernel = kernels.find(sys.argv[1])
host = machines.boot(kernel, qemu.Machine(rest_s=0))
print("booted", flush=True)
host.run(["sleep", "100000000"])
"""


def processes(text: str) -> list[int]:
    """Processes with this text in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def gone(text: str, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while processes(text) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes(text)


def test_says_what_the_console_said_when_the_guest_dies(new_vm_kernel: kernels.Kernel) -> None:
    with machines.boot(new_vm_kernel, qemu.Machine(rest_s=0)) as host:
        with pytest.raises(BackendError, match="the VM is gone: .*Kernel panic - not syncing: sysrq triggered crash"):
            host.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])
        with pytest.raises(BackendError, match="gone"):
            host.read("/proc/uptime")


def controller(kernel: kernels.Kernel, runtime: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "XDG_RUNTIME_DIR": str(runtime)}
    return subprocess.Popen([sys.executable, "-c", CONTROLLER, kernel.series], env=environment, stdout=subprocess.PIPE)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder for XDG_RUNTIME_DIR; one of pytest's may be too long for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="damoos-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("victim", ["controller", "supervisor"])
def test_no_qemu_outlives_a_killed_controller(new_vm_kernel: kernels.Kernel, runtime: Path, victim: str) -> None:
    process = controller(new_vm_kernel, runtime)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"booted\n"
        place = str(runtime / "damoos-vm")
        assert len(processes(place)) == 2  # QEMU and the one that keeps it
        if victim == "supervisor":
            (supervisor,) = processes("supervise.py\0tied\0" + place)
            os.kill(supervisor, signal.SIGKILL)
            assert gone(place, 5)
            assert process.wait(30) != 0  # the controller notices
        else:
            process.kill()
            assert gone(place, 5)
            assert list((runtime / "damoos-vm").iterdir()) == []
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def left(new_vm_kernel: kernels.Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A guest named `here` that stays up; the folder for XDG_RUNTIME_DIR."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        machines.start(new_vm_kernel, qemu.Machine(rest_s=0), "here")
        yield folder
        machines.stop("here")
        assert machines.running() == ()
        assert processes(str(folder)) == []


def test_a_guest_that_stays_remembers(left: Path) -> None:
    with machines.attach("here") as host:
        host.put("/tmp/note", b"kept")
    with machines.attach("here") as host:
        assert host.get("/tmp/note") == b"kept"


def test_one_controller_at_a_time(left: Path) -> None:
    with machines.attach("here"):
        assert [guest.busy for guest in machines.running()] == [True]
        with pytest.raises(BackendError, match="used by another damoos"):
            machines.attach("here")
        with pytest.raises(BackendError, match="used by another damoos"):
            machines.stop("here")
    with machines.attach("here") as host:
        assert host.exists("/proc")


def test_names_are_told_apart(left: Path, new_vm_kernel: kernels.Kernel) -> None:
    with pytest.raises(BackendError, match="a VM named here is running"):
        machines.start(new_vm_kernel, qemu.Machine(), "here")
    with pytest.raises(BackendError, match="no VM named there is running .running: here."):
        machines.attach("there")


def test_a_guest_whose_controller_was_killed_stands_still_and_starts_afresh(left: Path) -> None:
    code = (
        "from damoos.kernel.hosts import machines\n"
        "host = machines.attach('here')\n"
        "host.run(['sh', '-c', 'echo on; while :; do :; done'], tell=lambda *a: print('on', flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"on\n"
    process.kill()
    process.communicate()
    with Qmp(left / "damoos-vm" / "here" / "qmp.sock") as monitor:
        deadline = time.monotonic() + 10
        while monitor.execute("query-status")["running"]:
            assert time.monotonic() < deadline, "it keeps a CPU busy"
            time.sleep(0.1)
    with machines.attach("here") as host:
        assert "while" not in host.run(["ps"]).out.decode()


def test_command_line_runs_in_it(left: Path) -> None:
    def damoos(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "damoos.cli.main", "vm", *arguments],
            input=given,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            timeout=120,
        )

    done = damoos("exec", "-i", "--", "sh", "-c", "cat; echo no >&2; exit 5", given=b"yes\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"yes\n", b"no\n")
    assert damoos("exec", "--timeout", "1", "--", "sleep", "9").stderr == b"damoos: sleep was killed after 1 s\n"
    listed = json.loads(damoos("list", "--json").stdout)
    assert [guest["name"] for guest in listed["running"]] == ["here"]
    assert b"here" in damoos("list").stdout


def test_the_doctor_looks_at_it(left: Path) -> None:
    with machines.attach("here") as host:
        before = host.read_tree(KDAMONDS)
    done = subprocess.run(
        [sys.executable, "-m", "damoos.cli.main", "doctor", "vm:here", "--try"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b""), done
    assert b"ok   features   each was tried\n" in done.stdout and done.stdout.endswith(b"damoos can tune on vm:7.3.\n")
    with machines.attach("here") as host:
        assert host.read_tree(KDAMONDS) == before
