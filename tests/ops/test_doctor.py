"""What the doctor says of machines that are healthy, lack something, or are in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.errors import DamonInUseError, HostError
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.guards import HostLock, lock_path
from damoos.kernel.hosts import kernels, qemu
from damoos.kernel.journal import JournalingHost, agent_journal_path, journal_path
from damoos.kernel.patience import Patience
from damoos.ops import doctor
from damoos.ops.doctor import Diagnosis, Finding, Verdict
from damoos.ops.sites import LocalSite
from damoos.ops.undo import undo
from tests.kernel.fake import FakeTree

QUICK = Patience(0.05, 0.0)
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
HEALTHY = {
    "/proc/swaps": f"{SWAPS}\n/dev/zram0                              partition\t262140\t0\t-2",
    "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
    "/sys/devices/system/node/has_memory": "0-1",
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LOOK", QUICK)


def machine(kernel: str = "7.3") -> FakeTree:
    host = FakeTree(kernel)
    host.files |= HEALTHY
    return host


def examine(host: FakeTree, root: Path, *, try_words: bool = False) -> Diagnosis:
    return doctor.examine(LocalSite(root, host), try_words=try_words)


def named(found: tuple[Finding, ...], name: str) -> list[Finding]:
    return [finding for finding in found if finding.name == name]


def test_a_healthy_machine_is_ready_and_nothing_is_written(tmp_path: Path) -> None:
    host = machine()
    diagnosis = examine(host, tmp_path)
    assert diagnosis.ready and diagnosis.kernel == "7.3.4-amd64"
    of_the_machine = [finding for finding in diagnosis.findings if finding.name not in ("rights", "vm")]
    assert {finding.verdict for finding in of_the_machine} == {Verdict.OK}
    assert host.writes == [] and list(tmp_path.iterdir()) == []


def test_an_older_kernel_lacks_things_and_says_since_when(tmp_path: Path) -> None:
    diagnosis = examine(machine("6.12"), tmp_path)
    assert diagnosis.ready
    lacks = {finding.fix: finding.found for finding in named(diagnosis.findings, "lacks")}
    assert list(lacks)[0] == "Linux 6.14 or newer" and list(lacks)[-1] == "Linux 7.3 or newer"
    assert "intervals_goal" in lacks["Linux 6.15 or newer"]
    assert "action=collapse" in lacks["Linux 7.2 or newer"]
    assert all(finding.verdict is Verdict.NOTE for finding in named(diagnosis.findings, "lacks"))


@pytest.mark.parametrize(
    ("path", "text", "name", "means", "fix"),
    [
        ("/proc/swaps", SWAPS, "swap", "only memory of files", "zram"),
        ("/proc/swaps", None, "swap", "only memory of files", "zram"),
        ("/proc/pressure/memory", None, "pressure", "never met", "psi=1"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]", "huge pages", "does nothing", "tee"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never", "huge pages", "all memory", "tee"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", None, "huge pages", "do nothing", "CONFIG_TRANSPARENT"),
        ("/sys/fs/cgroup/cgroup.controllers", None, "cgroups", "can't be measured", "unified"),
        ("/sys/fs/cgroup/cgroup.controllers", "cpu io", "cgroups", "can't be measured", "cgroup_disable"),
        ("/sys/devices/system/node/has_memory", "0", "nodes", "nowhere", "vm"),
        ("/sys/devices/system/node/has_memory", None, "nodes", "nowhere", "vm"),
    ],
)
def test_what_is_missing_is_noted_with_its_fix(
    path: str, text: str | None, name: str, means: str, fix: str, tmp_path: Path
) -> None:
    host = machine()
    host.files.pop(path)
    if text is not None:
        host.files[path] = text
    diagnosis = examine(host, tmp_path)
    (finding,) = named(diagnosis.findings, name)
    assert finding.verdict is Verdict.NOTE and means in finding.means and fix in finding.fix
    assert diagnosis.ready


def test_swap_is_named_with_its_kind_and_size(tmp_path: Path) -> None:
    host = machine()
    host.files["/proc/swaps"] += "\n/swap\\040file file 2097148 0 -3"
    (swap,) = named(examine(host, tmp_path).findings, "swap")
    assert swap.found == "/dev/zram0 (memory, compressed, 255 MiB), /swap\\040file (file, 2047 MiB)"


def test_who_is_not_root_needs_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, verdict, fix in ((0, Verdict.OK, ""), (1000, Verdict.NOTE, "sudo")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        (rights,) = named(examine(machine(), tmp_path).findings, "rights")
        assert rights.verdict is verdict and rights.fix.startswith(fix)


def test_what_virtual_machines_need_is_named_with_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def found() -> Finding:
        (vm,) = named(examine(machine(), tmp_path).findings, "vm")
        return vm

    assert found().verdict is Verdict.NOTE
    assert found().fix == "sudo apt install qemu-system-x86 busybox-static; damoos vm fetch"
    for program in (qemu.PROGRAM, "busybox"):
        (tmp_path / program).touch(0o755)
    assert found().found == "no kernel" and found().fix == "damoos vm fetch"
    monkeypatch.setattr(kernels, "cached", lambda: (kernels.Kernel("6.12.1-x", tmp_path, None),))
    for problem, means in ((None, "if KVM works"), ("/dev/kvm: Permission denied", "Permission denied")):
        monkeypatch.setattr(qemu, "kvm_problem", lambda problem=problem: problem)
        assert found().verdict is Verdict.OK and found().found == "Linux 6.12" and means in found().means


def test_an_agents_journal_is_left_over_too(tmp_path: Path) -> None:
    agent_journal_path(tmp_path).parent.mkdir(parents=True)
    agent_journal_path(tmp_path).write_text("")
    (finding,) = named(examine(machine(), tmp_path, try_words=True).findings, "left over")
    assert finding.found == "/run/damoos/agent.journal" and finding.fix == "sudo damoos doctor --restore"


def test_pressure_that_is_switched_off_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine()
    real = host.read

    def read(path: str) -> str:
        if path == "/proc/pressure/memory":
            raise HostError(path, 95, "Operation not supported")
        return real(path)

    monkeypatch.setattr(host, "read", read)
    assert named(examine(host, tmp_path).findings, "pressure")[0].verdict is Verdict.NOTE


def test_a_kernel_without_damon(tmp_path: Path) -> None:
    host = machine()
    del host.files[f"{abi.KDAMONDS}/nr_kdamonds"]
    diagnosis = examine(host, tmp_path)
    assert not diagnosis.ready
    assert "CONFIG_DAMON_SYSFS" in named(diagnosis.findings, "DAMON")[0].fix


def test_without_root_it_says_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine()
    real = host.read

    def read(path: str) -> str:
        if path.startswith(abi.KDAMONDS):
            raise HostError(path, 13, "Permission denied")
        return real(path)

    monkeypatch.setattr(host, "read", read)
    diagnosis = examine(host, tmp_path)
    assert not diagnosis.ready and named(diagnosis.findings, "DAMON")[0].fix.startswith("sudo")
    assert named(diagnosis.findings, "swap")[0].verdict is Verdict.OK


def test_who_runs_damon_is_named_and_left_alone(tmp_path: Path) -> None:
    host = machine()
    control = Control(host, abi.files_of("7.3"), QUICK)
    control.stage(Kdamonds.of(), [100])
    control.turn_on()
    host.files["/sys/module/damon_stat/parameters/enabled"] = "Y"
    before, host.writes = dict(host.files), []
    diagnosis = examine(host, tmp_path, try_words=True)
    found = named(diagnosis.findings, "in use")
    assert [finding.verdict for finding in found] == [Verdict.BAD, Verdict.BAD]
    assert "kdamond 0" in found[0].found and "4000" in found[0].found and "echo off" in found[0].fix
    assert "DAMON_STAT" in found[1].found and "echo N" in found[1].fix
    assert not diagnosis.ready and host.files == before and host.writes == []


def test_trying_tells_more_and_puts_everything_back(tmp_path: Path) -> None:
    host = machine()
    Control(host, abi.files_of("7.3"), QUICK).stage(Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT]), [100])
    before = dict(host.files)
    guess, tried = examine(host, tmp_path), examine(host, tmp_path, try_words=True)
    assert "--try" in named(guess.findings, "features")[0].means
    assert named(tried.findings, "features")[0].found == "each was tried"
    assert named(guess.findings, "actions") == named(tried.findings, "actions")
    assert host.files == before and not journal_path(tmp_path).exists()


def test_what_a_dead_damoos_left_is_told_and_undone(tmp_path: Path) -> None:
    host = machine()
    before = dict(host.files)
    control = Control(JournalingHost(host, journal_path(tmp_path), QUICK), abi.files_of("7.3"), QUICK)
    control.stage(Kdamonds.of(), [100])
    control.turn_on()
    diagnosis = examine(host, tmp_path, try_words=True)
    assert not diagnosis.ready and "--restore" in named(diagnosis.findings, "left over")[0].fix
    assert undo(LocalSite(tmp_path, host)).own.stopped == (0,)
    assert host.files == before and examine(host, tmp_path).ready
    assert undo(LocalSite(tmp_path, host)).own.note == "nothing to undo"


def test_a_damoos_that_works_is_not_undone(tmp_path: Path) -> None:
    host = machine()
    with HostLock(lock_path(tmp_path)), JournalingHost(host, journal_path(tmp_path), QUICK):
        diagnosis = examine(host, tmp_path)
        assert "another damoos" in named(diagnosis.findings, "in use")[0].found and not diagnosis.ready
        with pytest.raises(DamonInUseError):
            undo(LocalSite(tmp_path, host))
        assert journal_path(tmp_path).exists()


def test_without_vaddr_there_is_nothing_to_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine()
    real = host.read
    monkeypatch.setattr(host, "read", lambda path: "paddr" if path.endswith("avail_operations") else real(path))
    diagnosis = examine(host, tmp_path, try_words=True)
    (vaddr,), (paddr,) = named(diagnosis.findings, "vaddr"), named(diagnosis.findings, "paddr")
    assert vaddr.verdict is Verdict.BAD and paddr.verdict is Verdict.OK and not diagnosis.ready
