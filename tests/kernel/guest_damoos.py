"""The real command line inside a guest: an initramfs with all that it imports.

The guest has no network and only a part of Python's library, so this asks an interpreter here what the command line
loads, and takes these files along with the libraries that they are linked with.
"""

from __future__ import annotations

import functools
import json
import os
import py_compile
import re
import site
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from damoos.kernel.hosts.image import Entry, cpio
from damoos.kernel.hosts.vm import Completed, VmHost

from .fake import FakeTree, plant

CHECKOUT = Path(__file__).parents[2]
HOME = "/opt/damoos"
MAIN = f"{HOME}/main.py"
CATALOGUES = ("envs", "machines", "workloads")
_LIST = """
import atexit, json, runpy, sys

out = sys.argv.pop(1)

@atexit.register
def tell():
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    with open(out, "w") as file:
        json.dump(sorted(files - {None}), file)

runpy.run_module("damoos.cli.main", run_name="__main__")
"""


def damoos(vm: VmHost, *arguments: str, timeout_s: float = 120) -> Completed:
    """Runs the command line in a guest of `image_with_damoos`, as root; `timeout_s` in guest seconds."""
    return vm.run(["python3", "-S", MAIN, *arguments], env={"OPENBLAS_NUM_THREADS": "1"}, timeout_s=timeout_s)


def image_with_damoos(image: Path, folder: Path, commands: Sequence[tuple[str, ...]]) -> Path:
    """A guest's initramfs that also has what each of `commands` loads; made in `folder`.

    As a second archive behind the first: sent through the guest's port it would take minutes.
    """
    files = sorted({file for command in commands for file in loaded(command)})
    with tempfile.TemporaryDirectory() as work:
        entries = [Entry(path, stat.S_IFREG | 0o755, data) for path, data in _entries(files, Path(work))]
    parents = {str(parent) for entry in entries for parent in Path(entry.path).parents} - {"."}
    both = folder / "with-damoos.cpio"
    archive = cpio([*(Entry(path, stat.S_IFDIR | 0o755) for path in sorted(parents)), *entries])
    both.write_bytes(image.read_bytes() + archive)
    return both


@functools.cache
def loaded(command: tuple[str, ...]) -> list[str]:
    """The files of all modules that `damoos COMMAND` has loaded when it ends, here and with the host switched off."""
    with tempfile.TemporaryDirectory() as work:
        plant(FakeTree("7.3"), Path(work, "root"))
        argv = [word.replace("{root}", f"{work}/root") for word in command]
        done = subprocess.run(
            [sys.executable, "-c", _LIST, f"{work}/files", *argv],
            capture_output=True,
            text=True,
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "DAMOOS_HOST_BACKEND": "off"},
        )
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
        return json.loads(Path(work, "files").read_text())


def _entries(files: list[str], work: Path) -> Iterator[tuple[str, bytes]]:
    libraries = [file for file in files if not file.endswith(".py")]
    for file in (*libraries, *_linked(libraries)):
        yield _there(file), Path(file).read_bytes()
    for file in files:
        if file.endswith(".py") and not file.startswith(f"{CHECKOUT}/damoos/"):
            yield f"{_there(file)}c", _compiled(file, work)
    for source in sorted((CHECKOUT / "damoos").rglob("*.py")):
        # With its source, since some of them are sent elsewhere or run as programs.
        yield _there(str(source)), source.read_bytes()
        cached = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        yield _there(str(cached)), _compiled(str(source), work)
    for folder in CATALOGUES:
        for file in (CHECKOUT / folder).rglob("*"):
            if file.is_file():
                yield f"{HOME[1:]}/damoos/_catalogue/{file.relative_to(CHECKOUT)}", file.read_bytes()
    yield MAIN[1:], b"from damoos.cli.main import main\nmain()\n"


def _there(file: str) -> str:
    """Where a file of this machine is in the guest (no leading slash): packages in one folder, the rest where it is."""
    for folder in (*site.getsitepackages(), str(CHECKOUT)):
        if file.startswith(f"{folder}/"):
            return f"{HOME}/{file.removeprefix(f'{folder}/')}".lstrip("/")
    # The guest's interpreter has its library where this one has it, without links.
    return f"{os.path.realpath(os.path.dirname(file))}/{os.path.basename(file)}".lstrip("/")


def _compiled(source: str, work: Path) -> bytes:
    target = work / "compiled"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, cfile=str(target), dfile=source, doraise=True, invalidation_mode=mode)
    return target.read_bytes()


def _linked(libraries: list[str]) -> list[str]:
    text = subprocess.run(["ldd", *libraries], capture_output=True, text=True).stdout
    return sorted({os.path.normpath(file) for file in re.findall(r"=>\s+(/\S+) \(0x", text)})
