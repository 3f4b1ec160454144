"""The trees of real kernels, as read from them: `tests/data/sysfs/tree-VERSION.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "sysfs"
KERNELS = ("6.12", "7.3")


@dataclass(frozen=True)
class Entry:
    """A file of a real tree: permission bits and what it read as, lines joined by a space."""

    mode: int
    value: str


def tree(kernel: str, running: bool = False) -> dict[str, Entry]:
    """Path below kdamonds/ -> file: with one of everything staged, or (`running`) while one stat scheme runs."""
    staged, _, ran = (DATA / f"tree-{kernel}.txt").read_text().partition("# The same while a vaddr kdamond")
    lines = re.finditer(r"^(\S+)\s+(\d{4})[ ]+=[ ]?(.*)$", ran if running else staged, re.MULTILINE)
    return {line[1]: Entry(int(line[2], 8), line[3]) for line in lines}
