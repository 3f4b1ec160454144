"""Machine models as files: the text of what was calibrated, where each value comes from included."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from damoos.backend.base import Capabilities
from damoos.errors import InputError
from damoos.sim.machine import Machine

from .calibrate import Calibration

SUFFIX = ".toml"


def check_target(path: Path, *, force: bool) -> None:
    """Whether a model may be written there; to be asked before anything is measured. Raises InputError."""
    if path.suffix != SUFFIX:
        raise InputError("not a machine model's name", field="out", value=str(path), allowed=f"a file NAME{SUFFIX}")
    if not path.parent.is_dir():
        raise InputError("no such folder", field="out", value=str(path.parent), allowed="a folder that is there")
    if path.is_dir():
        raise InputError("is a folder", field="out", value=str(path), allowed=f"a file NAME{SUFFIX}")
    if path.exists() and not force:
        raise InputError("is there already", field="out", value=str(path), allowed="another name, or --force")


def write_model(path: Path, text: str, *, force: bool = False) -> None:
    """Writes a model, whole or not at all. Raises InputError as `check_target`, OSError."""
    check_target(path, force=force)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            os.fchmod(out.fileno(), 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def model_text(found: Calibration, *, title: str, command: str, date: str, version: str) -> str:
    """The model as TOML that `damoos.sim.machine.read_machine` reads: `command` is what made it, `date` its day."""
    offered, repeats = found.capabilities, max((len(each) for each in found.measured.values()), default=0)
    machine = found.machine("", title, _description(offered, date))
    lines = [
        f"# Made by `{' '.join(command.split())}`,",
        f"# damoos {version}, {date}: {offered.backend}, Linux {offered.kernel}, {offered.time_kind} time.",
        f"# Measured {repeats} times: the median; behind it the least and the greatest where they differ.",
        f"title = {_string(machine.title)}",
        f"description = {_string(machine.description)}",
        f"kernel = {_string(machine.kernel)}",
        *(_line(machine, name, each) for name, each in found.measured.items()),
    ]
    for names, why in (
        (found.taken_over, f"Not measured: as in machine model {found.like}."),
        (found.unused, "Not in use: kdamond has a CPU of its own there."),
    ):
        if names:
            lines += ["", f"# {why}", *(_line(machine, name) for name in names)]
    return "\n".join(lines) + "\n"


def _description(offered: Capabilities, date: str) -> str:
    return (
        f"Measured by damoos calibrate on {offered.backend}, Linux {offered.kernel}, {date}; costs are in "
        f"{offered.time_kind} time."
    )


def spread_text(each: Sequence[float]) -> str:
    """`8.1 to 8.4`, or nothing where all repeats found the same."""
    low, high = (number_text(value) for value in (min(each), max(each)))
    return "" if low == high else f"{low} to {high}"


def number_text(value: float) -> str:
    """Four significant digits, without an exponent from 1 on: more would look as if they meant something."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _line(machine: Machine, name: str, each: Sequence[float] = ()) -> str:
    value = getattr(machine, name)
    if isinstance(value, bool):
        return f"{name} = {str(value).lower()}"
    spread = spread_text(each) if each else ""
    text = str(value) if isinstance(value, int) else repr(float(number_text(value)))
    return f"{name} = {text}" + (f"  # {spread}" if spread else "")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
