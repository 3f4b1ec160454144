"""The guest's side of a VM: serves requests as JSON lines on a virtio port. Runs as process 1, standard library only.

A request is {"id": number, "do": NAME, ...}, its reply {"id", ...} or {"id", "error", "errno"}. Requests are served in
order, one at a time; a write to a file of DAMON may take as long as kdamond makes it wait.

hello                                   "release"; whoever greets starts afresh: what runs is killed
read PATH  write PATH VALUE             "value" (as the file has it); a write never creates a file and is one call
list PATH  exists PATH  tree PATH       "names"; "exists"; "files": {path below PATH: text}, unreadable ones left out
put PATH DATA [append] [mode]           creates or replaces a file; data in base64
get PATH OFFSET SIZE                    "data" in base64, empty at the end
run ARGV [env] [cwd] [timeout_s]        "pid"; its input is sent with `input`. Events follow
stream ARGV [env] [cwd]                 "pid"; input and output are the second port
input PID DATA                          for `run`; empty data ends its input
kill PID SIGNAL

With "hold": true the one who asks is about to stop the guest's time when it has the answer (for `run`: the status).
Until that happens the CPU is kept busy, since virtual time leaps ahead on an idle one.

Events: {"pid", "out" or "err": base64}, {"pid", "status": exit code or -signal, "timed_out"} when it has ended and its
output is sent. When the other side hangs up, everything that runs is killed.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import select
import shutil
import signal
import time
from typing import Any

CONTROL, STREAM = "damoos.control", "damoos.stream"
CHUNK = 1 << 16
HANG_UP_S = 0.2
HOLD_S = 1.0  # longer than it takes to stop the time, and the most that is wasted if nobody does
CONNECT_S = 0.01
ANSWER_S = 1.0  # for who asks; long enough for a kernel thread to get its turn on a busy CPU
BUSY_S = 1.0


def port(name: str) -> str:
    """The device of a virtio port. Raises FileNotFoundError."""
    for device in os.listdir("/sys/class/virtio-ports"):
        with open("/sys/class/virtio-ports/" + device + "/name") as file:
            if file.read().strip() == name:
                return "/dev/" + device
    raise FileNotFoundError(errno.ENOENT, "no such virtio port", name)


class Child:
    """A process that was asked for, with the ends of its pipes that are still open."""

    def __init__(self, pid: int, pipes: dict[str, int], deadline: float | None, hold: bool = False) -> None:
        self.pid = pid
        self.hold = hold
        self.pipes = pipes
        self.pending = b""
        self.input_ended = False
        self.deadline = deadline
        self.timed_out = False
        self.status: int | None = None

    def close(self, kind: str) -> None:
        os.close(self.pipes.pop(kind))

    def feed(self) -> None:
        """Writes what its input takes now, and closes it at the end."""
        if "in" not in self.pipes:
            return
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.pipes["in"], self.pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.pending, self.input_ended = b"", True
        if self.input_ended:
            self.close("in")


class Server:
    """Requests in, replies and events out, until the machine is switched off."""

    def __init__(self) -> None:
        self.fd = os.open(port(CONTROL), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.children: dict[int, Child] = {}
        self.received = b""
        self.hold_until = 0.0
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            poll.register(self.woken, select.POLLIN)
            for child in self.children.values():
                for kind, fd in child.pipes.items():
                    if kind != "in" or child.pending:
                        poll.register(fd, select.POLLOUT if kind == "in" else select.POLLIN)
            ready = dict(poll.poll(self._patience_ms()))
            if self.woken in ready:
                os.read(self.woken, CHUNK)
            self._reap()
            for child in list(self.children.values()):
                self._tend(child, ready)
            if self.fd in ready:
                self._receive()

    def _patience_ms(self) -> float | None:
        if time.monotonic() < self.hold_until:
            return 0
        times = [child.deadline for child in self.children.values() if child.deadline is not None]
        return max(0.0, (min(times) - time.monotonic()) * 1000 + 1) if times else None

    def _reap(self) -> None:
        # As process 1 it also inherits what others left behind.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.children:
                self.children[pid].status = os.waitstatus_to_exitcode(status)

    def _tend(self, child: Child, ready: dict[int, int]) -> None:
        if child.deadline is not None and time.monotonic() >= child.deadline:
            child.deadline, child.timed_out = None, True
            self._signal(child, signal.SIGKILL)
        child.feed()
        for kind in ("out", "err"):
            if child.pipes.get(kind) in ready:
                self._relay(child, kind)
        if child.status is not None:
            # What its own children still hold open is not waited for.
            for kind in ("out", "err"):
                while kind in child.pipes and self._relay(child, kind):
                    pass
            for kind in list(child.pipes):
                child.close(kind)
            del self.children[child.pid]
            self._hold(child.hold)
            self._send({"pid": child.pid, "status": child.status, "timed_out": child.timed_out})

    def _relay(self, child: Child, kind: str) -> bool:
        try:
            data = os.read(child.pipes[kind], CHUNK)
        except BlockingIOError:
            return False
        if not data:
            child.close(kind)
            return False
        self._send({"pid": child.pid, kind: base64.b64encode(data).decode("ascii")})
        return True

    def _receive(self) -> None:
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._hung_up()
            return
        self.hold_until = 0.0
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            try:
                request = json.loads(line)
            except ValueError:
                continue  # what the one before did not finish
            self._answer(request)

    def _hung_up(self) -> None:
        self._kill_all()
        self.received = b""
        time.sleep(HANG_UP_S)  # nobody is there: poll would return at once

    def _kill_all(self) -> None:
        for child in self.children.values():
            self._signal(child, signal.SIGKILL)

    def _answer(self, request: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request.get("id")}
        try:
            reply.update(REQUESTS[request["do"]](self, request))
        except OSError as error:
            reply.update(error=error.strerror or str(error), errno=error.errno or 0)
        except Exception as error:
            reply.update(error=type(error).__name__ + ": " + str(error), errno=0)
        self._hold(request.get("hold", False) and ("error" in reply or request["do"] != "run"))
        # Who has just connected may be heard before the port knows that it is connected again.
        self._send(reply, ANSWER_S)

    def _hold(self, wanted: bool) -> None:
        self.hold_until = time.monotonic() + HOLD_S if wanted else 0.0

    def _send(self, message: dict[str, Any], patience_s: float = 0.0) -> None:
        # Nobody is there: the message is dropped, after that patience.
        data = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        deadline = time.monotonic() + patience_s
        while data:
            poll = select.poll()
            poll.register(self.fd, select.POLLOUT)
            events = dict(poll.poll(1000))
            if events.get(self.fd, 0) & select.POLLHUP:
                if time.monotonic() >= deadline:
                    return
                time.sleep(CONNECT_S)
                continue
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                continue

    def _signal(self, child: Child, number: int) -> None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            if child.status is None:
                os.kill(child.pid, number)  # not reaped, so the number is its own; it has not made its group yet

    # ---- requests ----

    def do_hello(self, request: dict[str, Any]) -> dict[str, Any]:
        self._kill_all()  # the guest's time may have stood still while the other side changed
        return {"release": os.uname().release}

    def do_read(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"value": read_text(request["path"])}

    def do_write(self, request: dict[str, Any]) -> dict[str, Any]:
        # A write of no bytes never reaches a sysfs file; a lone newline does, and means the same.
        data = (request["value"] or "\n").encode("utf-8", "surrogateescape")
        fd = os.open(request["path"], os.O_WRONLY | os.O_TRUNC)
        try:
            written = os.write(fd, data)
        finally:
            os.close(fd)
        if written != len(data):
            raise OSError(0, f"only {written} of {len(data)} bytes were taken")
        return {}

    def do_list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"names": sorted(os.listdir(request["path"]))}

    def do_exists(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"exists": os.path.exists(request["path"])}

    def do_tree(self, request: dict[str, Any]) -> dict[str, Any]:
        top: str = request["path"]
        files: dict[str, str] = {}
        os.listdir(top)  # raises where walk would find nothing
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    files[os.path.relpath(path, top)] = read_text(path)
                except OSError:
                    continue
        return {"files": files}

    def do_put(self, request: dict[str, Any]) -> dict[str, Any]:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if request.get("append") else os.O_TRUNC)
        fd = os.open(request["path"], flags, 0o600)
        with open(fd, "wb") as file:
            file.write(base64.b64decode(request["data"]))
        if request.get("mode") is not None:
            os.chmod(request["path"], request["mode"])
        return {}

    def do_get(self, request: dict[str, Any]) -> dict[str, Any]:
        with open(request["path"], "rb") as file:
            file.seek(request["offset"])
            return {"data": base64.b64encode(file.read(request["size"])).decode("ascii")}

    def do_run(self, request: dict[str, Any]) -> dict[str, Any]:
        ends = {kind: os.pipe2(os.O_CLOEXEC) for kind in ("in", "out", "err")}
        theirs = [ends["in"][0], ends["out"][1], ends["err"][1]]
        ours = {"in": ends["in"][1], "out": ends["out"][0], "err": ends["err"][0]}
        for fd in ours.values():
            os.set_blocking(fd, False)
        try:
            pid = self._start(request, theirs)
        except OSError:
            for fd in ours.values():
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        timeout_s = request.get("timeout_s")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.children[pid] = Child(pid, ours, deadline, request.get("hold", False))
        return {"pid": pid}

    def do_stream(self, request: dict[str, Any]) -> dict[str, Any]:
        fd = open_stream()
        console = os.open("/dev/console", os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            while poll.poll(0) and os.read(fd, CHUNK):
                pass  # meant for the one before
            os.set_blocking(fd, True)
            if shutil.which(request["argv"][0]) is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            pid = self._start(request, [fd, fd, console], connected=fd)
        finally:
            os.close(fd)
            os.close(console)
        self.children[pid] = Child(pid, {}, None)
        return {"pid": pid}

    def do_input(self, request: dict[str, Any]) -> dict[str, Any]:
        child = self.children.get(request["pid"])
        if child is None:
            return {}  # it ended without reading it
        data = base64.b64decode(request["data"])
        child.pending += data
        child.input_ended = child.input_ended or not data
        child.feed()
        return {}

    def do_kill(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["pid"] in self.children:
            self._signal(self.children[request["pid"]], request["signal"])
        return {}

    def _start(self, request: dict[str, Any], streams: list[int], connected: int | None = None) -> int:
        # The child reports by a pipe why it could not start; exec closes it. With `connected` it does not start before
        # the other side has connected to that port: until then the port's input reads as ended.
        heard, say = os.pipe2(os.O_CLOEXEC)
        environment = dict(os.environ, **(request.get("env") or {}))
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.chdir(request.get("cwd") or "/root")
                if connected is not None:
                    os.close(say)
                    wait_for_other_side(connected)
                for number, fd in enumerate(streams):
                    os.dup2(fd, number)
                os.execvpe(request["argv"][0], request["argv"], environment)
            except OSError as error:
                os.write(say, b"%d %s" % (error.errno or 0, (error.strerror or str(error)).encode()))
            finally:
                os._exit(127)
        os.close(say)
        with open(heard, "rb") as pipe:
            problem = pipe.read().decode()
        if problem:
            code, _, text = problem.partition(" ")
            raise OSError(int(code), text)
        return pid


def open_stream() -> int:
    """The second port. What was killed a moment ago may hold it a little longer. Raises OSError."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return os.open(port(STREAM), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
        time.sleep(CONNECT_S)


def wait_for_other_side(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)
    while poll.poll(0):  # hung up
        time.sleep(CONNECT_S)


def read_text(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


REQUESTS = {
    "hello": Server.do_hello,
    "read": Server.do_read,
    "write": Server.do_write,
    "list": Server.do_list,
    "exists": Server.do_exists,
    "tree": Server.do_tree,
    "put": Server.do_put,
    "get": Server.do_get,
    "run": Server.do_run,
    "stream": Server.do_stream,
    "input": Server.do_input,
    "kill": Server.do_kill,
}


if __name__ == "__main__":
    Server().serve()
