"""Writes the tables of experiments in the documents: `python -m damoos.experiment.readme`.

`experiments/README.md` lists the experiments; `docs/strategies.md` has, for each that was published (`damoos bench
--publish`), what came of it.
"""

from __future__ import annotations

from pathlib import Path

from damoos.catalogue import markdown_table, read_toml, renew_table

from .keys import named_tasks
from .leaderboard import Results, leaderboard, read_results
from .matrix import FILE
from .outputs import RESULTS

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "experiments" / "README.md"
PAGES = (CHECKOUT / "docs" / "strategies.md", CHECKOUT / "docs" / "rl.md")
"""Where leaderboards are shown: each on the first of these that has a place for it."""
COLUMNS = ("experiment", "what it compares on", "backend", "tasks", "strategies", "seeds", "runs")


def renewed_readme(readme: Path) -> str:
    """The text of the page with the table of the experiments beside it. Raises ConfigError."""
    rows = []
    for path in sorted(readme.parent.glob(f"*/{FILE}")):
        table = read_toml(path)
        tasks, link = named_tasks(table), f"[`{path.parent.name}`]({path.parent.name}/{FILE})"
        backends = ", ".join(f"`{backend}`" for backend in dict.fromkeys(task.backend for task in tasks))
        numbers = [len(tasks), len(table["strategies"]), table["seeds"], table["budget"]]
        rows.append([link, table["title"], backends, *map(str, numbers)])
    return renew_table(readme, "experiments", markdown_table(COLUMNS, rows))


def published(readme: Path = README) -> list[str]:
    """The experiments with results beside them."""
    return [path.parent.name for path in sorted(readme.parent.glob(f"*/{RESULTS}"))]


def page_of(name: str) -> Path:
    """The page for the leaderboard of the experiment of that name."""
    mark = f"<!-- table: {name} -->"
    return next((page for page in PAGES if mark in page.read_text(encoding="utf-8")), PAGES[0])


def renewed_page(page: Path, name: str) -> str:
    """The text of the page with the leaderboard of the experiment of that name. Raises ConfigError."""
    results = read_results(README.parent / name / RESULTS)
    return renew_table(page, name, f"{markdown_table(*leaderboard(results))}\n{_made(results)}\n")


def _made(results: Results) -> str:
    seeds, wanted = results.comparison.seeds, results.wanted_seeds
    tried = "" if seeds == wanted else f" (a trial: the experiment asks for {wanted})"
    return f"{len(results.comparison.tasks)} tasks, {seeds} seeds{tried}; reproduce: `{results.command}`."


def main() -> None:
    """Renews all tables."""
    README.write_text(renewed_readme(README), encoding="utf-8")
    for name in published():
        page = page_of(name)
        page.write_text(renewed_page(page, name), encoding="utf-8")


if __name__ == "__main__":
    main()
