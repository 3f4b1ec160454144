"""QEMU's own control channel, as far as it is needed: stop the guest's time, let it run, switch it off."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from damoos.errors import BackendError


class Qmp:
    """A connection to one of QEMU's monitors. QEMU serves one connection per socket at a time."""

    def __init__(self, path: Path, timeout_s: float = 30.0) -> None:
        """Connects and greets. Raises BackendError when nobody is there."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._received = b""
        self._path = path
        try:
            self._socket.connect(str(path))
            self._next()  # the greeting
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise BackendError(f"QEMU does not answer at {path}: {error}") from error
            raise
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> Any:
        """What QEMU returns for a command. Raises BackendError if it refuses or is gone."""
        try:
            self._socket.sendall(json.dumps({"execute": command}).encode("ascii") + b"\n")
            while True:
                message = self._next()
                if "return" in message:
                    return message["return"]
                if "error" in message:
                    raise BackendError(f"QEMU refuses {command}: {message['error'].get('desc')}")
        except OSError as error:
            raise BackendError(f"QEMU is gone: {error}") from error

    def close(self) -> None:
        """Hangs up; QEMU goes on as it is."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self._received:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError(f"{self._path} was closed")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return dict(json.loads(line))
