"""Writes the table in `envs/README.md`: `python -m damoos.tune.table`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from damoos.catalogue import markdown_table, renew_table
from damoos.damon.features import FIRST_KERNEL
from damoos.files import write_whole

from .preset import load_env

README = Path(__file__).parents[2] / "envs" / "README.md"
COLUMNS = ("env, parameter", "what it is", "range", "scale", "default", "goes to", "Linux")


def rows(folder: Path) -> list[Sequence[str]]:
    """One row an env of `folder`, by name, and one for each of its parameters, with units."""
    found: list[Sequence[str]] = []
    for path in sorted(folder.glob("*.toml")):
        env = load_env(path)
        found.append((f"**`{env.name}`**", env.title, "", "", "", "", ""))
        for p in env.space.parameters:
            since = p.since or FIRST_KERNEL["contexts"]
            place = f"`{p.place}`"
            found.append((f"`{p.name}`", p.title, p.range_text, p.info().scale, p.text(p.default), place, since))
    return found


def renewed(readme: Path) -> str:
    """The text of `readme` with a table of the presets beside it. Raises ConfigError."""
    return renew_table(readme, "envs", markdown_table(COLUMNS, rows(readme.parent)))


if __name__ == "__main__":
    write_whole(README, renewed(README))
