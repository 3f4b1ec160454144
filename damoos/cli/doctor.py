"""`damoos doctor`: what this kernel can do, and what to do about the rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console

if TYPE_CHECKING:
    from damoos.kernel.journal import Restored
    from damoos.ops.doctor import Diagnosis, Finding

_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}
_NAME_WIDTH = 11

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def doctor(
    root: Annotated[
        Path, typer.Option(exists=True, file_okay=False, metavar="DIR", help="Where the machine's /sys and /proc are.")
    ] = Path("/"),
    restore: Annotated[
        bool, typer.Option("--restore", help="Undo what a damoos that was killed has left; then look.")
    ] = False,
    try_words: Annotated[
        bool, typer.Option("--try", help="Try what the kernel takes (needs root and a free DAMON); all is put back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what this machine's kernel can do for damoos, who uses DAMON now, and how to get what is missing.

    Only looks, unless told --restore or --try. Exit code 0: damoos can tune here now; 1: it can't, see BAD.

    Examples:

      sudo damoos doctor
      sudo damoos doctor --restore          after a kill -9 or a crash
      damoos doctor --json | jq .ready
    """
    from damoos.kernel.host import LocalHost
    from damoos.ops.doctor import examine, undo

    host = LocalHost(root)
    undone = undo(host, root) if restore else None
    diagnosis = examine(host, root, try_words=try_words)
    if as_json:
        typer.echo(json.dumps(_as_tree(diagnosis, undone), indent=1))
    else:
        _show(diagnosis, undone)
    raise typer.Exit(0 if diagnosis.ready else 1)


def _as_tree(diagnosis: Diagnosis, undone: Restored | None) -> dict[str, object]:
    tree: dict[str, object] = {"ready": diagnosis.ready} | dataclasses.asdict(diagnosis)
    if undone is not None:
        tree["restored"] = dataclasses.asdict(undone)
    return tree


def _show(diagnosis: Diagnosis, undone: Restored | None) -> None:
    out = console.stdout()
    if undone is not None:
        out.print(f"restored: {undone.note or _what(undone)}", soft_wrap=True)
    for finding in diagnosis.findings:
        for line in _lines(finding):
            out.print(line, soft_wrap=True)
    out.print("damoos can tune here." if diagnosis.ready else "damoos can't tune here: see BAD.")


def _what(undone: Restored) -> str:
    return f"kdamonds stopped: {len(undone.stopped)}, files written: {len(undone.written)}"


def _lines(finding: Finding) -> list[str]:
    means = f": {finding.means}" if finding.means else ""
    lines = [f"{_MARKS[finding.verdict]} {finding.name:<{_NAME_WIDTH}}{finding.found}{means}"]
    if finding.fix:
        lines.append(f"{'':{5 + _NAME_WIDTH}}fix: {finding.fix}")
    return lines
