"""The table of strategies in `docs/strategies.md`."""

from __future__ import annotations

from pathlib import Path

from damoos.catalogue import markdown_table, renew_table

from . import STRATEGIES, find_strategy

COLUMNS = ("name", "what it is", "takes", "needs")


def renewed(page: Path) -> str:
    """The text of the page with the table made anew."""
    return renew_table(page, "strategies", markdown_table(COLUMNS, [_row(name) for name in STRATEGIES]))


def _row(name: str) -> tuple[str, ...]:
    strategy = find_strategy(name)
    takes = []
    if not strategy.choices:
        takes.append("numbers")
    if strategy.several_objectives:
        takes.append("several objectives")
    if strategy.places:
        takes.append("an age")
    if strategy.watches:
        takes.append("a workload to watch")
    if strategy.most_parameters:
        takes.append(f"at most {strategy.most_parameters} parameters")
    if strategy.brings is not None:
        takes.append("brings its own scheme")
    needs = ", ".join(sorted({f"`damoos[{extra}]`" for _, extra in strategy.needs}))
    return f"`{name}`", strategy.title, ", ".join(takes), needs


if __name__ == "__main__":
    path = Path("docs/strategies.md")
    path.write_text(renewed(path), encoding="utf-8")
