"""How the simulator's kernels are compiled, and where the compiled code is kept.

numba's cache notices edits of the file that a cached function is in, not of modules that it inlines. Since the
mechanisms of the simulator live in a file each, the cache folder is keyed by a hash of all of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_njit: Any = numba.njit  # its annotations leave out options that it has


def _cache_dir() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    root = os.environ.get("DAMOOS_CACHE") or str(Path(base) / "damoos")
    return str(Path(root) / "numba" / f"{numba.__version__}-{digest.hexdigest()[:16]}")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a mechanism that is only called from other compiled code; see `callable_kernel` for tests.

    Without the wrappers that Python and C would call, which take a seventh of the time to compile.
    """
    return _njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def callable_kernel(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that Python can call too."""

    def call(*arguments: Any) -> Any:
        return compiled(*arguments)

    return _njit(call)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles an entry point that Python calls; its machine code, everything inlined, is kept on disk."""
    # numba picks the cache's place when the function is decorated; restored so that other users of numba in this
    # process keep theirs.
    settings: Any = numba.config
    before = settings.CACHE_DIR
    if not before:
        settings.CACHE_DIR = _cache_dir()
    try:
        return _njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        settings.CACHE_DIR = before
