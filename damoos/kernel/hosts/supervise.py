"""Keeps QEMU on a leash: `python3 supervise.py tied|free FOLDER QEMU ARGUMENTS...`; standard library only.

Tied, QEMU ends when standard input ends or the parent process is gone, however it went, and FOLDER is then removed.
Free, it goes on in the background; while nobody holds FOLDER/lock its time stands still.
Either way QEMU does not outlive the process that keeps it, which holds FOLDER/alive locked as long as QEMU runs. The
exit code is QEMU's if tied.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys

LOOK_S = 1.0
STOP_S = 30.0  # QEMU may be busy; a stop that comes after the lock is given back would stop the next one's guest
PR_SET_PDEATHSIG = 1


def bind_to(keeper: int) -> None:
    """In a child of `keeper`: die when it does, also if it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(1)


def locked(path: str) -> int | None:
    """A descriptor that holds the lock at `path`; None if somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def stop_time(folder: str) -> None:
    """Stops the guest unless somebody uses it: a guest left alone would keep a CPU of this machine busy."""
    lock = locked(folder + "/lock")
    if lock is None:
        return
    try:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(STOP_S)
            monitor.connect(folder + "/leash.sock")
            monitor.sendall(b'{"execute": "qmp_capabilities"}\n{"execute": "stop"}\n')
            answers = b""
            while answers.count(b'"return"') < 2:
                data = monitor.recv(65536)
                if not data:
                    return
                answers += data
    except OSError:
        pass  # QEMU starts or ends just now
    finally:
        os.close(lock)


def supervise(tied: bool, folder: str, command: list[str]) -> int:
    parent = os.getppid()
    alive = locked(folder + "/alive")
    if alive is None:
        return 1
    if not tied and os.fork() != 0:
        return 0  # the lock is the child's too
    keeper = os.getpid()
    with open(folder + "/qemu.log", "wb") as log:
        qemu = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=lambda: bind_to(keeper)
        )
    poll = select.poll()
    poll.register(os.pidfd_open(qemu.pid), select.POLLIN)
    if tied:
        poll.register(0, select.POLLIN)
    while qemu.poll() is None:
        ready = dict(poll.poll(LOOK_S * 1000))
        if tied and ((0 in ready and not os.read(0, 1)) or os.getppid() != parent):
            qemu.kill()
            qemu.wait()
            shutil.rmtree(folder, ignore_errors=True)
        elif not tied:
            stop_time(folder)
    return qemu.returncode


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the terminal's; QEMU must live until things are undone
    sys.exit(supervise(sys.argv[1] == "tied", sys.argv[2], sys.argv[3:]))
