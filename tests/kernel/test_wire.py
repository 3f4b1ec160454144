"""The controller's end of the guest's request port, against a server that answers only some connections."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from damoos.errors import BackendError
from damoos.kernel.hosts import wire
from damoos.kernel.hosts.wire import Wire


@contextmanager
def guest(path: Path, silent: int) -> Iterator[list[int]]:
    """Answers every request, but none of the first `silent` connections; the number of requests of each connection."""
    requests: list[int] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                requests.append(0)
                with link, link.makefile("rwb") as file:
                    for line in file:
                        if line.strip():
                            requests[-1] += 1
                            if len(requests) > silent:
                                reply = {"id": json.loads(line)["id"], "release": "7.3.4"}
                                file.write(json.dumps(reply).encode() + b"\n")
                                file.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_GREET_S", 0.05)


def test_an_answer_that_is_kept_back_is_asked_for_over_a_new_connection(tmp_path: Path) -> None:
    with guest(tmp_path / "s", silent=2) as requests:
        link = Wire(tmp_path / "s", lambda: "")
        assert link.hello["release"] == "7.3.4"
        assert requests == [1, 1, 1]
        assert link.request("exists")["release"] == "7.3.4"
        link.close()


def test_a_guest_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with (
        guest(tmp_path / "s", silent=100) as requests,
        pytest.raises(BackendError, match=r"the VM does not answer within 0\.5 s: its last words"),
    ):
        Wire(tmp_path / "s", lambda: ": its last words", greet_s=0.5)
    assert len(requests) >= 3


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"the VM does not answer at .*: \[Errno 2\]"):
        Wire(tmp_path / "none", lambda: "")
