"""`damoos workloads`: what can be run, and what it looks like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from damoos.errors import InputError

from . import console
from .options import Catalogue, Workload

if TYPE_CHECKING:
    from rich.console import Console

    from damoos.workload.about import About
    from damoos.workload.masim import MasimWorkload, Phase
    from damoos.workload.processes import AnyMasim

# Of the zram machine model; on it depends how often small probabilities hit.
ACCESSES_PER_MS = 60_000.0
MAP_WIDTH = 110
MAP_ROWS = 16
PHASES_SHOWN = 12

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List and show the workloads that come with damoos.")


@app.command(name="list")
def list_workloads(
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the workloads of one group, such as parsec.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """List the workloads of the catalogue: name, what it is, memory, nominal length, number of phases.

    Groups come after the single ones; --group shows one of them alone.

    Examples:

      damoos workloads list
      damoos workloads list --group parsec
      damoos workloads list --json | jq -r '.[].name'
      damoos workloads list --catalogue my-catalogue     (with a folder workloads inside)
    """
    from damoos.catalogue import find, group_of, names
    from damoos.workload.processes import names_processes

    paths = [find("workloads", name) for name in names("workloads")]
    paths = [path for path in paths if path.suffix == ".cfg" or names_processes(path)]
    groups = {path: group_of("workloads", path) for path in paths}
    if group is not None and group not in groups.values():
        known = ", ".join(sorted(set(groups.values()) - {""})) or "nothing"
        raise InputError("no such group", field="--group", value=group, allowed=known)
    wanted = sorted({name for name in groups.values() if group in (None, name)})
    found = {name: [_load(str(path)) for path in paths if groups[path] == name] for name in wanted}
    if as_json:
        trees = [_as_tree(workload, text) for listed in found.values() for workload, text, _ in listed]
        typer.echo(json.dumps(trees, indent=1))
        return
    screen = console.stdout()
    for name, entries in found.items():
        if name:
            screen.print()
            screen.print(name, style="bold")
        _print_list(screen, entries)


def _print_list(screen: Console, found: Sequence[tuple[AnyMasim, About | None, str]]) -> None:
    from damoos.report import numbers

    from .run_text import plain_table

    table = plain_table("name", "what it is", "footprint", "length", "phases", left=2)
    table.columns[0].no_wrap = True
    for workload, text, _ in found:
        table.add_row(
            workload.name,
            text.title if text else "",
            text.footprint if text else numbers.size(workload.footprint_bytes),
            f"{workload.duration_ms / 1000:.4g} s",
            _length(workload),
        )
    screen.print(table)


def _length(workload: AnyMasim) -> str:
    from damoos.workload.masim import MasimWorkload

    if isinstance(workload, MasimWorkload):
        return str(len(workload.phases))
    return _counted(len(workload.processes), "process")


@app.command()
def show(
    workload: Workload,
    rate: Annotated[
        float,
        typer.Option(
            min=1e-3,
            metavar="N",
            help="Accesses per ms to draw for. The default is the zram machine's sequential rate.",
        ),
    ] = ACCESSES_PER_MS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, without the picture.")] = False,
    as_cfg: Annotated[bool, typer.Option("--cfg", help="Print the configuration as masim reads it.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Show WORKLOAD: what it stands for, its regions and phases, and when it touches which memory; of one of several
    processes, each of them.

    Examples:

      damoos workloads show zigzag
      damoos workloads show my.cfg
      damoos workloads show graded --rate 5000     on a slower machine
      damoos workloads show generated-train-17     one of those drawn at random
      damoos workloads show generated-train-17 --cfg > mine.cfg
    """
    from damoos.workload import masim
    from damoos.workload.processes import ProcessesWorkload, processes_of

    program, text, path = _load(workload)
    if as_json:
        typer.echo(json.dumps(_as_tree(program, text), indent=1))
        return
    if as_cfg:
        if isinstance(program, ProcessesWorkload):
            names = ", ".join(process.name for process in program.processes)
            raise InputError("several processes, each with its own", field="--cfg", value=workload, allowed=names)
        typer.echo(masim.dumps(program), nl=False)
        return
    screen = console.stdout()
    _print_text(screen, program, text, path)
    for process in processes_of(program):
        _print_phases(screen, process, heading=process.name if isinstance(program, ProcessesWorkload) else None)
    _print_map(screen, program, rate)


def _load(name: str) -> tuple[AnyMasim, About | None, str]:
    from damoos.catalogue import find
    from damoos.workload import generated
    from damoos.workload.about import about
    from damoos.workload.processes import find_masim

    workload = find_masim(name)
    if generated.named(name) is not None:
        return workload, None, "none: it follows from the name"
    path = find("workloads", name)
    return workload, about(path, workload), str(path)


def _as_tree(workload: AnyMasim, text: About | None) -> dict[str, Any]:
    import dataclasses

    from damoos.workload.masim import MasimWorkload

    tree = {
        "format": 1,
        "name": workload.name,
        "about": None if text is None else dataclasses.asdict(text),
        "footprint_bytes": workload.footprint_bytes,
        "duration_ms": workload.duration_ms,
    }
    if not isinstance(workload, MasimWorkload):
        return tree | {"processes": [_as_tree(process, None) for process in workload.processes]}
    return tree | {
        "regions": [dataclasses.asdict(region) for region in workload.regions],
        "phases": [dataclasses.asdict(phase) for phase in workload.phases],
    }


def _print_text(screen: Console, workload: AnyMasim, text: About | None, path: str) -> None:
    from damoos.report import numbers
    from damoos.workload.masim import MasimWorkload

    screen.print(f"{workload.name}: {text.title}" if text else workload.name, style="bold")
    size = text.footprint if text else numbers.size(workload.footprint_bytes)
    parts = _counted(len(workload.phases), "phase") if isinstance(workload, MasimWorkload) else _length(workload)
    screen.print(f"{size} in {_counted(len(workload.regions), 'region')}, {workload.duration_ms / 1000:g} s in {parts}")
    if text:
        screen.print()
        screen.print(text.description)
        screen.print(f"tags: {', '.join(text.tags)}", style="dim")
        screen.print(f"source: {text.source}", style="dim")
    screen.print(f"file: {path}", style="dim", soft_wrap=True)
    filled = [region for region in workload.regions if region.data_file is not None]
    for region in filled:
        screen.print(f"{region.name} is filled at the start from {region.data_file}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('ss') else 's'}"


def _print_phases(screen: Console, workload: MasimWorkload, heading: str | None) -> None:
    from damoos.report import numbers

    from .run_text import plain_table

    table = plain_table("phase", "length", "region", "share", "access", left=1)
    table.columns[2].justify = table.columns[4].justify = "left"
    for phase in workload.phases[:PHASES_SHOWN]:
        cells = _patterns(phase) or [("", "", "sleeps")]
        for i, (region, share, access) in enumerate(cells):
            head = (phase.name, numbers.seconds(phase.ms / 1000)) if i == 0 else ("", "")
            table.add_row(*head, region, share, access)
    screen.print()
    if heading is not None:
        screen.print(heading, style="bold")
    screen.print(table)
    if len(workload.phases) > PHASES_SHOWN:
        screen.print(f"and {_counted(len(workload.phases) - PHASES_SHOWN, 'more phase')}", style="dim")


def _patterns(phase: Phase) -> list[tuple[str, str, str]]:
    total = sum(pattern.probability for pattern in phase.patterns)
    words = {"ro": "reads", "wo": "writes", "rw": "reads and writes"}
    return [
        (
            pattern.region,
            f"{100 * pattern.probability / total:.3g} %" if total else "0 %",
            f"{words[pattern.rw_mode]} {'at random' if pattern.random else f'every {pattern.stride} bytes'}",
        )
        for pattern in phase.patterns
    ]


def _print_map(screen: Console, workload: AnyMasim, rate: float) -> None:
    from damoos.report.heatmap import expected_map, terminal_lines
    from damoos.workload.access import WINDOW_MS

    labels = max(len(f"{region.name} 000 MiB") for region in workload.regions)
    columns = max(16, min(screen.width, MAP_WIDTH) - labels - 6)
    picture = expected_map(workload, rate, columns=columns, rows=MAP_ROWS)
    screen.print()
    screen.print(f"Chance that a page is touched within {WINDOW_MS:.0f} ms, at {rate:g} accesses per ms", style="bold")
    colour = screen.color_system is not None and not screen.no_color
    for line in terminal_lines(picture, unicode=console.takes_unicode(screen), colour=colour):
        screen.print(line, crop=True)
