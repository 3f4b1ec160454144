"""What a run would write, as text: each path with its old and new value, in order."""

from __future__ import annotations

from collections.abc import Iterable

from . import abi
from .plan import Write


def dry_run_text(writes: Iterable[Write], *, keywords: Iterable[tuple[str, str]] = ()) -> str:
    """A line a write: `path: old -> new`, then the `keywords` (path, word) that would go to `state`; no final newline.

    An empty text shows as "". Paths are relative to the kdamonds folder, which the first line names.
    """
    lines = [f"below {abi.KDAMONDS}:"]
    lines += [f"  {_short(write.path)}: {_shown(write.old)} -> {_shown(write.new)}" for write in writes]
    if len(lines) == 1:
        lines.append("  nothing to change")
    lines += [f"  {_short(path)} <- {word}" for path, word in keywords]
    return "\n".join(lines)


def _short(path: str) -> str:
    return path.removeprefix(f"{abi.KDAMONDS}/")


def _shown(value: str) -> str:
    return value or '""'
