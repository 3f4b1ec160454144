"""The conformance suite of backends on real kernels in QEMU, and what only real kernels have."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from damoos.backend.looking import look
from damoos.backend.testing import FAST, RECLAIM, WATCH, WORKLOAD, BackendConformance, kdamonds_of
from damoos.damon.attrs import Intervals, IntervalsGoal
from damoos.damon.filters import Filter
from damoos.damon.quotas import QuotaGoal, Quotas, Watermarks
from damoos.damon.schemes import U32_MAX, Range
from damoos.errors import DamonInUseError, KdamondsError, SetUpError, WorkloadError
from damoos.kernel import abi
from damoos.kernel.backend import KernelBackend
from damoos.kernel.hosts import machines, qemu
from damoos.kernel.hosts.kernels import Kernel
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.place import connect_guest
from damoos.workload import masim
from damoos.workload.attached import attach
from damoos.workload.command import command, metric
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .conftest import on_guest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

MIB = 1 << 20
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
IDLE_THEN_BACK = MasimWorkload(
    name="idle then back",
    regions=(Region("hot", 4 * MIB), Region("idle", 16 * MIB)),
    phases=(
        Phase("both", 300, (Pattern("hot", False, 4096, 1), Pattern("idle", False, 4096, 1))),
        Phase("one", 1_500, (Pattern("hot", False, 4096, 1),)),
        Phase("both again", 700, (Pattern("hot", False, 4096, 1), Pattern("idle", False, 4096, 1))),
    ),
)


def state_of(vm: VmHost) -> tuple[dict[str, str], str, str]:
    return vm.read_tree(abi.KDAMONDS), vm.read(THP), vm.read("/proc/swaps").split("\n")[1].split()[0]


@pytest.fixture(scope="module")
def backend(vm: VmHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelBackend]:
    """A backend on the shared guest, which is as before afterwards. Phases last their time, for exact moments."""
    before = state_of(vm)
    made = on_guest(vm, tmp_path_factory.mktemp("outputs"), Pace(timing="time"))
    yield made
    made.close()
    assert state_of(vm) == before


class TestConformance(BackendConformance):
    deterministic = False
    slack_s = 0.02

    @pytest.fixture(autouse=True)
    def _given(self, backend: KernelBackend) -> None:
        self._backend = backend

    def make_backend(self, *, trace: bool = False) -> KernelBackend:
        return self._backend


def test_memory_goes_and_comes_back(backend: KernelBackend) -> None:
    with backend.start(IDLE_THEN_BACK, kdamonds_of(RECLAIM), 1) as session:
        result = session.finish()
    rss, t_s = result.samples.rss_bytes, result.samples.t_s
    full = rss[(t_s > 0.1) & (t_s < 0.4)].max()
    low = rss[(t_s > 0.4) & (t_s < 1.8)].min()
    back = rss[t_s > 2.2].max()
    assert full - low > 14 * MIB and back - low > 14 * MIB
    assert result.swap_in_bytes > 14 * MIB and result.major_faults > 0
    assert result.rss_last_bytes > low + 14 * MIB


def test_a_workload_may_end_while_something_is_committed(backend: KernelBackend) -> None:
    pattern = dataclasses.replace(RECLAIM.access_pattern, age=Range(20, U32_MAX))
    older = dataclasses.replace(RECLAIM, access_pattern=pattern)
    with backend.start(WORKLOAD, kdamonds_of(RECLAIM), 1) as session:
        session.advance(WORKLOAD.duration_ms / 1000 - 0.3)
        # Each commit takes some ms of the guest.
        commits = 0
        while not session.done:
            session.commit(kdamonds_of(older if commits % 2 else RECLAIM))
            commits += 1
            assert commits < 2_000
        assert commits > 1 and session.finish().runtime_s > WORKLOAD.duration_ms / 1000 - 0.3


def test_a_workload_may_end_while_somebody_waits_for_an_aggregation(backend: KernelBackend) -> None:
    # As an agent that steers: it looks, which takes up to an aggregation, and commits what that tells.
    slow = Intervals(sample_us=100_000, aggr_us=1_200_000, ops_update_us=2_000_000)
    with backend.start(WORKLOAD, kdamonds_of(RECLAIM, intervals=slow), 1) as session:
        session.advance(WORKLOAD.duration_ms / 1000 - 0.5)
        for commits in range(20):
            look(session)
            session.commit(kdamonds_of(RECLAIM, intervals=dataclasses.replace(slow, sample_us=100_000 - commits)))
            if session.done:
                break
            session.advance(0.01)
        assert session.done and session.finish().runtime_s > WORKLOAD.duration_ms / 1000 - 0.5


def test_a_quota_visibly_limits(backend: KernelBackend) -> None:
    # Linux up to 6.12 does not limit the first reset interval, in which nothing is idle yet.
    quota = Quotas(bytes=MIB // 4, reset_interval_ms=200)
    limited = dataclasses.replace(RECLAIM, quotas=quota)
    with backend.start(WORKLOAD, kdamonds_of(limited), 1) as session:
        result = session.finish()
    assert MIB < result.swap_out_bytes <= 5 * MIB  # of 16 MiB, in at most 16 intervals
    assert result.scheme_stats[0].qt_exceeds > 0


def test_a_goal_visibly_drives_the_quota(backend: KernelBackend) -> None:
    def swapped(current: int) -> int:
        goal = QuotaGoal("user_input", target_value=1_000, current_value=current)
        driven = dataclasses.replace(RECLAIM, quotas=Quotas(bytes=64 * MIB, reset_interval_ms=100, goals=(goal,)))
        with backend.start(WORKLOAD, kdamonds_of(driven), 1) as session:
            return session.finish().swap_out_bytes

    hungry, sated = swapped(1), swapped(1_000_000)
    assert hungry > 2 * MIB and hungry > 4 * sated


def test_watermarks_visibly_hold_a_scheme_back(backend: KernelBackend) -> None:
    # Active only below 1 permil of free memory, and looked at once at the start.
    never = Watermarks("free_mem_rate", interval_us=100_000, high=1, mid=1, low=0)
    held = dataclasses.replace(RECLAIM, watermarks=never)
    with backend.start(WORKLOAD, kdamonds_of(held), 1) as session:
        result = session.finish()
    assert result.swap_out_bytes == 0 and result.scheme_stats[0].nr_tried == 0


def test_a_filter_visibly_excludes(backend: KernelBackend) -> None:
    # All that there is belongs to the first target. (Filters of the operations layer do nothing to processes.)
    kept = dataclasses.replace(RECLAIM, core_filters=(Filter("target", matching=True, allow=False),))
    with backend.start(WORKLOAD, kdamonds_of(kept, RECLAIM), 1) as session:
        result = session.finish()
    assert result.scheme_stats[0].sz_applied == 0 < result.scheme_stats[1].sz_applied


def test_intervals_are_visibly_tuned(backend: KernelBackend) -> None:
    goal = IntervalsGoal(access_bp=9_000, aggrs=3, min_sample_us=2_000, max_sample_us=100_000)
    asked = kdamonds_of(WATCH, intervals=dataclasses.replace(FAST, intervals_goal=goal))
    if backend.name == "vm:6.12":
        with pytest.raises(KdamondsError, match="intervals_goal"):
            backend.start(WORKLOAD, asked, 1)
        return
    with backend.start(WORKLOAD, asked, 1) as session:
        session.advance(2.0)
        assert session.snapshot().aggr_us > 1.5 * FAST.aggr_us


def test_a_command_runs_to_its_end(backend: KernelBackend) -> None:
    code = "import sys, time; x = bytearray(b'1') * (32 << 20); time.sleep(1.0); print('score: 7.5', len(x))"
    program = command(["python3", "-I", "-S", "-c", code], metric=metric("output", None, r"score: ([0-9.]+)", "higher"))
    with backend.start(program, kdamonds_of(WATCH), 1) as session:
        result = session.finish()
    assert result.metric == 7.5 and 1.0 <= result.runtime_s < 5.0 and result.phases == ()
    assert result.rss_peak_bytes > 32 * MIB
    assert result.scheme_stats[0].nr_tried > 0  # read while it was there
    kept = list(backend.outputs.glob("*.txt")) if backend.outputs else []
    assert "score: 7.5 33554432\n" in [path.read_text() for path in kept]


@pytest.mark.parametrize(
    ("argv", "timeout_s", "said"),
    [
        (["sh", "-c", "echo oh dear; exit 3"], None, r"exit code 3; it printed: oh dear"),
        (["sleep", "60"], 0.5, "did not end within its timeout"),
        (["/no/such/program"], None, "No such file"),
    ],
)
def test_a_failing_command_says_why(
    backend: KernelBackend, argv: list[str], timeout_s: float | None, said: str
) -> None:
    with pytest.raises(WorkloadError, match=said):
        with backend.start(command(argv, timeout_s=timeout_s), kdamonds_of(WATCH), 1) as session:
            session.finish()
    with pytest.raises(WorkloadError, match="nothing in the output matches"):
        quiet = command(["true"], metric=metric("output", None, "x=(.*)"))
        with backend.start(quiet, None, 1) as session:
            session.finish()


def test_what_runs_already_can_be_watched(backend: KernelBackend, vm: VmHost) -> None:
    group = "/sys/fs/cgroup/watched"
    code = "x = bytearray(16 << 20)\nwhile True: x[::4096] = bytes(4096)"
    vm.run(
        ["sh", "-c", f"mkdir -p {group}; python3 -I -S -c '{code}' > /dev/null 2>&1 & echo $! > {group}/cgroup.procs"]
    )
    pid = vm.read(f"{group}/cgroup.procs").split()[0]
    try:
        results = {}
        for kind, place in (("pid", pid), ("cgroup", group), ("paddr", "")):
            with backend.start(attach(kind, place, 1.5), kdamonds_of(WATCH), 1) as session:  # type: ignore[arg-type]
                results[kind] = session.finish()
        for result in results.values():
            assert result.scheme_stats[0].nr_tried > 0 and result.asked == result.applied
            assert 1.4 < result.runtime_s < 2.0
        assert 16 * MIB < results["pid"].rss_mean_bytes < 40 * MIB
        assert 16 * MIB < results["cgroup"].rss_mean_bytes < 40 * MIB
        assert vm.read(f"{group}/cgroup.procs").split() == [pid]
    finally:
        # Being killed is one thing, being gone another.
        vm.run(["sh", "-c", f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.01; done"], timeout_s=60)
    for nobody, said in ((pid, "not there"), ("2", "has no memory")):
        with pytest.raises(SetUpError, match=said), backend.start(attach("pid", nobody, 1.0), None, 1):
            pass


def test_a_foreign_kdamond_is_left_alone(backend: KernelBackend, vm: VmHost) -> None:
    backend.probe()  # connects, as in the middle of a study
    folder = f"{abi.KDAMONDS}/0/contexts/0"
    for path, value in {
        f"{abi.KDAMONDS}/nr_kdamonds": "1",
        f"{abi.KDAMONDS}/0/contexts/nr_contexts": "1",
        f"{folder}/operations": "vaddr",
        f"{folder}/targets/nr_targets": "1",
        f"{folder}/targets/0/pid_target": "1",
        f"{abi.KDAMONDS}/0/state": "on",
    }.items():
        vm.write(path, value)
    try:
        before = state_of(vm)
        for asked in (None, kdamonds_of(WATCH)):
            with pytest.raises(DamonInUseError, match=f"kdamond 0 of sysfs.*pid {vm.read(f'{abi.KDAMONDS}/0/pid')}"):
                backend.start(WORKLOAD, asked, 1).close()
        assert state_of(vm) == before
    finally:
        vm.write(f"{abi.KDAMONDS}/0/state", "off")
        vm.write(f"{abi.KDAMONDS}/nr_kdamonds", "0")


def test_a_preview_changes_nothing(backend: KernelBackend, vm: VmHost) -> None:
    before = state_of(vm)
    text = backend.preview(kdamonds_of(RECLAIM))
    assert state_of(vm) == before
    assert "nr_kdamonds: 0 -> 1" in text and "pid_target: " in text and "(pid of the workload)" in text
    assert "0/state <- on" in text


def test_kill_9_of_the_agent_at_any_moment(backend: KernelBackend, vm: VmHost) -> None:
    backend.close()
    before = state_of(vm)
    rng = random.Random(5)
    lost = 0
    for _ in range(10 if backend.name == "vm:7.3" else 3):
        agent = str(_agent(backend))
        # Guest time, so that it strikes anywhere from staging to the end of the run.
        vm.run(["sh", "-c", f"(sleep {rng.uniform(0.0, 2.5):.3f}; kill -9 {agent}) > /dev/null 2>&1 &"])
        try:
            with backend.start(IDLE_THEN_BACK, kdamonds_of(RECLAIM), 1) as session:
                session.finish()
        except SetUpError:
            lost += 1
        vm.run(["busybox", "kill", "-9", agent])
        backend.close()
    assert lost >= 2
    assert backend.probe().kernel  # connects again, which undoes the rest
    backend.close()
    assert state_of(vm) == before
    assert "touch_run" not in vm.run(["busybox", "ps"]).out.decode()


def _agent(backend: KernelBackend) -> int:
    place = backend.pool.take()
    backend.pool.give_back(place, good=True)
    return int(place.link.hello["pid"])


def test_outputs_are_named_after_what_ran(backend: KernelBackend) -> None:
    assert backend.outputs is not None
    with backend.start(command(["echo", "plain"]), None, 42) as session:
        session.finish()
    assert (backend.outputs / "none-seed42.txt").read_text() == "plain\n"


CONTROLLER = """
import sys
from damoos.backend.registry import open_backend
from damoos.backend.testing import RECLAIM, kdamonds_of
from damoos.workload.masim import parse
program = parse(sys.argv[2], "busy")
backend = open_backend("vm:" + sys.argv[1], timing="time")
print("here", flush=True)
while True:
    with backend.start(program, kdamonds_of(RECLAIM), 1) as session:
        print("runs", flush=True)
        session.finish()
"""


def test_kill_9_of_the_controller_at_any_moment(new_vm_kernel: Kernel) -> None:
    name = f"killed-{os.getpid()}"
    machines.start(new_vm_kernel, qemu.Machine(memory_mib=512, zram_mib=256), name)
    try:
        with machines.attach(name) as vm:
            before = state_of(vm)
        rng = random.Random(7)
        left = 0
        for number in range(10):
            argv = [sys.executable, "-c", CONTROLLER, name, masim.dumps(IDLE_THEN_BACK)]
            with subprocess.Popen(argv, stdout=subprocess.PIPE) as controller:
                assert controller.stdout is not None and controller.stdout.readline() == b"here\n"
                # Anywhere from connecting on, and, however slow this machine is, from a running workload on.
                if number % 2:
                    assert controller.stdout.readline() == b"runs\n"
                time.sleep(rng.uniform(0.0, 4.0))
                controller.kill()
            # Its guest stands still from then on; the next one finds what it left and undoes it.
            with machines.attach(name) as vm:
                left += state_of(vm) != before
            connect_guest(name).close()
            with machines.attach(name) as vm:
                assert state_of(vm) == before
                assert not vm.exists("/run/damoos/agent.journal")
                assert "touch_run" not in vm.run(["busybox", "ps"]).out.decode()
        assert left >= 2
    finally:
        machines.stop(name)
