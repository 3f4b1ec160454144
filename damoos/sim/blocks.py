"""Memory for the arrays of runs: cut from chunks of huge pages, and used again when a run is gone.

What fresh memory costs in page faults is more than all else that begins a run, and the arrays of hundreds of runs that
are stepped in turn lie too far apart for the TLB in small pages.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from sys import getrefcount
from threading import RLock
from typing import Any

_GRAIN = 1 << 16
"""Blocks are whole multiples of that, so that those of runs of about the same size can stand in for each other."""
_CHUNK, _HUGE_PAGE = 16 << 20, 2 << 20
SPARE_BYTES = 64 << 20
"""As much as that is kept of runs that are gone."""
_UNUSED = 3
"""References to a block that nobody else has: a variable each here and in the caller, and an argument."""


class Blocks:
    """Blocks of memory, ctypes arrays of bytes, so that arrays in one, and slices of these, refer to it as their base;
    for several threads."""

    def __init__(self) -> None:
        self.spare: dict[int, list[Any]] = {}
        # Garbage may be collected, and given back, while a block is taken.
        self._lock = RLock()
        self._chunk = _fresh(mmap.PAGESIZE)
        self._first, self._left = 0, 0

    def take(self, n_bytes: int) -> Any:
        """A block of at least that size, with anything in it."""
        size = -(-n_bytes // _GRAIN) * _GRAIN
        with self._lock:
            if self.spare.get(size):
                return self.spare[size].pop()
            kind = ctypes.c_uint8 * size
            if size > _CHUNK // 4:
                return kind.from_buffer(_fresh(size))
            if size > self._left:
                self._begin_chunk()
            self._first, self._left = self._first + size, self._left - size
            return kind.from_buffer(self._chunk, self._first - size)

    def give_back(self, block: Any) -> None:
        """Keeps a block for later if the caller's variable is all that refers to it."""
        with self._lock:
            kept = sum(size * len(blocks) for size, blocks in self.spare.items())
            if getrefcount(block) == _UNUSED and kept + len(block) <= SPARE_BYTES:
                self.spare.setdefault(len(block), []).append(block)

    def _begin_chunk(self) -> None:
        self._chunk = _fresh(_CHUNK + _HUGE_PAGE)
        with suppress(OSError):  # a kernel without huge pages
            self._chunk.madvise(mmap.MADV_HUGEPAGE)
        address = ctypes.addressof(ctypes.c_uint8.from_buffer(self._chunk))
        self._first, self._left = -address % _HUGE_PAGE, _CHUNK


def _fresh(n_bytes: int) -> mmap.mmap:
    return mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


BLOCKS = Blocks()
"""Those of this process."""
