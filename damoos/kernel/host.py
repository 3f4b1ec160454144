"""The tuned machine as a few files: the seam between what we know about DAMON's sysfs and where it is.

Paths are absolute and as the tuned machine names them (`/sys/kernel/mm/damon/...`), whatever folder, pipe or serial
port they go through. Every failure is a HostError with path, value and errno.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from damoos.errors import BackendError, HostError

SWITCH = "DAMOOS_HOST_BACKEND"
"""Environment variable; `off` keeps LocalHost away from the files of this machine's own kernel."""

_KERNEL_FOLDERS = ("/sys", "/proc")


class Host(Protocol):
    """The files of a tuned machine. All methods raise HostError; `exists` only where it can't be told."""

    @property
    def name(self) -> str:
        """As the command line names it: `host`, `vm:7.3`, `ssh:me@there`."""

    def read(self, path: str) -> str:
        """The text of a file without its final newline; EISDIR (or errno 0) for a folder."""

    def write(self, path: str, value: str) -> None:
        """One complete value in one write. The file exists already; it is never created."""

    def listdir(self, path: str) -> list[str]:
        """Names in a folder, sorted."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of this name."""


@runtime_checkable
class TreeReader(Protocol):
    """A host that reads many files in one go; worth having wherever a read is a round trip."""

    def read_tree(self, folder: str) -> dict[str, str]:
        """Every readable file below `folder`: path relative to it -> text without final newline."""


@runtime_checkable
class TableReader(Protocol):
    """A host that reads the same files of many folders in one go."""

    def read_table(self, folder: str, names: Sequence[str]) -> dict[int, list[str]]:
        """The texts of the files `names` in each folder below `folder` whose name is a number, by that number."""


class LocalHost:
    """The files below a folder of this machine: `/` for the machine itself, a fake tree in tests.

    With `DAMOOS_HOST_BACKEND=off` nothing below `/sys` and `/proc` of this machine is opened, however it is reached
    (links and bind mounts included): BackendError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """`host`, and where its root is unless that is the machine's own."""
        return "host" if self.root == Path("/") else f"host:{self.root}"

    def read(self, path: str) -> str:
        """See Host.read."""
        real = self._real(path)
        try:
            return real.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
        except OSError as error:
            raise _host_error(path, error) from error

    def write(self, path: str, value: str) -> None:
        """See Host.write."""
        real = self._real(path)
        # A write of no bytes never reaches a sysfs file; a lone newline does, and means the same.
        data = (value or "\n").encode(errors="surrogateescape")
        try:
            descriptor = os.open(real, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                # Kernel: kernfs hands each write() to the file's store function as one whole value.
                written = os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _host_error(path, error, value) from error
        if written != len(data):
            raise HostError(path, 0, f"only {written} of {len(data)} bytes were taken", value=value)

    def listdir(self, path: str) -> list[str]:
        """See Host.listdir."""
        real = self._real(path)
        try:
            return sorted(os.listdir(real))
        except OSError as error:
            raise _host_error(path, error) from error

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        real = self._real(path)
        try:
            os.stat(real)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _host_error(path, error) from error
        return True

    def _real(self, path: str) -> Path:
        if not path.startswith("/") or ".." in path.split("/"):
            raise HostError(path, errno.EINVAL, "not an absolute path without '..'")
        real = self.root / path.lstrip("/")
        if os.environ.get(SWITCH) == "off" and _is_of_this_kernel(real):
            raise BackendError(
                f"{path}: this machine's own kernel is switched off by {SWITCH}=off in the environment; "
                f"`unset {SWITCH}` turns it on"
            )
        return real


def _is_of_this_kernel(path: Path) -> bool:
    """Whether a path leads to a kernel file system of this machine, by name or through a bind mount; opens nothing."""
    resolved = Path(os.path.realpath(path))
    if any(resolved.is_relative_to(folder) for folder in _KERNEL_FOLDERS):
        return True
    # A file that is not there yet lies on the device of its nearest folder.
    while not os.path.exists(resolved):
        resolved = resolved.parent
    return resolved.stat().st_dev in {os.stat(folder).st_dev for folder in _KERNEL_FOLDERS if os.path.ismount(folder)}


def _host_error(path: str, error: OSError, value: str | None = None) -> HostError:
    reason = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        reason += "; DAMON's files are root's: run it with sudo"
    return HostError(path, error.errno or 0, reason, value=value)


def read_tree(host: Host, folder: str) -> dict[str, str]:
    """Every readable file below `folder`: path relative to it -> text without final newline. Raises HostError.

    In one go where the host can; else folder by folder. Files that may not be read at all are left out.
    """
    if isinstance(host, TreeReader):
        return host.read_tree(folder)
    found: dict[str, str] = {}
    for name in host.listdir(folder):
        path = f"{folder}/{name}"
        try:
            found[name] = host.read(path)
        except HostError as error:
            if _may_be_folder(error):
                found |= {f"{name}/{below}": text for below, text in read_tree(host, path).items()}
            elif error.errno != errno.EACCES:
                raise
    return found


def read_table(host: Host, folder: str, names: Sequence[str]) -> dict[int, list[str]]:
    """The texts of the files `names`, without final newlines, in each folder below `folder` whose name is a number, by
    that number. Raises HostError."""
    if isinstance(host, TableReader):
        return host.read_table(folder, names)
    found = read_tree(host, folder)
    numbers = {path.split("/")[0] for path in found if "/" in path}
    return {int(n): [found[f"{n}/{name}"] for name in names] for n in numbers if n.isdecimal()}


def _may_be_folder(error: HostError) -> bool:
    # Agents know that something is no file before the system says so, and then tell no number.
    return error.errno in (errno.EISDIR, 0)
