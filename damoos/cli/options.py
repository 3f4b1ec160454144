"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from damoos.errors import InputError

DEFAULT_BACKEND = "sim:zram"


class Timing(StrEnum):
    """What a workload's milliseconds mean; see `damoos.workload.pace.Pace`."""

    WORK = "work"
    TIME = "time"


def set_catalogue(folder: Path | None) -> Path | None:
    """Makes `folder` the first place to look for data files, in this process and those it starts."""
    if folder is not None:
        os.environ["DAMOOS_CATALOGUE"] = str(folder)
    return folder


Workload = Annotated[
    str,
    typer.Argument(
        metavar="WORKLOAD",
        help="A name from `damoos workloads list`, or a masim configuration file.",
        show_default=False,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Where to run: sim:MACHINE, the simulator of a machine model ({DEFAULT_BACKEND}); vm or vm:7.3, a real "
        "kernel in a virtual machine; host, this machine's kernel; ssh:USER@HOST, another machine's.",
        show_default=False,
    ),
]
Machine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Machine model of the simulator: zram, nvme-swap, tiered, small, vm, vm-lab; short for --backend.",
    ),
]
TimingOption = Annotated[
    Timing,
    typer.Option(
        metavar="KIND",
        help="work: a phase is an amount of work, so slower memory lengthens the run. "
        "time: a phase lasts its milliseconds, as in masim.",
    ),
]
Catalogue = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        callback=set_catalogue,
        metavar="DIR",
        help="Look for workloads, envs and machines here first; also DAMOOS_CATALOGUE.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written to the kernel's files, and write nothing.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show more.")]


def backend_spec(backend: str | None, machine: str | None) -> str:
    """The backend that `--backend` and `--machine` name together. Raises InputError if they disagree."""
    if machine is None:
        return backend or DEFAULT_BACKEND
    if backend is None:
        return f"{DEFAULT_BACKEND.partition(':')[0]}:{machine}"
    name, _, detail = backend.partition(":")
    if detail not in ("", machine):
        raise InputError(f"--backend says {detail}, not {machine}", field="--machine", value=machine)
    return f"{name}:{machine}"
