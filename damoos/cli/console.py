"""Where text goes: results to stdout, everything else to stderr; plain when not a terminal."""

from __future__ import annotations

import io
import sys
from typing import TextIO

from rich.console import Console


def stdout() -> Console:
    """The console for results. No markup, so that names and paths with brackets print as they are."""
    return _console(sys.stdout, stderr=False)


def stderr() -> Console:
    """The console for progress and remarks."""
    return _console(sys.stderr, stderr=True)


def _console(stream: TextIO, *, stderr: bool) -> Console:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a "?" for ± where the encoding has none, not a crash
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def takes_unicode(console: Console) -> bool:
    """Whether block characters can be written to `console`."""
    return console.encoding.lower().startswith("utf")
