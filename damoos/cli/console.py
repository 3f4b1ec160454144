"""Where text goes: results to stdout, everything else to stderr; plain when not a terminal."""

from __future__ import annotations

from rich.console import Console


def stdout() -> Console:
    """The console for results. No markup, so that names and paths with brackets print as they are."""
    return Console(highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """The console for progress and remarks."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def takes_unicode(console: Console) -> bool:
    """Whether block characters can be written to `console`."""
    return console.encoding.lower().startswith("utf")
