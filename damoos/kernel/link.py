"""The controller's end of an agent: starts one, asks it, gathers what it tells unasked.

    with AgentLink(agent_argv("/", "/run/damoos.journal")) as link:
        host = AgentHost(link, "host")
        link.request("start", argv=["./program"], user="me")
        link.request("sample", every_s=0.5)
        event = link.wait("ended", 60)

The agent may sit at the end of any pipe: here, behind ssh, in a virtual machine. What the requests mean is in agent.py.
"""

from __future__ import annotations

import collections
import errno
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from damoos.errors import BackendError, HostError

AGENT = Path(__file__).with_name("agent.py")
"""The file to send to where the agent shall run."""

BOOTSTRAP = """
import os, sys
left, source = int(sys.argv.pop(1)), b""
while len(source) < left:
    data = os.read(0, left - len(source))
    if not data:
        sys.exit("damoos: the connection was cut")
    source += data
exec(compile(source, "agent.py", "exec"))
"""
"""Python that reads an agent, as many bytes as its first argument says, from standard input and becomes it: nothing is
left on the target. Unbuffered, as requests follow."""

REPLY_S = 30.0
"""How long a reply may take: a write may wait for kdamond, but not for ever."""


def agent_argv(
    root: str,
    journal: str | None,
    *,
    lock: str | None = None,
    python: str = sys.executable,
    agent: str = str(AGENT),
) -> list[str]:
    """The command that starts an agent; everything as the machine where it runs names it."""
    argv = [python, "-I", "-S", agent, "--root", root]
    for option, value in (("--journal", journal), ("--lock", lock)):
        if value is not None:
            argv += [option, value]
    return argv


class AgentLink:
    """A running agent at the end of two pipes. Not shared between threads."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        preamble: bytes = b"",
        keep_alive_s: float | None = None,
        reply_s: float = REPLY_S,
    ) -> None:
        """Starts `argv`, which ends in an agent, and greets it: `hello` is its answer. Raises BackendError.

        `preamble` is sent before anything else. With `keep_alive_s` the agent hears something at least that often.
        `reply_s`: how long a reply may take unless a request says otherwise, s of this machine.
        """
        try:
            # A session of its own: Ctrl-C is the controller's, which then ends the agent in order.
            self._process = subprocess.Popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise BackendError(f"the agent can't be started: {argv[0]}: {error.strerror}") from error
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._events: collections.deque[dict[str, Any]] = collections.deque()
        self._lost = False
        self._reply_s = reply_s
        self._writing = threading.Lock()
        self._ending: dict[str, Any] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._over = threading.Event()
        try:
            self._send(preamble)
            self.hello = self.request("hello")
        except BaseException:
            self._end_process()
            raise
        if keep_alive_s is not None:
            threading.Thread(target=self._keep_alive, args=(keep_alive_s,), daemon=True).start()

    def request(self, do: str, *, patience_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """The reply to one request. Raises HostError where the agent names a path, else BackendError."""
        return self.answer(self.request_raw(do, patience_s=patience_s, **fields))

    def request_raw(self, do: str, *, patience_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """The reply to one request, also a bad one. Raises BackendError only if there is none."""
        return self._ask(do, fields, self._reply_s if patience_s is None else patience_s)

    @staticmethod
    def answer(reply: dict[str, Any]) -> dict[str, Any]:
        """The reply itself if it is good. Raises as `request` does."""
        if reply["ok"]:
            return reply
        reason = reply.get("error", "refused")
        if "path" in reply:
            number = getattr(errno, reply.get("errno", ""), 0)
            raise HostError(reply["path"], number, reason, value=reply.get("value"))
        named = [f"{key} {reply[key]!r}" for key in ("field", "value") if reply.get(key) is not None]
        raise BackendError(": ".join(["agent", *named, reason]))

    def events(self) -> list[dict[str, Any]]:
        """What the agent has told unasked since the last call, oldest first; does not wait."""
        while self._next(0.0) is not None:
            pass
        found = list(self._events)
        self._events.clear()
        return found

    def wait(self, name: str, timeout_s: float) -> dict[str, Any] | None:
        """The next event of this name, which is then no longer among `events`; None after `timeout_s` s.

        Raises BackendError when the agent is gone.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    return event
            left = deadline - time.monotonic()
            if left < 0 or (self._next(left) is None and time.monotonic() >= deadline):
                return None
            if self._lost:
                raise BackendError("the agent is gone")

    def close(self) -> dict[str, Any]:
        """Has everything undone and the agent end; its report ("restored", "gone", "failed"). May be repeated.

        Raises BackendError if it was gone before it could report: what it undid then is for its journal to say.
        """
        if self._ending is None:
            try:
                self._ending = self._ask("end", {}, self._reply_s)
            finally:
                self._end_process()
        return self._ending

    def abandon(self) -> None:
        """Cuts the link at once, as a death of this process would: the agent then undoes everything by itself."""
        if self._process.poll() is None:
            self._process.kill()
        self._lost = True
        self._end_process()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except BackendError:
            pass  # the first error tells more

    def _ask(self, do: str, fields: dict[str, Any], patience_s: float) -> dict[str, Any]:
        number = next(self._numbers)
        self._send(json.dumps({"id": number, "do": do, **fields}).encode("ascii") + b"\n")
        deadline = time.monotonic() + patience_s
        while not self._lost:
            message = self._next(deadline - time.monotonic(), keep=False)
            if message is None and not self._lost:
                raise BackendError(f"the agent does not answer {do!r} within {patience_s:g} s")
            if message is not None and message.get("id") == number:
                return message
            if message is not None and "event" in message:
                self._events.append(message)
        refused = next((event for event in self._events if event["event"] in ("refused", "recovered")), None)
        raise BackendError(_why(refused) if refused else "the agent is gone")

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._writing:
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except OSError:
            pass  # it is going; what it said before comes first
        except ValueError:
            self._lost = True  # closed here

    def _keep_alive(self, every_s: float) -> None:
        while not self._over.wait(every_s):
            self._send(b'{"do": "ping"}\n')

    def _next(self, timeout_s: float, *, keep: bool = True) -> dict[str, Any] | None:
        # The next message; with `keep` an event goes to the others. Replies that nobody waits for any more vanish.
        try:
            message = self._lines.get(timeout=max(timeout_s, 0.0)) if timeout_s > 0 else self._lines.get_nowait()
        except queue.Empty:
            return None
        if message is None:
            self._lost = True
        elif keep and "event" in message:
            self._events.append(message)
        return message

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._lines.put(json.loads(line))
            except ValueError:
                continue  # not the agent's: a login message of ssh, say
        self._lines.put(None)

    def _end_process(self) -> None:
        self._over.set()
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(REPLY_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)
        self._process.stdout.close()


class AgentHost:
    """The tuned machine's files through an agent: a Host. What was written is undone when the link closes."""

    def __init__(self, link: AgentLink, name: str) -> None:
        self._link = link
        self.name = name

    def read(self, path: str) -> str:
        """See Host.read."""
        return str(self._link.request("read", path=path)["value"]).removesuffix("\n")

    def write(self, path: str, value: str) -> None:
        """See Host.write."""
        # a count of children makes them anew, with all that they held
        below = PurePosixPath(path).name.startswith("nr_")
        self._link.request("write", path=path, value=value or "\n", below=below)

    def listdir(self, path: str) -> list[str]:
        """See Host.listdir."""
        return sorted(self._link.request("list", path=path)["names"])

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        return self._link.request("kind", path=path)["kind"] is not None

    def read_tree(self, folder: str) -> dict[str, str]:
        """See TreeReader.read_tree: one round trip. Of DAMON's tree without the regions of former snapshots."""
        files = self._link.request("tree", path=folder, flat="tried_regions")["files"]
        return {path: text.removesuffix("\n") for path, text in files.items()}

    def read_table(self, folder: str, names: Sequence[str]) -> dict[int, list[str]]:
        """See TableReader.read_table: one round trip."""
        rows = self._link.request("table", path=folder, names=list(names))["rows"]
        return {int(n): [text.removesuffix("\n") for text in texts] for n, texts in rows.items()}


def _why(event: dict[str, Any]) -> str:
    if event["event"] == "refused":
        return ": ".join(["agent", *([event["path"]] if event.get("path") else []), event["error"]])
    paths = ", ".join(entry["path"] for entry in event["failed"])
    return f"the agent can't undo what an earlier one left: {paths}"
