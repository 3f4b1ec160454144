"""Boots guests, and keeps track of those that stay: one folder each, with sockets, console and a description.

A guest that `boot` returns ends with this process, however that ends. One that `start` leaves behind stays up, its time
standing still, until `stop`; only one controller uses it at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damoos.errors import BackendError, ConfigError

from . import qemu
from .image import image_for
from .kernels import Kernel
from .qmp import Qmp
from .vm import VmHost
from .wire import Wire

FORMAT = 1
BOOT_S = 300.0
_SUPERVISOR = Path(__file__).with_name("supervise.py")
_SOCKET_PATH_MAX = 107
_END_S = 30.0
_WITHOUT_KVM = "without --accel kvm the VM runs in virtual time"
# A session of its own, since Ctrl-C is the controller's.
_APART: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_CONSOLE_LINES = 6


@dataclass(frozen=True)
class Running:
    """A guest that `start` left: its name, kernel and machine; `busy` while a controller uses it."""

    name: str
    release: str
    machine: qemu.Machine
    busy: bool


def boot(kernel: Kernel, machine: qemu.Machine) -> VmHost:
    """A fresh guest, which ends when the host is closed or this process does. Raises BackendError."""
    folder = Path(tempfile.mkdtemp(prefix="boot-", dir=_base()))
    try:
        process = subprocess.Popen(_command(kernel, machine, folder, "tied"), stdin=subprocess.PIPE, **_APART)
        return _connect(folder, kernel, machine, lambda: process.poll() is None, lambda: _end(process, folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def start(kernel: Kernel, machine: qemu.Machine, name: str) -> None:
    """Boots a guest that stays until `stop(name)`. Raises ConfigError for the name, BackendError."""
    if not _NAME.fullmatch(name):
        raise ConfigError("not a name", field="name", value=name, allowed="up to 32 letters, digits, '.', '_', '-'")
    folder = _folder(name)
    if folder.exists() and _is_locked(folder / "alive"):
        raise BackendError(f"a VM named {name} is running; `damoos vm stop {name}` ends it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    description = {"format": FORMAT, "release": kernel.release, "machine": dataclasses.asdict(machine)}
    (folder / "vm.json").write_text(json.dumps(description), encoding="utf-8")
    lock = _lock(folder, name)
    try:
        subprocess.run(_command(kernel, machine, folder, "free"), stdin=subprocess.DEVNULL, check=True, **_APART)
        _connect(folder, kernel, machine, lambda: _is_locked(folder / "alive"), lambda: None).close()
    except BaseException:
        _quit(folder)
        raise
    finally:
        os.close(lock)


def attach(name: str) -> VmHost:
    """A guest that `start` left, for this process alone until the host is closed. Raises BackendError."""
    found = _running(name)
    folder = _folder(name)
    lock = _lock(folder, name)
    try:
        # The guest answers only while its time passes; VmHost then stops it again.
        with Qmp(folder / "qmp.sock") as monitor:
            monitor.execute("cont")
        series = Kernel(found.release, Path(), None).series
        wire = Wire(folder / "control.sock", lambda: _why(folder))
        return VmHost(folder, series, found.machine.time_kind, wire, lambda: os.close(lock))
    except BaseException:
        os.close(lock)
        raise


def running() -> tuple[Running, ...]:
    """The guests that `start` left, by name."""
    found = []
    for file in sorted(_base().glob("*/vm.json")):
        if _is_locked(file.parent / "alive"):
            found.append(_described(file))
    return tuple(found)


def stop(name: str) -> None:
    """Switches a guest off and forgets it. Raises BackendError if there is none, or if a controller uses it."""
    _running(name)
    folder = _folder(name)
    lock = _lock(folder, name)
    try:
        _quit(folder)
    finally:
        os.close(lock)


def _described(file: Path) -> Running:
    tree = json.loads(file.read_text(encoding="utf-8"))
    if tree["format"] != FORMAT:
        raise BackendError(f"{file} has format {tree['format']}, this damoos knows {FORMAT}")
    values = {**tree["machine"], "append": tuple(tree["machine"]["append"])}
    folder = file.parent
    return Running(folder.name, tree["release"], qemu.Machine(**values), _is_locked(folder / "lock"))


def _running(name: str) -> Running:
    guests = {guest.name: guest for guest in running()}
    if name not in guests:
        known = ", ".join(guests) or "none"
        raise BackendError(f"no VM named {name} is running (running: {known}); `damoos vm start` starts one")
    return guests[name]


def _base() -> Path:
    # Ours alone: whoever can reach the sockets is root in the guests.
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) / "damoos-vm" if runtime else Path(tempfile.gettempdir()) / f"damoos-vm-{os.geteuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = base.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise BackendError(f"{base} is open to others; remove it, or set XDG_RUNTIME_DIR")
    return base


def _folder(name: str) -> Path:
    return _base() / name


def _command(kernel: Kernel, machine: qemu.Machine, folder: Path, leash: str) -> list[str]:
    if len(str(folder / "control.sock")) > _SOCKET_PATH_MAX:
        raise BackendError(f"{folder} is too long a path for a socket; set XDG_RUNTIME_DIR to a shorter one")
    if machine.accel == "kvm" and (problem := qemu.kvm_problem()):
        raise BackendError(f"{problem}; {_WITHOUT_KVM}")
    command = qemu.command(kernel, image_for(kernel), machine, folder)
    return [sys.executable, "-I", "-S", str(_SUPERVISOR), leash, str(folder), *command]


def _connect(
    folder: Path,
    kernel: Kernel,
    machine: qemu.Machine,
    alive: Callable[[], bool],
    close: Callable[[], None],
) -> VmHost:
    try:
        deadline = time.monotonic() + BOOT_S
        while not (folder / "leash.sock").exists():  # the last that QEMU makes
            if not alive() or time.monotonic() > deadline:
                raise BackendError(f"QEMU does not start{_why(folder)}")
            time.sleep(0.02)
        wire = Wire(folder / "control.sock", lambda: _why(folder), BOOT_S)
        try:
            return VmHost(folder, kernel.series, machine.time_kind, wire, close)
        except BaseException:
            wire.close()
            raise
    except BaseException as error:
        close()
        if machine.accel == "kvm" and isinstance(error, BackendError):
            raise BackendError(f"{error}; KVM seems not to work here: {_WITHOUT_KVM}") from error
        raise


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.stdin is not None
    process.stdin.close()  # the supervisor ends QEMU and removes the folder
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _quit(folder: Path) -> None:
    # Ends the QEMU of a folder, if it runs, and removes the folder. Raises BackendError if it does not end.
    with contextlib.suppress(BackendError), Qmp(folder / "qmp.sock") as monitor:
        monitor.execute("quit")  # it may hang up before it answers
    deadline = time.monotonic() + _END_S
    while _is_locked(folder / "alive"):
        if time.monotonic() > deadline:
            raise BackendError(f"the VM in {folder} does not end")
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def _why(folder: Path) -> str:
    # The last lines of QEMU's own messages and of the guest's console.
    lines: list[str] = []
    for name in ("qemu.log", "console.log"):
        with contextlib.suppress(OSError):
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            text = re.sub(r"(Kernel panic[^\n]*).*", r"\1", text, flags=re.DOTALL)  # what follows are registers
            lines += [line.strip() for line in text.splitlines() if line.strip()][-_CONSOLE_LINES:]
    return ": " + " | ".join(lines) if lines else ""


def _lock(folder: Path, name: str) -> int:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # The supervisor of an idle guest takes this lock for a moment, to stop the guest's time.
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise BackendError(
                    f"the VM {name} is used by another damoos; trials on one host never overlap"
                ) from None
            time.sleep(0.02)


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
