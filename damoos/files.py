"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Creates or replaces a file: nobody ever sees half of it, and where that fails the old one stays. Text is UTF-8.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
