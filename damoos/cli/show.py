"""`damoos show`: the result of a finished study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .options import Verbose

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def show(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="A folder that `damoos tune` wrote, or its result.json.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show what a study found: verdict, comparison, scheme, files and what to do next.

    Examples:

      damoos show damoos-out/zigzag-reclaim
      damoos show damoos-out/zigzag-reclaim -v     the whole configuration, too
      damoos show result.json --json | jq .verification.verdict
    """
    from damoos.tune.outputs import read_outcome

    outcome = read_outcome(result)
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=1))
        return
    from .summary import print_summary

    folder = result if result.is_dir() else result.parent
    print_summary(console.stdout(), outcome, folder, verbose=verbose)
