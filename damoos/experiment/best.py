"""The best known point of each task of an experiment, from an exhaustive search, kept in a file beside it.

Searched in four steps, each with seeds that no course uses: points that fill the space, and lines through the default;
the most promising again with more seeds; steps of shrinking width around the best of them; the finalists with the most
seeds. What the winner is worth is told as for any course, by the seeds that are kept for that: the search has not seen
them, so its luck is not in the figure, and a course may come out a little above it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from damoos.errors import ConfigError, DamoosError, InputError, MissingExtraError
from damoos.files import write_whole
from damoos.tune.seeds import Stream, run_seeds
from damoos.tune.space import Space, Value

from .engine import Engine
from .env_task import EnvTask
from .matrix import Matrix, TaskSpec
from .replay import VIOLATION
from .run import Progress, simulated_task

FORMAT = 1
FILL, LINE = 256, 17
"""Points that fill the space, and points of each line."""
AGAIN, STARTS, STEPS, FINALISTS = 32, 4, 16, 8
WIDTHS = (0.1, 0.05, 0.02)
"""Standard deviations of the steps, of the unit cube."""
SEEDS = (1, 3, 6)
"""Runs a point: first look, second look and steps, final."""
_SEED = 1

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


def load_best(matrix: Matrix) -> dict[str, Best]:
    """What the experiment's file knows, by task; empty if there is none. Raises ConfigError for a file that can't be
    used, and for a task that has changed since."""
    if not matrix.best.is_file():
        return {}
    found = _read(matrix.best)
    for spec in matrix.tasks:
        known = found.get(spec.name)
        if known is not None and known.digest != spec.digest:
            allowed = f"that of now; `damoos bench --best {matrix.path}` finds it"
            raise ConfigError("is of another env or workload", file=matrix.best, field=spec.name, allowed=allowed)
    return {spec.name: found[spec.name] for spec in matrix.tasks if spec.name in found}


def search_best(
    matrix: Matrix, engine: Engine, on_progress: Callable[[Progress], None] = lambda progress: None
) -> dict[str, Best]:
    """Searches each task whose best point is not known, or is not worth any more what the file says (the simulator has
    changed), and writes the file after each. Raises InputError where the tasks are not simulated, MissingExtraError
    without SciPy."""
    if not matrix.simulated:
        raise InputError(
            "a search of thousands of runs is for the simulator", field="backend", value=matrix.backends[0]
        )
    try:
        import scipy.stats  # noqa: F401
    except ImportError:
        raise MissingExtraError("scipy", "search") from None
    before = _read(matrix.best) if matrix.best.is_file() else {}
    found = {spec.name: before[spec.name] for spec in matrix.tasks if _holds(spec, before.get(spec.name))}
    left = [spec for spec in matrix.tasks if spec.name not in found]
    on_progress(Progress(len(found), len(matrix.tasks)))
    for fresh, best in enumerate(engine.run(best_of, left), 1):
        if isinstance(best, str):
            raise DamoosError(best)
        found[best.task] = best
        _write(matrix, found)
        on_progress(Progress(len(found), len(matrix.tasks), fresh))
    return found


def best_of(spec: TaskSpec) -> Best | str:
    """The search of one task; if it can't be run, why."""
    try:
        return _Search(simulated_task(spec)).best(spec)
    except DamoosError as error:
        return f"{spec.name}: {error}"


class _Search:
    def __init__(self, task: EnvTask) -> None:
        self._task = task
        self._rng = np.random.default_rng(_SEED)
        self._runs = 0

    def best(self, spec: TaskSpec) -> Best:
        first = self._look(_candidates(self._task.space), SEEDS[0])
        second = self._look([values for values, _ in first[:AGAIN]], SEEDS[1])
        looked = list(second)
        for values, worth in second[:STARTS]:
            for width in WIDTHS:
                around = self._look(self._around(values, width), SEEDS[1])
                looked += around
                values, worth = max([(values, worth), *around[:1]], key=lambda point: point[1])
        looked.sort(key=lambda point: -point[1])
        final = self._look(_different(values for values, _ in looked)[:FINALISTS], SEEDS[2])
        judged = ((values, self._judged(values)) for values, _ in final)
        # Right at a limit, one set of seeds may keep what another breaks.
        values, score = next((point for point in judged if point[1] > VIOLATION), (final[0][0], VIOLATION))
        return Best(spec.name, spec.digest, score, values, self._runs)

    def _look(self, points: Sequence[Values], seeds: int) -> list[tuple[Values, float]]:
        """The points with their worth, best first."""
        drawn = run_seeds(_SEED, Stream.FINAL, seeds)
        self._runs += len(points) * seeds
        worths = [(values, self._task.worth(values, drawn)) for values in points]
        return sorted(worths, key=lambda point: -point[1])

    def _judged(self, values: Values) -> float:
        self._runs += self._task.judged_with
        return self._task.judge(values)

    def _around(self, values: Values, width: float) -> list[Values]:
        space = self._task.space
        centre = space.encode(values)
        steps = self._rng.normal(0.0, width, (STEPS, space.dimensions))
        return _different(space.decode(centre + step) for step in steps)


def _candidates(space: Space) -> list[Values]:
    from scipy.stats import qmc

    default = space.encode(space.defaults())
    lines = np.repeat(default[None], LINE * space.dimensions, axis=0)
    for i in range(space.dimensions):
        lines[i * LINE : (i + 1) * LINE, i] = np.linspace(0.0, 1.0, LINE)
    fill = qmc.Sobol(space.dimensions, scramble=True, rng=_SEED).random(FILL)
    return _different(space.decode(point) for point in (default, *lines, *fill))


def _different(points: Any) -> list[Values]:
    found: list[Values] = []
    for values in points:
        if values not in found:
            found.append(values)
    return found


def _holds(spec: TaskSpec, best: Best | None) -> bool:
    return best is not None and best.digest == spec.digest and simulated_task(spec).judge(best.params) == best.score


def _read(path: Path) -> dict[str, Best]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["format"] != FORMAT:
            raise ConfigError("unknown format", field="format", value=tree["format"], allowed=str(FORMAT))
        return {name: Best(task=name, **entry) for name, entry in tree["tasks"].items()}
    except ConfigError as error:
        raise error.at(file=path) from None
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"not a file of best points: {error}", file=path) from None


def _write(matrix: Matrix, found: dict[str, Best]) -> None:
    entries: Iterator[tuple[str, dict[str, Any]]] = (
        (spec.name, {key: value for key, value in asdict(found[spec.name]).items() if key != "task"})
        for spec in matrix.tasks
        if spec.name in found
    )
    tree = {"format": FORMAT, "made_by": "damoos bench --best", "tasks": dict(entries)}
    write_whole(matrix.best, json.dumps(tree, indent=1) + "\n")
