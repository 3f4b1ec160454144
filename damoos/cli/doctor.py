"""`damoos doctor`: what this kernel can do, and what to do about the rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console

if TYPE_CHECKING:
    from damoos.ops.doctor import Diagnosis, Finding
    from damoos.ops.undo import Undone

_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}
_NAME_WIDTH = 11

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def doctor(
    host: Annotated[
        str,
        typer.Argument(
            metavar="[HOST]",
            help="host: this machine; vm, vm:7.3: boots one; vm:NAME: one that runs already; ssh:USER@HOST.",
        ),
    ] = "host",
    root: Annotated[
        Path, typer.Option(exists=True, file_okay=False, metavar="DIR", help="Where the machine's /sys and /proc are.")
    ] = Path("/"),
    restore: Annotated[
        bool, typer.Option("--restore", help="Undo what a damoos that was killed has left; then look.")
    ] = False,
    restore_anyway: Annotated[
        bool, typer.Option("--restore-anyway", help="The same, also if somebody has staged something since.")
    ] = False,
    try_words: Annotated[
        bool, typer.Option("--try", help="Try what the kernel takes (needs root and a free DAMON); all is put back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a machine's kernel can do for damoos, who uses DAMON now, and how to get what is missing.

    Only looks, unless told --restore or --try. Exit code 0: damoos can tune there now; 1: it can't, see BAD, or not all
    could be undone; 2: wrong input, or undoing would disturb somebody.

    Examples:

      sudo damoos doctor
      sudo damoos doctor --restore          after a kill -9 or a crash
      damoos doctor --json | jq .ready
      damoos doctor vm:7.3 --try            what that kernel's DAMON takes
      damoos doctor ssh:me@server
    """
    from damoos.ops.doctor import examine
    from damoos.ops.sites import open_site
    from damoos.ops.undo import undo

    with open_site(host, root) as site:
        undone = undo(site, anyway=restore_anyway) if restore or restore_anyway else None
        diagnosis = examine(site, try_words=try_words)
    if as_json:
        typer.echo(json.dumps(_as_tree(diagnosis, undone), indent=1))
    else:
        _show(diagnosis, undone)
    raise typer.Exit(0 if diagnosis.ready and (undone is None or undone.complete) else 1)


def _as_tree(diagnosis: Diagnosis, undone: Undone | None) -> dict[str, object]:
    tree: dict[str, object] = {"ready": diagnosis.ready} | dataclasses.asdict(diagnosis)
    if undone is not None:
        tree["restored"] = dataclasses.asdict(undone.own) | {
            "agent": None if undone.agent is None else dataclasses.asdict(undone.agent)
        }
    return tree


def _show(diagnosis: Diagnosis, undone: Undone | None) -> None:
    out = console.stdout()
    if undone is not None:
        for line in _undone(undone):
            out.print(line, soft_wrap=True)
    for finding in diagnosis.findings:
        for line in _lines(finding):
            out.print(line, soft_wrap=True)
    where = "here" if diagnosis.host.startswith("host") else f"on {diagnosis.host}"
    out.print(f"damoos can tune {where}." if diagnosis.ready else f"damoos can't tune {where}: see BAD.")


def _undone(undone: Undone) -> list[str]:
    from damoos.kernel.journal import Restored

    agent, own, lines = undone.agent, undone.own, []
    if agent is not None:
        lines.append(
            f"restored after an agent: processes ended: {agent.killed}, files written: {len(agent.restored)}, "
            f"no longer there: {len(agent.gone)}, failed: {len(agent.failed)}"
        )
        lines += [f"  failed: {path}: {why}" for path, why in agent.failed]
    if agent is None or own != Restored(note="nothing to undo"):
        what = f"kdamonds stopped: {len(own.stopped)}, files written: {len(own.written)}"
        lines.append(f"restored: {own.note or what}")
    return lines


def _lines(finding: Finding) -> list[str]:
    means = f": {finding.means}" if finding.means else ""
    lines = [f"{_MARKS[finding.verdict]} {finding.name:<{_NAME_WIDTH}}{finding.found}{means}"]
    if finding.fix:
        lines.append(f"{'':{5 + _NAME_WIDTH}}fix: {finding.fix}")
    return lines
