"""`damoos calibrate`: measures a machine, and writes the simulator's model of it."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from damoos import __version__

from . import console
from .options import Catalogue

if TYPE_CHECKING:
    from damoos.backend.base import Backend as BackendType
    from damoos.ops.calibrate import Calibration, Progress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

LIKE = {"virtual": "vm-lab"}
LIKE_ELSEWHERE = "zram"
DEFAULT_REPEATS = 3


@app.command()
def calibrate(
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What to measure: vm or vm:7.3, a virtual machine; host, this machine; ssh:USER@HOST, another one; "
            "sim:MACHINE, to see how well this works.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the model: NAME.toml.", show_default=False)],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="MACHINE",
            help="Model that gives what is not measured. Default: vm-lab for virtual time, else zram.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The model's title; by default the backend and its kernel.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, metavar="N", help="How often everything is measured.")
    ] = DEFAULT_REPEATS,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Measure a machine in about two minutes of its time and write a model of it for the simulator.

    What the model then says of this machine is as good as nothing else ran there meanwhile: leave it alone.
    The kernel's swap has to be on, or else costs of page-out are not measured.

    Examples:

      damoos calibrate --backend vm:7.3 --out guest.toml
      damoos calibrate --backend host --out here.toml --repeats 5
      damoos calibrate --backend ssh:root@server --out server.toml --like nvme-swap
      damoos tune zigzag --machine here.toml
    """
    from damoos.backend.registry import open_backend
    from damoos.ops.calibrate import calibrate as measure
    from damoos.ops.calibrate_file import check_target, model_text, write_model
    from damoos.sim.machine import load_machine

    check_target(out, force=force)
    named = None if like is None else load_machine(like)
    with closing(open_backend(backend)) as place:
        base = named or load_machine(LIKE.get(place.time_kind, LIKE_ELSEWHERE))
        with _progress(place) as progress:
            found = measure(place, base, repeats, progress)
    offered = found.capabilities
    text = model_text(
        found,
        title=title or f"{offered.backend}, Linux {offered.kernel}",
        command=_command(backend, out, like, title, repeats),
        date=datetime.date.today().isoformat(),
        version=__version__,
    )
    write_model(out, text, force=force)
    _print(found, out)


def _command(backend: str, out: Path, like: str | None, title: str | None, repeats: int) -> str:
    options = {"--backend": backend, "--out": str(out), "--like": like, "--title": title}
    if repeats != DEFAULT_REPEATS:
        options["--repeats"] = str(repeats)
    words = [word for option, value in options.items() if value is not None for word in (option, value)]
    return shlex.join(["damoos", "calibrate", *words])


@contextmanager
def _progress(place: BackendType) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    screen = console.stderr()
    bars = Progress(
        TextColumn("{task.description:<16}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    with bars:
        task = bars.add_task("connecting")

        def step(stage: str, done: int, total: int) -> None:
            bars.update(task, description=stage, completed=done, total=total)
            if not screen.is_terminal and stage and done * len(_SPOKEN) % total < len(_SPOKEN):
                screen.print(f"{place.name}: {done}/{total}, {stage}")

        yield step


_SPOKEN = range(6)
"""That many lines where there is no bar."""


def _print(found: Calibration, out: Path) -> None:
    from damoos.ops.calibrate_file import number_text, spread_text

    screen, remarks, offered = console.stdout(), console.stderr(), found.capabilities
    screen.print(
        f"{offered.backend}, Linux {offered.kernel}, {offered.time_kind} time (least to greatest)", soft_wrap=True
    )
    for name, each in found.measured.items():
        text = number_text(found.values[name])
        if name == "shared_cpu":
            text = "yes" if found.values[name] else "no"
        elif spread := spread_text(each):
            text += f" ({spread})"
        screen.print(f"  {name:<22}{text}")
    if found.taken_over:
        screen.print(f"as in {found.like}: {', '.join(found.taken_over)}", soft_wrap=True)
    if not found.swaps:
        remarks.print("page-out was not measured: nothing was paged out there (is swap on? `swapon --show`)")
    remarks.print(f"model: {out}", soft_wrap=True)
