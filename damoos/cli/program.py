"""What `damoos tune` and `damoos run` are to run: a WORKLOAD, a command after `--`, or something that runs already."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from damoos.errors import InputError

if TYPE_CHECKING:
    from damoos.backend.base import Workload
    from damoos.workload.attached import AttachedWorkload
    from damoos.workload.command import CommandWorkload, Metric

_ARGV = "damoos.argv"
_COMMAND, _ATTACH = "A command after --", "What runs already"
_ALLOWED = "WORKLOAD, a command after --, or one of --pid, --cgroup and --paddr"


class ProgramCommand(TyperCommand):
    """A command whose arguments after `--` are a program's, not its own; `argv_of` has them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_ARGV] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


def argv_of(ctx: typer.Context) -> tuple[str, ...] | None:
    """What stands after `--`; None without one."""
    return ctx.meta.get(_ARGV)


class Better(StrEnum):
    """Which of two numbers of a metric is better."""

    LOWER = "lower"
    HIGHER = "higher"


WorkloadOption = Annotated[
    str | None,
    typer.Argument(
        metavar="[WORKLOAD | -- COMMAND...]",
        help="A name from `damoos workloads list`, a masim configuration (.cfg), or a command's file (.toml); "
        "or a program with its arguments after --.",
        show_default=False,
    ),
]
Cwd = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder that it runs in; else this one.", rich_help_panel=_COMMAND),
]
SetEnv = Annotated[
    list[str] | None,
    typer.Option(metavar="K=V", help="A variable for it; may be repeated.", rich_help_panel=_COMMAND),
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", help='End it after TIME, such as "5 min": it failed then.', rich_help_panel=_COMMAND),
]
User = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose rights it gets; else those of who called sudo.", rich_help_panel=_COMMAND),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="The number that says how fast it is, instead of its runtime: output:REGEX (first group), file:PATH or "
        "url:URL. What runs already has the last two.",
        rich_help_panel=_COMMAND,
    ),
]
MetricPattern = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Where the number is in the file or URL.", rich_help_panel=_COMMAND),
]
BetterOption = Annotated[
    Better | None,
    typer.Option(metavar="KIND", help="Which numbers are better: lower (default), higher.", rich_help_panel=_COMMAND),
]
Pid = Annotated[int | None, typer.Option(metavar="N", help="A process and its children.", rich_help_panel=_ATTACH)]
Cgroup = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="The processes of a group below /sys/fs/cgroup.", rich_help_panel=_ATTACH),
]
Paddr = Annotated[bool, typer.Option("--paddr", help="All physical memory of the machine.", rich_help_panel=_ATTACH)]
Duration = Annotated[
    str | None,
    typer.Option(metavar="TIME", help='Length of one run, such as "30 s".', rich_help_panel=_ATTACH),
]


@dataclass(frozen=True)
class ProgramOptions:
    """The options above, as they were given."""

    workload: str | None
    argv: tuple[str, ...] | None
    cwd: str | None = None
    setenv: Sequence[str] | None = None
    timeout: str | None = None
    user: str | None = None
    metric: str | None = None
    metric_pattern: str | None = None
    better: Better | None = None
    pid: int | None = None
    cgroup: str | None = None
    paddr: bool = False
    duration: str | None = None


@dataclass(frozen=True)
class Asked:
    """What is to run, and the text by which it was asked for."""

    workload: Workload
    text: str

    @property
    def program(self) -> CommandWorkload | AttachedWorkload | None:
        """It, unless `text` is a name or file that says it all."""
        from damoos.workload.processes import AnyMasim

        return None if isinstance(self.workload, AnyMasim) else self.workload


def find_program(given: ProgramOptions) -> Asked:
    """The workload that the options mean together. Raises InputError naming those that don't fit."""
    from damoos.tune.program import find_workload
    from damoos.workload import command
    from damoos.workload.attached import attach

    sources: dict[str, object] = {
        "WORKLOAD": given.workload,
        "-- COMMAND": None if given.argv is None else shlex.join(given.argv),
        "--pid": given.pid,
        "--cgroup": given.cgroup,
        "--paddr": given.paddr or None,
    }
    named = [name for name, value in sources.items() if value is not None]
    if not named:
        raise InputError("nothing to run", field="WORKLOAD", allowed=_ALLOWED)
    if len(named) > 1:
        raise InputError(f"can't be given together with {named[0]}", field=named[1], value=sources[named[1]])
    source = named[0]
    _refuse_strangers(given, source)
    if given.workload is not None:
        return Asked(find_workload(given.workload), given.workload)
    metric = _metric(given)
    if given.argv is not None:
        program = command.command(
            given.argv,
            cwd=given.cwd,
            env=_variables(given.setenv or ()),
            timeout_s=None if given.timeout is None else seconds_of(given.timeout, "--timeout"),
            user=given.user,
            metric=metric,
        )
        return Asked(program, shlex.join(given.argv))
    if given.duration is None:
        raise InputError("missing", field="--duration", allowed='the length of one run, such as "30 s"')
    seconds = seconds_of(given.duration, "--duration")
    if given.pid is not None:
        return Asked(attach("pid", str(given.pid), seconds, metric), f"pid {given.pid}")
    if given.cgroup is not None:
        return Asked(attach("cgroup", given.cgroup, seconds, metric), f"cgroup {given.cgroup}")
    return Asked(attach("paddr", "", seconds, metric), "physical memory")


def _refuse_strangers(given: ProgramOptions, source: str) -> None:
    """Raises InputError for an option that says nothing about `source`."""
    for_command: Mapping[str, object] = {
        "--cwd": given.cwd,
        "--setenv": given.setenv or None,
        "--timeout": given.timeout,
        "--user": given.user,
    }
    for_metric: Mapping[str, object] = {
        "--metric": given.metric,
        "--metric-pattern": given.metric_pattern,
        "--better": given.better,
    }
    strangers: dict[str, object] = {}
    if source != "-- COMMAND":
        strangers |= for_command
    if source == "WORKLOAD":
        strangers |= for_metric
    if source in ("WORKLOAD", "-- COMMAND"):
        strangers["--duration"] = given.duration
    for option, value in strangers.items():
        if value is not None:
            hint = "; a .toml file says it itself" if source == "WORKLOAD" and option != "--duration" else ""
            raise InputError(f"can't be given together with {source}{hint}", field=option, value=value)
    if given.metric is None:
        for option in ("--metric-pattern", "--better"):
            if for_metric[option] is not None:
                raise InputError("says nothing without --metric", field=option, value=str(for_metric[option]))


def _metric(given: ProgramOptions) -> Metric | None:
    from damoos.workload.command import parse_metric

    if given.metric is None:
        return None
    return parse_metric(given.metric, given.metric_pattern, (given.better or Better.LOWER).value)


def _variables(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError("has no =", field="--setenv", value=pair, allowed="NAME=VALUE")
        found[name] = value
    return found


def seconds_of(text: str, option: str) -> float:
    """A length of time given to `option`, s. Raises InputError."""
    from damoos.units import parse_time_ms

    # A bare number is s, as in a command's file.
    try:
        return float(text)
    except ValueError:
        return parse_time_ms(text, field=option) / 1000
