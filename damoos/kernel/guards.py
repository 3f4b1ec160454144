"""Who uses DAMON on a machine, and keeping others of ours away from it.

DAMON's users exclude each other in the kernel only in part: two kdamonds of sysfs run side by side and clear each
other's accessed bits, and any write to `nr_kdamonds` throws away what somebody else has staged. So damoos starts only
where nobody is, and never frees a machine by itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from damoos.errors import BackendError, DamonInUseError, HostError

from . import abi
from .host import Host
from .patience import Patience

# Kernel: the debugfs interface of DAMON, deprecated in 6.9 (with the longer name) and removed in 6.14.
_DEBUGFS = "/sys/kernel/debug/damon"
_DEBUGFS_SWITCHES = (f"{_DEBUGFS}/monitor_on", f"{_DEBUGFS}/monitor_on_DEPRECATED")


@dataclass(frozen=True)
class DamonUser:
    """Somebody who uses DAMON now: what it is, its kdamond's pid (None if not told), the line that frees it."""

    what: str
    pid: int | None
    how_to_free: str

    def __str__(self) -> str:
        pid = f" (pid {self.pid})" if self.pid is not None else ""
        return f"{self.what}{pid} uses DAMON; to free it: {self.how_to_free}"


def damon_users(host: Host, patience: Patience | None = None) -> tuple[DamonUser, ...]:
    """Everybody who uses DAMON on a host: kdamonds of sysfs, kernel modules, debugfs. Raises HostError.

    A kdamond whose state can't be read because the lock of sysfs stays taken counts as in use.
    """
    wait = patience if patience is not None else Patience()
    return (*_kdamonds(host, wait), *_modules(host), *_debugfs(host))


def refuse_if_used(host: Host, patience: Patience | None = None) -> None:
    """Raises DamonInUseError that names everybody who uses DAMON on a host, and how to free it."""
    users = damon_users(host, patience)
    if users:
        raise DamonInUseError("; ".join(str(user) for user in users))


def _kdamonds(host: Host, wait: Patience) -> list[DamonUser]:
    if not host.exists(abi.KDAMONDS):
        return []
    found = []
    for number in range(int(wait(partial(host.read, f"{abi.KDAMONDS}/nr_kdamonds")))):
        folder = f"{abi.KDAMONDS}/{number}"
        free = f"echo off > {folder}/state (or `damo stop`)"
        try:
            if wait(partial(host.read, f"{folder}/state")) == "on":
                pid = int(wait(partial(host.read, f"{folder}/pid")))
                found.append(DamonUser(f"kdamond {number} of sysfs", pid, free))
        except HostError as error:
            if error.errno != errno.EBUSY:
                raise
            found.append(DamonUser(f"kdamond {number} of sysfs, whose lock is taken,", None, free))
    return found


def _modules(host: Host) -> list[DamonUser]:
    found = []
    for module in abi.MODULE_USERS:
        parameters = f"{abi.MODULE}/{module}/parameters"
        if not host.exists(f"{parameters}/enabled"):
            continue
        pid = int(host.read(f"{parameters}/kdamond_pid")) if host.exists(f"{parameters}/kdamond_pid") else -1
        # A module may be switched on and its kdamond be gone, or the other way round for a moment: both are in use.
        if host.read(f"{parameters}/enabled") == "Y" or pid > 0:
            free = f"echo N > {parameters}/enabled"
            found.append(DamonUser(module.upper(), pid if pid > 0 else None, free))
    return found


def _debugfs(host: Host) -> list[DamonUser]:
    try:
        on = [path for path in _DEBUGFS_SWITCHES if host.exists(path) and host.read(path) == "on"]
    except HostError as error:
        # Only root may look below /sys/kernel/debug, and nobody else can start DAMON anyway.
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise
        return []
    return [DamonUser("DAMON's debugfs interface", None, f"echo off > {path}") for path in on]


def lock_path(root: Path) -> Path:
    """Where the lock of the host with this root is: the same for all its users, gone with a restart."""
    return root / "run" / "damoos" / "lock"


def lock_holder(path: Path) -> str | None:
    """The pid of the damoos that holds a lock ("unknown" if it has not said yet); None if nobody does.

    Takes nothing. None also where the lock may not be looked at, as by others than root.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


class HostLock:
    """One damoos a host: a lock on a file, gone with its process however that ends. Use as a context manager.

    `path` has to be the same for all users of the host (`lock_path`); its folders are made as needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock without waiting. Raises DamonInUseError with the holder's pid, BackendError."""
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BackendError(f"{self.path}: can't lock the host: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise DamonInUseError(
                f"another damoos (pid {holder}) works on this host and holds {self.path}; wait for it or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back; may be called more than once. The file stays: removing it would let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
