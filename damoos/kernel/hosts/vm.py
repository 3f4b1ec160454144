"""A real kernel in QEMU as a host: its files, its processes, a pipe to a program that stays.

    with boot(find("7.3"), Machine()) as host:
        host.write("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "1")
        print(host.run(["uname", "-r"]).out.decode())

Time in the guest passes only while somebody here waits for the guest, so that thinking here costs nothing there.
"""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from damoos.errors import BackendError, HostError

from .qmp import Qmp
from .wire import REPLY_S, Wire

BRIDGE = Path(__file__).with_name("bridge.py")
CHUNK = 1 << 18
HOST_S_PER_GUEST_S = 20.0
"""A guest second takes one to two seconds here; beyond this many the guest counts as stuck."""


@dataclass(frozen=True)
class Completed:
    """A command that has ended in the guest: exit code (or -signal), both outputs, whether the time limit ended it."""

    status: int
    out: bytes
    err: bytes
    timed_out: bool


@dataclass(frozen=True)
class Stream:
    """A program in the guest behind a pipe: `argv` is what to start here; its input and output are the program's.

    `pid` as the guest counts. The command ends when its input ends (the program's input is then hung up), or when the
    program has ended.
    """

    pid: int
    argv: tuple[str, ...]


class VmHost:
    """A running guest. Not shared between threads.

    Everything raises BackendError, with the console's last lines, when the guest is gone or stuck.
    """

    def __init__(self, folder: Path, series: str, time_kind: str, wire: Wire, close: Callable[[], None]) -> None:
        """For `damoos.kernel.hosts.machines`, which boots and finds guests; the guest's time stands when it is done."""
        self.name = f"vm:{series}"
        self.release = str(wire.hello["release"])
        self.time_kind = time_kind
        self._folder, self._wire, self._end = folder, wire, close
        self._qmp = Qmp(folder / "qmp.sock")
        self._waiting = 0
        self._closed = False
        self._qmp.execute("stop")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Lets the guest's time pass inside the block; blocks may be nested. Every method below does it by itself."""
        self._waiting += 1
        if self._waiting == 1:
            self._qmp.execute("cont")
        try:
            yield
        except BaseException:
            with contextlib.suppress(BackendError):  # what went wrong inside tells more
                self._done_waiting()
            raise
        self._done_waiting()

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Stops the guest's time inside the block, even while a stream is open: for thinking between two steps.

        Requests inside the block work and let time pass as long as they take; the stream's program is not heard.
        """
        waiting, self._waiting = self._waiting, 0
        if waiting:
            self._qmp.execute("stop")
        try:
            yield
        finally:
            self._waiting = waiting
            if waiting and not self._closed:
                self._qmp.execute("cont")

    # ---- files ----

    def read(self, path: str) -> str:
        """See Host.read."""
        return str(self._file("read", path)["value"]).removesuffix("\n")

    def write(self, path: str, value: str) -> None:
        """See Host.write."""
        self._file("write", path, value=value)

    def listdir(self, path: str) -> list[str]:
        """See Host.listdir."""
        return list(self._file("list", path)["names"])

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        return bool(self._file("exists", path)["exists"])

    def read_tree(self, folder: str) -> dict[str, str]:
        """See TreeReader.read_tree: one round trip."""
        return {name: text.removesuffix("\n") for name, text in self._file("tree", folder)["files"].items()}

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Creates or replaces a file in the guest. Raises HostError."""
        for start in range(0, max(len(data), 1), CHUNK):
            chunk = base64.b64encode(data[start : start + CHUNK]).decode("ascii")
            self._file("put", path, data=chunk, append=start > 0, mode=mode)

    def get(self, path: str) -> bytes:
        """The contents of a file in the guest. Raises HostError."""
        found = b""
        while chunk := base64.b64decode(self._file("get", path, offset=len(found), size=CHUNK)["data"]):
            found += chunk
        return found

    # ---- processes ----

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout_s: float | None = None,
        tell: Callable[[str, bytes], None] | None = None,
    ) -> Completed:
        """Runs a command as root and waits for its end; `timeout_s` guest seconds, then it is killed with its group.

        `tell` gets each piece of output as it comes, with "out" or "err". Raises BackendError also if it can't be
        started.
        """
        output: dict[str, list[bytes]] = {"out": [], "err": []}
        with self.running():
            pid = self._start("run", argv, env=dict(env or {}), cwd=cwd, timeout_s=timeout_s, hold=self._waiting == 1)
            try:
                for start in range(0, len(stdin), CHUNK):
                    self._input(pid, stdin[start : start + CHUNK])
                self._input(pid, b"")
                patience_s = None if timeout_s is None else REPLY_S + HOST_S_PER_GUEST_S * timeout_s
                while "status" not in (event := self._event(pid, patience_s)):
                    kind = "out" if "out" in event else "err"
                    output[kind].append(base64.b64decode(event[kind]))
                    if tell is not None:
                        tell(kind, output[kind][-1])
            except BaseException:
                self._abandon(pid)
                raise
        return Completed(event["status"], b"".join(output["out"]), b"".join(output["err"]), event["timed_out"])

    @contextlib.contextmanager
    def stream(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> Iterator[Stream]:
        """A program that stays, behind a pipe, for the block; then it is killed. The guest's time passes all the while.

        One at a time: BackendError while another one, or its children, still holds the port.
        """
        with self.running():
            pid = self._start("stream", argv, env=dict(env or {}), cwd=cwd)
            sockets = [str(self._folder / f"{name}.sock") for name in ("stream", "events")]
            try:
                yield Stream(pid, (sys.executable, "-I", "-S", str(BRIDGE), *sockets))
            finally:
                self._abandon(pid)

    def close(self) -> None:
        """Leaves the guest: one that was booted here is switched off, one that was found goes on. May be repeated."""
        if not self._closed:
            self._closed = True
            self._qmp.close()
            self._wire.close()
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _done_waiting(self) -> None:
        self._waiting -= 1
        if self._waiting == 0 and not self._closed:
            self._qmp.execute("stop")

    def _file(self, do: str, path: str, **fields: Any) -> dict[str, Any]:
        with self.running():
            reply = self._wire.request(do, path=path, hold=self._waiting == 1, **fields)
        if "error" in reply:
            raise HostError(path, reply["errno"], reply["error"], value=fields.get("value"))
        return reply

    def _start(self, do: str, argv: Sequence[str], **fields: Any) -> int:
        reply = self._wire.request(do, argv=list(argv), **fields)
        if "error" in reply:
            raise BackendError(f"{argv[0]} can't be started in the VM: {reply['error']}")
        return int(reply["pid"])

    def _input(self, pid: int, data: bytes) -> None:
        self._wire.request("input", pid=pid, data=base64.b64encode(data).decode("ascii"))

    def _event(self, pid: int, patience_s: float | None) -> dict[str, Any]:
        event = self._wire.event(pid, 1e6 if patience_s is None else patience_s)
        if event is None:
            raise BackendError(f"the VM's process {pid} neither ends nor says anything for {patience_s:g} s")
        return event

    def _abandon(self, pid: int) -> None:
        # May be called while the guest is gone, with an error under way that says so.
        with contextlib.suppress(BackendError):
            self._wire.request("kill", pid=pid, signal=9)
            while (event := self._wire.event(pid, REPLY_S)) is not None and "status" not in event:
                pass
