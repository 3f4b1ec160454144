"""The files that an experiment leaves: rows, figures, leaderboard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from damoos.errors import MissingExtraError
from damoos.files import write_whole

from .leaderboard import Results, markdown
from .records import Course

ROWS, ROWS_PARQUET, RESULTS, LEADERBOARD = "rows.csv", "rows.parquet", "results.json", "leaderboard.md"
COLUMNS = (
    "task",
    "strategy",
    "seed",
    "budget",
    "number",
    "runs",
    "workload_time_s",
    "score",
    "feasible",
    "reached",
    "slower_percent",
    "saved_percent",
    "params",
)
"""Of the files of rows, one a trial, sorted; `damoos.experiment.course.Row` says what they are. Whatever is real time
is left out, so that the same experiment gives the same bytes, wherever it runs."""


def write_outputs(results: Results, courses: Sequence[Course], folder: Path, parquet: bool = False) -> list[Path]:
    """Writes the files, each of them whole or not at all, and returns their paths. Raises MissingExtraError where
    Parquet is asked for and PyArrow is missing."""
    rows = folder / (ROWS_PARQUET if parquet else ROWS)
    write_whole(rows, _parquet(courses) if parquet else rows_csv(courses))
    return [rows, *write_summary(results, folder)]


def write_summary(results: Results, folder: Path) -> list[Path]:
    """Writes the files without rows, which are small."""
    write_whole(folder / RESULTS, results.to_json())
    write_whole(folder / LEADERBOARD, markdown(results))
    return [folder / RESULTS, folder / LEADERBOARD]


def rows_csv(courses: Sequence[Course]) -> str:
    """The rows of courses as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([entry[name] for name in COLUMNS] for entry in _entries(courses))
    return text.getvalue()


def _entries(courses: Sequence[Course]) -> Iterator[dict[str, Any]]:
    for course in sorted(courses, key=lambda course: course.key):
        for row in course.rows:
            entry = {name: getattr(row, name) for name in COLUMNS}
            yield {**entry, "feasible": int(row.feasible), "params": json.dumps(row.params, sort_keys=True)}


def _parquet(courses: Sequence[Course]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(_entries(courses))), sink)
    return sink.getvalue()
