"""Whoever uses DAMON is found and named, and nobody is disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, DamonInUseError
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.guards import HostLock, damon_users, lock_holder, lock_path, refuse_if_used
from damoos.kernel.host import LocalHost
from damoos.kernel.patience import Patience

from .fake import FakeTree

QUICK = Patience(0.02, 0.0)


def test_a_free_machine_is_free() -> None:
    for host in (FakeTree("6.12"), FakeTree("7.3")):
        refuse_if_used(host, QUICK)
        assert damon_users(host, QUICK) == () and host.writes == []


def test_a_machine_without_damon_is_free(tmp_path: Path) -> None:
    assert damon_users(LocalHost(tmp_path), QUICK) == ()


def test_staged_but_off_is_free() -> None:
    host = FakeTree()
    Control(host, abi.files_of("7.3"), QUICK).stage(Kdamonds.of(), [100])
    refuse_if_used(host, QUICK)


def test_a_kdamond_that_runs_is_named_with_its_pid_and_how_to_end_it() -> None:
    host = FakeTree()
    control = Control(host, abi.files_of("7.3"), QUICK)
    control.stage(Kdamonds.of(), [100])
    control.turn_on()
    before, host.writes = dict(host.files), []
    with pytest.raises(DamonInUseError, match=rf"kdamond 0 .*pid 4000.*echo off > {abi.KDAMONDS}/0/state") as caught:
        refuse_if_used(host, QUICK)
    assert caught.value.exit_code == 2 and isinstance(caught.value, BackendError)
    assert host.files == before and host.writes == []


@pytest.mark.parametrize("module", abi.MODULE_USERS)
def test_a_module_that_runs_is_named(module: str) -> None:
    host = FakeTree("7.3")
    host.files[f"/sys/module/{module}/parameters/enabled"] = "Y"
    host.files[f"/sys/module/{module}/parameters/kdamond_pid"] = "31"
    with pytest.raises(DamonInUseError, match=rf"{module.upper()} \(pid 31\).*echo N > /sys/module/{module}/"):
        refuse_if_used(host, QUICK)


def test_a_module_of_a_kernel_that_tells_no_pid() -> None:
    host = FakeTree("7.3")
    host.files["/sys/module/damon_stat/parameters/enabled"] = "Y"
    del host.files["/sys/module/damon_stat/parameters/kdamond_pid"]
    assert [(user.what, user.pid) for user in damon_users(host, QUICK)] == [("DAMON_STAT", None)]


def test_the_old_debugfs_interface_counts() -> None:
    host = FakeTree("6.12")
    host.files["/sys/kernel/debug/damon/monitor_on_DEPRECATED"] = "on"
    assert "debugfs" in str(damon_users(host, QUICK)[0])


def test_a_lock_that_stays_taken_counts_as_in_use() -> None:
    host = FakeTree()
    Control(host, abi.files_of("7.3"), QUICK).stage(Kdamonds.of(), [100])
    host.busy = 10**9
    assert "lock is taken" in str(damon_users(host, QUICK)[0])


def test_only_one_holds_the_lock_of_a_host(tmp_path: Path) -> None:
    path = lock_path(tmp_path)
    assert lock_holder(path) is None
    with HostLock(path):
        assert lock_holder(path) == str(os.getpid())
        with pytest.raises(DamonInUseError, match=r"pid \d+"):
            HostLock(path).acquire()
    with HostLock(path) as lock:
        lock.release()
        lock.release()
        assert lock_holder(path) is None


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib; from damoos.kernel.guards import HostLock; lock = HostLock(pathlib.Path(sys.argv[1]));"
        "lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(DamonInUseError, match=f"pid {holder.pid}"):
            HostLock(path).acquire()
        holder.kill()
    with HostLock(path):
        pass


def test_a_lock_that_can_not_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="can't lock"):
        HostLock(tmp_path / "file" / "lock").acquire()
