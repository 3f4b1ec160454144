"""`damoos envs`: what can be tuned, and for which goal."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import console
from .options import Catalogue

if TYPE_CHECKING:
    from damoos.tune.preset import Env

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List and show the tuning environments.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_envs(as_json: AsJson = False, catalogue: Catalogue = None) -> None:
    """List the envs of the catalogue: name, what it is, its parameters.

    Examples:

      damoos envs list
      damoos envs list --json | jq -r '.[].name'
    """
    from damoos.catalogue import names
    from damoos.tune.preset import load_env

    from .run_text import plain_table

    found = [load_env(name) for name in names("envs")]
    if as_json:
        typer.echo(json.dumps([_as_tree(env) for env in found], indent=1))
        return
    table = plain_table("name", "what it is", "parameters", left=3)
    for env in found:
        table.add_row(env.name, env.title, ", ".join(p.name for p in env.info().parameters))
    console.stdout().print(table)


@app.command()
def show(
    env: Annotated[str, typer.Argument(metavar="ENV", help="A name from `damoos envs list`, or a TOML file.")],
    as_json: AsJson = False,
    catalogue: Catalogue = None,
) -> None:
    """Show ENV: what it is for, its parameters with ranges and defaults, the objective, and the default kdamonds.

    Examples:

      damoos envs show reclaim
      damoos envs show my-env.toml
    """
    from damoos.damon.describe import describe
    from damoos.tune.preset import load_env

    from .run_text import plain_table

    preset = load_env(env)
    if as_json:
        typer.echo(json.dumps(_as_tree(preset), indent=1))
        return
    screen = console.stdout()
    screen.print(f"{preset.name}: {preset.title}", style="bold")
    screen.print(preset.description)
    screen.print()
    table = plain_table("parameter", "range", "default", "what it is", left=4)
    for parameter in preset.info().parameters:
        reach = ", ".join(parameter.choices) or f"{parameter.low} to {parameter.high}"
        since = f" (Linux {parameter.since})" if parameter.since else ""
        table.add_row(parameter.name, reach, parameter.default, parameter.title + since)
    screen.print(table)
    screen.print()
    screen.print("Objective", style="bold")
    screen.print(f"  {preset.objective.info().description}", soft_wrap=True)
    screen.print("Default", style="bold")
    for line in describe(preset.space.kdamonds(preset.space.defaults())).splitlines():
        screen.print(f"  {line}", soft_wrap=True)


def _as_tree(env: Env) -> dict[str, Any]:
    return {"format": 1, **dataclasses.asdict(env.info()), "objective": dataclasses.asdict(env.objective.info())}
