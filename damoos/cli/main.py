"""The `damoos` command: finds the sub-command, loads it, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from damoos import __version__
from damoos.errors import DamoosError

from .options import Catalogue

# Named, not imported: a command's module is loaded when that command is asked for, so that `damoos --help` stays quick.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("damoos.cli.run", "Run a workload once and show what it did."),
    "tune": ("damoos.cli.tune", "Find the scheme that suits a workload best."),
    "show": ("damoos.cli.show", "Show the result of a finished tuning."),
    "workloads": ("damoos.cli.workloads", "List and show the workloads that come with damoos."),
    "envs": ("damoos.cli.envs", "List and show the tuning environments (what may be changed, and the goal)."),
    "strategies": ("damoos.cli.strategies", "List and explain the strategies that can search."),
    "rl": ("damoos.cli.rl", "Learn policies, measure them, show what there is."),
    "bench": ("damoos.cli.bench", "Compare strategies: run an experiment, or replay landscapes that were measured."),
    "validate": ("damoos.cli.validate", "Run rows of an experiment again, and tell what agrees."),
    "doctor": ("damoos.cli.doctor", "Show what this machine's kernel can do, and how to get what is missing."),
    "touch": ("damoos.cli.touch", "Run a workload's accesses on real memory of this machine."),
    "calibrate": ("damoos.cli.calibrate", "Measure a machine, and write the simulator's model of it."),
    "vm": ("damoos.cli.vm", "Virtual machines with real kernels."),
}


class LazyGroup(TyperGroup):
    """Lists the commands from `COMMANDS` and imports the one that runs; reports errors in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, (_, summary) in COMMANDS.items():
            self.add_command(TyperCommand(name=name, help=summary), name)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        assert name is not None  # only None while a shell completes words, which never gets here
        command = typer.main.get_command(importlib.import_module(COMMANDS[name][0]).app)
        command.name = name
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DamoosError as error:
            if os.environ.get("DAMOOS_DEBUG") == "1":
                raise
            typer.echo(f"damoos: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.filename is None or os.environ.get("DAMOOS_DEBUG") == "1":
                raise
            typer.echo(f"damoos: {error.filename}: {error.strerror}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("damoos: interrupted", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"damoos {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    catalogue: Catalogue = None,
) -> None:
    """Finds the DAMON/DAMOS scheme that suits a workload.

    Start here:

      damoos workloads list             what can be run
      damoos run zigzag                 one run, on the simulator
      damoos tune zigzag --trials 50    search, verify, write a report
      damoos COMMAND --help             options and more examples
    """


def main() -> None:
    """The entry point. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted."""
    command = typer.main.get_command(app)
    try:
        command(prog_name="damoos")
    except Exception as error:
        if os.environ.get("DAMOOS_DEBUG") == "1":
            raise
        typer.echo(
            f"damoos: internal error: {type(error).__name__}: {error} (DAMOOS_DEBUG=1 shows the traceback)", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
