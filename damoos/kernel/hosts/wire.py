"""The controller's end of the guest's request port; what the requests mean is in guest.py."""

from __future__ import annotations

import collections
import itertools
import json
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from damoos.errors import BackendError

REPLY_S = 120.0
"""How long a reply may take, in seconds of this machine; a guest second costs one to two of them."""
_GREET_S = 4.0
"""How long the first greeting of a connection waits for its answer, before the connection is made again."""


class NoAnswer(BackendError):
    """The guest takes longer than it may."""


class Wire:
    """JSON lines to and from the guest's server. Not shared between threads.

    `why` says what became of the machine, for the message when it is gone.
    """

    def __init__(self, path: Path, why: Callable[[], str], greet_s: float = REPLY_S) -> None:
        """Connects, and greets the server: `hello` is its answer. Raises BackendError if there is none in `greet_s`."""
        self._why = why
        self._path = path
        self._numbers = itertools.count(1)
        self._received = b""
        self._events: dict[int, collections.deque[dict[str, Any]]] = {}
        self._greeted = False
        self._socket = self._connect()
        try:
            self.hello = self._greet(greet_s)
        except BaseException:
            self._socket.close()
            raise
        self._greeted = True

    def request(self, do: str, *, wait_s: float = REPLY_S, **fields: Any) -> dict[str, Any]:
        """The reply, also one with "error" and "errno". Raises BackendError when there is none."""
        number = next(self._numbers)
        # The leading newline ends what an earlier controller may have left unfinished.
        data = b"\n" + json.dumps({"id": number, "do": do, **fields}).encode("ascii") + b"\n"
        deadline = time.monotonic() + wait_s
        self._send(data, deadline)
        while True:
            message = self._next(deadline - time.monotonic())
            if message is None:
                raise NoAnswer(f"the VM does not answer {do!r} within {wait_s:g} s{self._why()}")
            if message.get("id") == number:
                return message
            self._keep(message)

    def event(self, pid: int, wait_s: float) -> dict[str, Any] | None:
        """The next event of a process that `request` started; None after `wait_s` s. Raises BackendError."""
        kept = self._events.setdefault(pid, collections.deque())
        deadline = time.monotonic() + wait_s
        while not kept:
            message = self._next(deadline - time.monotonic())
            if message is None:
                return None
            self._keep(message)
        event = kept.popleft()
        if "status" in event:
            del self._events[pid]
        return event

    def forget(self, pid: int) -> None:
        """Drops the events of a process that nobody waits for."""
        self._events.pop(pid, None)

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(self._path))
        except OSError as error:
            link.close()
            raise BackendError(f"the VM does not answer at {self._path}: {error}") from error
        self._received = b""
        return link

    def _greet(self, greet_s: float) -> dict[str, Any]:
        # QEMU may keep back what the guest says to a new connection, if the guest said something to the last one in
        # the moment in which it was closed. Connecting once more ends that; the guest starts afresh anyway.
        deadline = time.monotonic() + greet_s
        wait_s = _GREET_S
        while True:
            try:
                return self.request("hello", wait_s=min(wait_s, deadline - time.monotonic()))
            except NoAnswer:
                if time.monotonic() + wait_s >= deadline:
                    raise NoAnswer(f"the VM does not answer within {greet_s:g} s{self._why()}") from None
            self._socket.close()
            self._socket = self._connect()
            wait_s *= 2

    def _keep(self, message: dict[str, Any]) -> None:
        if "pid" in message and "id" not in message:
            self._events.setdefault(message["pid"], collections.deque()).append(message)

    def _send(self, data: bytes, deadline: float) -> None:
        try:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            self._socket.sendall(data)
        except OSError as error:
            raise BackendError(f"the VM is gone or takes nothing: {error}{self._why()}") from error

    def _next(self, wait_s: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + wait_s
        while True:
            line, newline, rest = self._received.partition(b"\n")
            if newline:
                self._received = rest
                try:
                    return dict(json.loads(line))
                except ValueError:
                    if self._greeted:
                        raise BackendError(f"the VM says {line[:80]!r}, which is no JSON") from None
                    continue  # the end of what was meant for an earlier controller
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            try:
                data = self._socket.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                raise BackendError(f"the VM is gone{self._why()}")
            self._received += data
