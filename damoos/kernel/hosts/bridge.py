"""A pipe into a VM: `python3 bridge.py STREAM EVENTS` joins its own input and output to a process in the guest.

STREAM is the socket of the guest's second port, EVENTS a monitor of QEMU, which tells when the guest closes that port.
Ends when its input ends, when the guest's process has ended, or when QEMU is gone. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys

CHUNK = 1 << 16
PORT_ID = "stream"


def connected(path: str) -> socket.socket:
    """A socket connected to `path`. Raises OSError."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    return link


def closes_port(line: bytes) -> bool:
    """Whether a line of the monitor says that the guest closed the port."""
    message = json.loads(line)
    data = message.get("data") or {}
    return message.get("event") == "VSERPORT_CHANGE" and data.get("id") == PORT_ID and not data.get("open")


def copy(stream: socket.socket, events: socket.socket) -> None:
    """Copies both ways until one side is done; what the guest said before it closed its port still comes through."""
    events.sendall(b'{"execute": "qmp_capabilities"}\n')
    told = b""
    ends: list[int | socket.socket] = [0, stream, events]
    while True:
        ready, _, _ = select.select(ends, [], [])
        if stream in ready:
            data = stream.recv(CHUNK)
            if not data:
                return
            write_all(data)
        if 0 in ready:
            data = os.read(0, CHUNK)
            if not data:
                return
            stream.sendall(data)
        if events in ready:
            data = events.recv(CHUNK)
            *lines, told = (told + data).split(b"\n")
            if not data or any(closes_port(line) for line in lines if line.strip()):
                stream.setblocking(False)
                try:
                    while data := stream.recv(CHUNK):
                        write_all(data)
                except BlockingIOError:
                    pass
                return


def write_all(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    try:
        with connected(sys.argv[1]) as stream_socket, connected(sys.argv[2]) as event_socket:
            copy(stream_socket, event_socket)
    except (BrokenPipeError, ConnectionError, FileNotFoundError):
        sys.exit(1)
