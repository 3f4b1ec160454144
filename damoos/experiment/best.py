"""The best known point of each task of an experiment, from an exhaustive search, kept in a file beside it.

Searched in four steps, each with seeds that no course uses: points that fill the space, and lines through the default;
the most promising again with more seeds; steps of shrinking width around the best of them; the finalists with the most
seeds. What the winner is worth is told as for any course, by the seeds that are kept for that: the search has not seen
them, so its luck is not in the figure, and a course may come out a little above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from damoos.errors import DamoosError, InputError, MissingExtraError
from damoos.tune.seeds import Stream, run_seeds
from damoos.tune.space import Space

from .engine import Engine
from .env_task import EnvTask
from .known import Best, Values, read_best, write_best
from .matrix import Matrix, TaskSpec
from .replay import VIOLATION
from .run import Progress, simulated_task

FILL, LINE = 256, 17
"""Points that fill the space, and points of each line."""
AGAIN, STARTS, STEPS, FINALISTS = 32, 4, 16, 8
WIDTHS = (0.1, 0.05, 0.02)
"""Standard deviations of the steps, of the unit cube."""
SEEDS = (1, 3, 6)
"""Runs a point: first look, second look and steps, final."""
_SEED = 1


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
    before = read_best(matrix)
    found = {spec.name: before[spec.name] for spec in matrix.tasks if _holds(spec, before.get(spec.name))}
    left = [spec for spec in matrix.tasks if spec.name not in found]
    on_progress(Progress(len(found), len(matrix.tasks)))
    for fresh, best in enumerate(engine.run(best_of, left), 1):
        if isinstance(best, str):
            raise DamoosError(best)
        found[best.task] = best
        write_best(matrix, found)
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
