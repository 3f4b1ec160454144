"""`damoos strategies`: what can search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from damoos.workload.generated import in_brief

from . import console

if TYPE_CHECKING:
    from damoos.tune.strategies.base import Strategy

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List and explain the strategies that can search.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_strategies(as_json: AsJson = False) -> None:
    """List the strategies, those of other packages included.

    Examples:

      damoos strategies list
      damoos tune zigzag --strategy border
    """
    from damoos.tune.strategies import find_strategy, strategy_names

    from .run_text import plain_table

    found = [find_strategy(name) for name in strategy_names()]
    if as_json:
        typer.echo(json.dumps([_as_tree(strategy) for strategy in found], indent=1))
        return
    table = plain_table("name", "what it is", left=2)
    for strategy in found:
        table.add_row(strategy.name, strategy.title)
    console.stdout().print(table)


@app.command()
def show(
    strategy: Annotated[str, typer.Argument(metavar="NAME", help="A name from `damoos strategies list`.")],
    as_json: AsJson = False,
) -> None:
    """Explain a strategy: what it does, where it comes from, what it takes and what it needs.

    Examples:

      damoos strategies show border
    """
    from damoos.tune.strategies import find_strategy

    found = find_strategy(strategy)
    if as_json:
        typer.echo(json.dumps(_as_tree(found), indent=1))
        return
    screen = console.stdout()
    screen.print(f"{found.name}: {found.title}", style="bold")
    # Its lines are as long as the source's; a terminal breaks paragraphs where it ends.
    screen.print("\n\n".join(" ".join(paragraph.split()) for paragraph in found.text.strip().split("\n\n")))
    screen.print()
    for name, text in _facts(found):
        screen.print(f"{name:<11}{text}", soft_wrap=True)


def _facts(strategy: Strategy) -> list[tuple[str, str]]:
    takes = [
        "numbers and choices" if strategy.choices else "numbers only",
        "parameters that only sometimes count" if strategy.conditional else "no parameters that only sometimes count",
        "one objective or several" if strategy.several_objectives else "one objective",
    ]
    if strategy.most_parameters is not None:
        takes.append(f"{strategy.most_parameters} parameters at most")
    takes += [f"needs a parameter at {place}" for place in strategy.places]
    facts = [("source", strategy.source), ("takes", "; ".join(takes))]
    if strategy.uses_budget:
        facts.append(("trials", "what it proposes depends on --trials, so a study can't be made longer"))
    if strategy.watches:
        facts.append(("watches", "one monitored run first, which takes the place of a trial"))
    if strategy.brings is not None:
        facts.append(("kdamonds", "of its own, made of the env's; so it can't be compared on measured landscapes"))
    if strategy.repeats:
        facts.append(("repeats", f"a point on purpose: {strategy.repeats}"))
    facts.append(("learned", ", ".join(in_brief(strategy.learned_from)) or "nothing in advance"))
    if strategy.needs:
        packages = ", ".join(package for package, _ in strategy.needs)
        extras = ",".join(sorted({extra for _, extra in strategy.needs}))
        facts.append(("packages", f"{packages}; pip install 'damoos[{extras}]'"))
    return facts


def _as_tree(strategy: Strategy) -> dict[str, Any]:
    return {
        "format": 1,
        "name": strategy.name,
        "title": strategy.title,
        "text": strategy.text.strip(),
        "source": strategy.source,
        "choices": strategy.choices,
        "conditional": strategy.conditional,
        "several_objectives": strategy.several_objectives,
        "places": list(strategy.places),
        "most_parameters": strategy.most_parameters,
        "uses_budget": strategy.uses_budget,
        "watches": strategy.watches,
        "repeats": strategy.repeats,
        "own_kdamonds": strategy.brings is not None,
        "learned_from": list(strategy.learned_from),
        "needs": [list(need) for need in strategy.needs],
    }
