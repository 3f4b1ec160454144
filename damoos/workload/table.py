"""Writes the table in `workloads/README.md`: `python -m damoos.workload.table`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from damoos.catalogue import markdown_table, renew_table
from damoos.files import write_whole

from .about import about
from .processes import ProcessesWorkload, find_masim

README = Path(__file__).parents[2] / "workloads" / "README.md"
COLUMNS = ("name", "what it is", "footprint", "length", "phases", "tags")


def rows(folder: Path) -> list[Sequence[str]]:
    """One row a workload of `folder`, by name."""
    found: list[Sequence[str]] = []
    for path in sorted([*folder.glob("*.cfg"), *folder.glob("*.toml")], key=lambda p: p.stem):
        if path.suffix == ".toml" and path.with_suffix(".cfg").is_file():
            continue
        workload = find_masim(str(path))
        text = about(path, workload)
        if text is not None:
            cells = (
                text.title,
                text.footprint,
                f"{text.length_s:g} s",
                f"{len(workload.processes)} processes"
                if isinstance(workload, ProcessesWorkload)
                else f"{len(workload.phases)}",
                ", ".join(text.tags),
            )
            found.append((f"`{path.stem}`", *cells))
    return found


def renewed(readme: Path) -> str:
    """The text of `readme` with a table of the workloads beside it. Raises ConfigError."""
    return renew_table(readme, "workloads", markdown_table(COLUMNS, rows(readme.parent)))


if __name__ == "__main__":
    write_whole(README, renewed(README))
