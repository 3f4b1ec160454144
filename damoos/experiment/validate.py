"""Runs rows of an experiment again, from what their file says of them, and tells what agrees.

A row agrees if its point gives the same score in a run with the same seed and, where the course reached something new
there, the same worth. Whole courses agree if their strategy also proposes the same points. Simulated, same is the same
number; on real kernels runs differ, and by how much is told.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np

from damoos.backend.base import Backend
from damoos.errors import ConfigError

from .course import Row, fidelity_of, run_course
from .env_task import EnvTask
from .known import answers_of
from .matrix import Matrix
from .oracles import UNKNOWN, find_known
from .outputs import COLUMNS
from .records import Key
from .run import open_task

Rows = tuple[Row, ...]
Backends = Mapping[str, Backend]
"""Those of an experiment, by name."""
SCORE, WORTH, POINT = "score", "worth", "point"


@dataclass(frozen=True)
class Checked:
    """A row that ran again: `what` of it (`SCORE`, `WORTH`, `POINT`) was `before` and is `now`."""

    row: Row
    what: str
    before: object
    now: object

    @property
    def agrees(self) -> bool:
        """Whether nothing has changed."""
        return self.before == self.now

    @property
    def apart(self) -> float:
        """How far two numbers are apart; infinite where one is missing, 0 for points."""
        if isinstance(self.before, float):
            return abs(self.now - self.before) if isinstance(self.now, float) else math.inf
        return 0.0


def read_rows(path: Path) -> dict[Key, Rows]:
    """The courses in a file of rows as `damoos bench` writes it (CSV). Raises ConfigError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ConfigError("not a file of rows", value=reader.fieldnames, allowed=", ".join(COLUMNS))
            rows = [_row(entry, path, reader.line_num) for entry in reader]
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text; of Parquet, write the rows again as CSV", file=path) from error
    except ConfigError as error:
        raise error.at(file=path) from None
    if not rows:
        raise ConfigError("has no rows", file=path)
    return {key: tuple(own) for key, own in groupby(rows, key=_key)}


def sample(courses: dict[Key, Rows], count: int | None, seed: int) -> list[tuple[Key, int]]:
    """Course and place of `count` trials (None: of all), drawn by `seed`, in the file's order."""
    places = [(key, i) for key, rows in courses.items() for i, row in enumerate(rows) if row.number >= 0]
    if count is None or count >= len(places):
        return places
    drawn = np.random.default_rng(seed).choice(len(places), count, replace=False)
    return [places[i] for i in sorted(drawn.tolist())]


def check_rows(
    matrix: Matrix, backends: Backends, courses: dict[Key, Rows], places: Sequence[tuple[Key, int]]
) -> Iterator[list[Checked]]:
    """What came of each of the places. Raises ConfigError for a task that the experiment doesn't have."""
    find, answers = _tasks(matrix, backends), answers_of(matrix)
    for key, i in places:
        row, before = courses[key][i], courses[key][:i]
        strategy = find_known(row.strategy, answers.get(row.task, UNKNOWN))
        task = find(row.task).under(strategy)
        at, _ = task.at(fidelity_of(strategy, task, row.number))
        score = at.measure(row.params, row.seed, row.number).score
        found = [Checked(row, SCORE, row.score, score)]
        if row.feasible and all(row.score > other.score for other in before if other.feasible):
            found.append(Checked(row, WORTH, row.reached, task.judge(row.params)))
        yield found


def check_courses(
    matrix: Matrix, backends: Backends, courses: dict[Key, Rows], keys: Sequence[Key]
) -> Iterator[list[Checked]]:
    """What came of each of the courses, row by row. Raises ConfigError as `check_rows`."""
    find, answers = _tasks(matrix, backends), answers_of(matrix)
    for key in keys:
        task, strategy, seed, budget = key
        again = run_course(find(task), find_known(strategy, answers.get(task, UNKNOWN)), seed, budget)
        found = []
        for before, now in zip_longest(courses[key], again):
            if before is None or now is None:
                found.append(Checked(before or now, POINT, before and before.params, now and now.params))
                continue
            found.append(Checked(before, POINT, before.params, now.params))
            found.append(Checked(before, SCORE, before.score, now.score))
            found.append(Checked(before, WORTH, before.reached, now.reached))
        yield found


def _tasks(matrix: Matrix, backends: Backends) -> Callable[[str], EnvTask]:
    tasks = {spec.name: open_task(spec, backends[spec.backend]) for spec in matrix.tasks}

    def find(name: str) -> EnvTask:
        if name not in tasks:
            raise ConfigError("not a task of the experiment", field=name, file=matrix.path, allowed=", ".join(tasks))
        return tasks[name]

    return find


def _key(row: Row) -> Key:
    return row.task, row.strategy, row.seed, row.budget


def _row(entry: dict[str, str], path: Path, line: int) -> Row:
    try:
        return Row(
            task=entry["task"],
            strategy=entry["strategy"],
            seed=int(entry["seed"]),
            budget=int(entry["budget"]),
            number=int(entry["number"]),
            runs=float(entry["runs"]),
            workload_time_s=float(entry["workload_time_s"]),
            params=json.loads(entry["params"]),
            score=float(entry["score"]),
            feasible=entry["feasible"] == "1",
            reached=float(entry["reached"]),
            ask_s=0.0,
            slower_percent=_number_or_none(entry["slower_percent"]),
            saved_percent=_number_or_none(entry["saved_percent"]),
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"a row can't be read: {error}", file=path, line=line) from None


def _number_or_none(text: str) -> float | None:
    return float(text) if text else None
