"""The file of an experiment's finished courses: one line of JSON each, appended and synced when a course has ended.

A process that is killed at any moment loses the courses that were running; half a line at the end is cut off when the
file is opened again. One process at a time writes it. The first line says of which simulator the courses are.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from damoos.errors import StudyError

from .course import Row

FORMAT = 1
KIND = "damoos experiment"
Key = tuple[str, str, int, int]
"""Task, strategy, seed and budget of a course."""
_SHARED = ("task", "strategy", "seed", "budget")
_COLUMNS = tuple(field.name for field in dataclasses.fields(Row) if field.name not in _SHARED)


@dataclass(frozen=True)
class Course:
    """A finished course. `digest`: of its task, as `TaskSpec.digest` has it."""

    key: Key
    digest: str
    rows: tuple[Row, ...]


class Records:
    """An open file of courses; use it in a `with` statement.

    `simulator`: of which one new records are, `damoos.sim.sources.sources_digest`, None where nothing is simulated;
    afterwards that of the records that are there, None too for those of versions that didn't tell. Raises StudyError if
    the file is in use, or is something else."""

    def __init__(self, path: Path, simulator: str | None = None) -> None:
        self._path = path
        self.simulator = simulator
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise StudyError(f"{path}: can't be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.courses = list(self._begin())
        except OSError as error:
            self._file.close()
            raise StudyError(f"{path}: in use by another damoos") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, course: Course) -> None:
        """Appends a course."""
        self.courses.append(course)
        rows = [[getattr(row, name) for name in _COLUMNS] for row in course.rows]
        task, strategy, seed, budget = course.key
        line = {"task": task, "strategy": strategy, "seed": seed, "budget": budget}
        self._write({**line, "digest": course.digest, "rows": rows})

    def _begin(self) -> Iterator[Course]:
        self._file.seek(0)
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        lines = text[:whole].decode("utf-8", errors="replace").splitlines()
        yield from read_courses(lines, self._path)
        if whole < len(text):
            os.truncate(self._path, whole)
        if lines:
            self.simulator = json.loads(lines[0]).get("simulator")
        else:
            self._write({"format": FORMAT, "kind": KIND, "simulator": self.simulator, "columns": _COLUMNS})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_courses(lines: Iterable[str], path: Path) -> Iterator[Course]:
    """The courses in the lines of such a file. Raises StudyError."""
    for number, line in enumerate(lines, 1):
        try:
            tree = json.loads(line)
            if number == 1:
                if (tree["format"], tree["kind"], tree["columns"]) != (FORMAT, KIND, list(_COLUMNS)):
                    raise ValueError("another format")
                continue
            key = (tree["task"], tree["strategy"], tree["seed"], tree["budget"])
            shared = dict(zip(_SHARED, key, strict=True))
            rows = tuple(Row(**shared, **dict(zip(_COLUMNS, row, strict=True))) for row in tree["rows"])
            yield Course(key, tree["digest"], rows)
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path}:{number}: not a record of `damoos bench`: {error}") from error
