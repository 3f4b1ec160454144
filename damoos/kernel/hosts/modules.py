"""Kernel modules for the guest, with those they depend on, in the order in which they have to be inserted."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from damoos.errors import BackendError

from .kernels import Kernel


def modules_for(kernel: Kernel, wanted: Sequence[str]) -> list[tuple[str, bytes]]:
    """Name and plain contents of the wanted modules, each after those it depends on.

    What has no file is taken to be built into the kernel. Raises BackendError for a file that can't be unpacked.
    """
    if kernel.modules is None:
        return []
    files = {_name(path): path for path in sorted(kernel.modules.rglob("*.ko*"))}
    done: dict[str, bytes] = {}

    def insert(name: str) -> None:
        if name in done or name not in files:
            return
        data = unpacked(files[name])
        for other in depends(data):
            insert(other)
        done[name] = data

    for name in wanted:
        insert(name)
    return list(done.items())


def depends(module: bytes) -> list[str]:
    """The modules that a module names as needed in its own description."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def unpacked(path: Path) -> bytes:
    """The contents of a module's file, whatever it is compressed with: .ko, .ko.xz, .ko.gz, .ko.zst."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        if shutil.which("zstd") is None:
            raise BackendError(f"{path} is compressed with zstd; on Debian and Ubuntu: apt install zstd")
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


def _name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")
