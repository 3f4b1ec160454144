"""What is known of an experiment's tasks from searches of thousands of runs, in files beside it.

`best.json`: the best fixed point of each task (`damoos.experiment.best`), which scores refer to. `clairvoyant.json`:
the best points of each part of its workload (`damoos.experiment.clairvoyant`), where the experiment asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from damoos.errors import ConfigError
from damoos.files import write_whole
from damoos.tune.space import Value

from .matrix import Matrix
from .oracles import PHASES, STATIC, Answers
from .schedule import Schedule

FORMAT = 1
CLAIRVOYANT = "clairvoyant.json"

Values = dict[str, Value]


@dataclass(frozen=True)
class Best:
    """The best known point of a task with that `digest`: what it is worth, its parameters, and in how many runs it was
    found."""

    task: str
    digest: str
    score: float
    params: Values
    runs: int


@dataclass(frozen=True)
class Clairvoyant:
    """The best known points of the parts of a task's workload (`damoos.experiment.schedule.parts_of`), in their order:
    what they are worth together, and in how many runs they were found."""

    task: str
    digest: str
    score: float
    points: list[Values]
    runs: int


_Entry = TypeVar("_Entry", Best, Clairvoyant)


def load_best(matrix: Matrix) -> dict[str, Best]:
    """What the experiment's file knows, by task; empty if there is none. Raises ConfigError for a file that can't be
    used, and for a task that has changed since."""
    return _current(matrix, matrix.best, read_best(matrix))


def load_clairvoyant(matrix: Matrix) -> dict[str, Clairvoyant]:
    """As `load_best`, of the file beside that one."""
    return _current(matrix, clairvoyant_path(matrix), read_clairvoyant(matrix))


def answers_of(matrix: Matrix) -> dict[str, Answers]:
    """What the marks among the experiment's strategies know of each task. Raises ConfigError where they know nothing of
    one, and as `load_best`."""
    best = load_best(matrix) if STATIC in matrix.strategies else {}
    parts = load_clairvoyant(matrix) if PHASES in matrix.strategies else {}
    for name, found, path in ((STATIC, best, matrix.best), (PHASES, parts, clairvoyant_path(matrix))):
        missing = [spec.name for spec in matrix.tasks if name in matrix.strategies and spec.name not in found]
        if missing:
            allowed = f"`damoos bench --best {matrix.path}` finds it"
            raise ConfigError(f"has nothing for {name}", file=path, field=missing[0], allowed=allowed)
    return {
        spec.name: Answers(
            tuple(best[spec.name].params.items()) if spec.name in best else None,
            Schedule(spec.env.space, tuple(tuple(point.items()) for point in parts[spec.name].points))
            if spec.name in parts
            else None,
        )
        for spec in matrix.tasks
    }


def read_best(matrix: Matrix) -> dict[str, Best]:
    """All that the file has, also of tasks that have changed. Raises ConfigError for a file that can't be used."""
    return _read(matrix.best, Best)


def read_clairvoyant(matrix: Matrix) -> dict[str, Clairvoyant]:
    """As `read_best`."""
    return _read(clairvoyant_path(matrix), Clairvoyant)


def write_best(matrix: Matrix, found: Mapping[str, Best]) -> None:
    """Writes what was found of the experiment's tasks."""
    _write(matrix, matrix.best, found)


def write_clairvoyant(matrix: Matrix, found: Mapping[str, Clairvoyant]) -> None:
    """As `write_best`."""
    _write(matrix, clairvoyant_path(matrix), found)


def clairvoyant_path(matrix: Matrix) -> Path:
    """The file that belongs to the one of best points."""
    return matrix.best.with_name(CLAIRVOYANT)


def _current(matrix: Matrix, path: Path, found: Mapping[str, _Entry]) -> dict[str, _Entry]:
    for spec in matrix.tasks:
        known = found.get(spec.name)
        if known is not None and known.digest != spec.digest:
            allowed = f"that of now; `damoos bench --best {matrix.path}` finds it"
            raise ConfigError("is of another env or workload", file=path, field=spec.name, allowed=allowed)
    return {spec.name: found[spec.name] for spec in matrix.tasks if spec.name in found}


def _read(path: Path, kind: type[_Entry]) -> dict[str, _Entry]:
    if not path.is_file():
        return {}
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["format"] != FORMAT:
            raise ConfigError("unknown format", field="format", value=tree["format"], allowed=str(FORMAT))
        return {name: kind(task=name, **entry) for name, entry in tree["tasks"].items()}
    except ConfigError as error:
        raise error.at(file=path) from None
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"not a file of best points: {error}", file=path) from None


def _write(matrix: Matrix, path: Path, found: Mapping[str, Best] | Mapping[str, Clairvoyant]) -> None:
    entries: dict[str, dict[str, Any]] = {
        spec.name: {key: value for key, value in asdict(found[spec.name]).items() if key != "task"}
        for spec in matrix.tasks
        if spec.name in found
    }
    tree = {"format": FORMAT, "made_by": "damoos bench --best", "tasks": entries}
    write_whole(path, json.dumps(tree, indent=1) + "\n")
