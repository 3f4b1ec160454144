"""The guest's initramfs, built without root: busybox, the modules of one kernel, this machine's Python, our init.

Everything in it comes from this machine's packages, so it is rebuilt when one of them changes and kept otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from damoos.errors import BackendError

from .kernels import Kernel, cache_folder
from .modules import modules_for

PYTHON_MODULES = (
    "__future__ argparse base64 bisect collections contextlib ctypes dataclasses encodings.ascii "
    "encodings.latin_1 enum errno fcntl functools glob grp itertools json math mmap os pathlib pwd queue random "
    "re resource select selectors shutil signal socket stat statistics struct subprocess tempfile threading time "
    "typing warnings"
).split()
"""What Python in the guest can import, with all that these import themselves."""

GUEST_PYTHON = "/bin/python3"
WANTED_MODULES = ("virtio_pci", "virtio_console", "zram")

KEEP_UNUSED_S = 7 * 86400
"""How long an image that nobody boots is kept; another Python on this machine makes another image."""

_HERE = Path(__file__).parent
_FOLDERS = ("bin", "dev", "etc", "lib", "mod", "proc", "root", "sys", "tmp")
# Asks the interpreter itself: what a module imports depends on its version.
_ASK = """
import sys, json, importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items() if name != "__main__"}
print(json.dumps({name: file for name, file in files.items() if file}))
"""


@dataclass(frozen=True)
class Entry:
    """One file of an archive: path without leading slash, mode with its type bits, contents (a link's target)."""

    path: str
    mode: int
    data: bytes = b""


def image_for(kernel: Kernel) -> Path:
    """The initramfs for a kernel, from the cache or built now. Raises BackendError: what is missing, how to get it."""
    entries = [*_system(), *_python(), *_modules(kernel)]
    archive = cpio(_with_parents(entries))
    target = cache_folder() / "images" / f"{kernel.release}-{hashlib.sha256(archive).hexdigest()[:16]}.cpio"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        partial.write_bytes(archive)
        os.replace(partial, target)
    os.utime(target)
    for other in target.parent.glob("*.cpio"):
        with contextlib.suppress(FileNotFoundError):  # somebody else tidies up as well
            if other.stat().st_mtime < target.stat().st_mtime - KEEP_UNUSED_S:
                other.unlink()
    return target


def cpio(entries: Iterable[Entry]) -> bytes:
    """An archive in the format that Linux unpacks at boot ("newc"); owner root, no times, so equal for equal input."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.path.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device (two pairs), length of the name, checksum
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += b"\0" * (-len(out) % 4) + entry.data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    # Linux makes no folders by itself, and one path must not come twice.
    found: dict[str, Entry] = {name: _folder(name) for name in _FOLDERS}
    for entry in entries:
        for parent in reversed(Path(entry.path).parents[:-1]):
            found.setdefault(str(parent), _folder(str(parent)))
        found[entry.path] = entry
    return list(found.values())


def _folder(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | (0o1777 if path == "tmp" else 0o755))


def _file(path: str, data: bytes, mode: int = 0o755) -> Entry:
    return Entry(path.lstrip("/"), stat.S_IFREG | mode, data)


def _link(path: str, target: str) -> Entry:
    return Entry(path.lstrip("/"), stat.S_IFLNK | 0o777, target.encode())


def _system() -> list[Entry]:
    busybox = shutil.which("busybox")
    if busybox is None or not _is_static(Path(busybox)):
        raise BackendError("the VM needs a static busybox; on Debian and Ubuntu: apt install busybox-static")
    return [
        _file("bin/busybox", Path(busybox).read_bytes()),
        _link("bin/sh", "busybox"),
        _file("init", (_HERE / "guest_init.sh").read_bytes()),
        _file("guest.py", (_HERE / "guest.py").read_bytes()),
        _file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644),
        _file("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644),
    ]


def _is_static(program: Path) -> bool:
    # A program with a loader names it in a program header of type PT_INTERP (3).
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    start, size, count = (int.from_bytes(data[at : at + n], "little") for at, n in ((32, 8), (54, 2), (56, 2)))
    return all(data[at : at + 4] != b"\3\0\0\0" for at in range(start, start + size * count, size))


def _python() -> list[Entry]:
    # At its own path, so that it finds its library and its libraries as it does here.
    program = os.path.realpath(sys.executable)
    asked = subprocess.run(
        [program, "-I", "-S", "-c", _ASK, *PYTHON_MODULES], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        raise BackendError(f"{program} lacks a module that the VM needs: {asked.stderr.strip().splitlines()[-1]}")
    files = sorted(set(json.loads(asked.stdout).values()))
    binaries = [program, *(file for file in files if not file.endswith(".py"))]
    entries = [_link(GUEST_PYTHON, program)]
    entries += [_file(file, Path(file).read_bytes()) for file in (*binaries, *_libraries(binaries))]
    with tempfile.TemporaryDirectory() as work:
        for source in (file for file in files if file.endswith(".py")):
            compiled = f"{work}/compiled"
            # Without its source beside it, a module is looked for under its own name. Never checked: no stat calls.
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(source, cfile=compiled, dfile=source, doraise=True, invalidation_mode=mode)
            entries.append(_file(f"{source}c", Path(compiled).read_bytes(), 0o644))
    return entries


def _libraries(binaries: list[str]) -> list[str]:
    if shutil.which("ldd") is None:
        raise BackendError(
            "the VM's Python needs ldd, to know its libraries; on Debian and Ubuntu: apt install libc-bin"
        )
    text = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", text, re.MULTILINE))
    # Loaded by name when a thread ends; without it the process aborts then.
    beside = {Path(library).with_name("libgcc_s.so.1") for library in found}
    return sorted(found | {str(library) for library in beside if library.exists()})


def _modules(kernel: Kernel) -> list[Entry]:
    modules = modules_for(kernel, WANTED_MODULES)
    entries = [_file(f"mod/{name}.ko", data, 0o644) for name, data in modules]
    return [*entries, _file("mod/order", "".join(f"{name}\n" for name, _ in modules).encode(), 0o644)]
