"""Waiting for the lock of DAMON's sysfs.

Kernel: `damon_sysfs_lock` is only ever tried, never waited for. It is held for as long as a command to `state` takes,
up to the longest apply interval; meanwhile `state`, `pid`, counts and paths answer EBUSY, reads included.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from damoos.errors import HostError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """For how long (s) and how often (every `pause_s`, s) something is tried again while the kernel says EBUSY."""

    deadline_s: float = 10.0
    pause_s: float = 0.005

    def __call__(self, action: Callable[[], T]) -> T:
        """What `action` returns, once it does not fail with EBUSY. Raises its HostError after the deadline."""
        until = time.monotonic() + self.deadline_s
        while True:
            try:
                return action()
            except HostError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= until:
                    raise
                time.sleep(self.pause_s)
