"""The best known points of the parts of a workload's phases: about what steering by the clock can gain at all.

Searched from the best fixed point by coordinate descent: one parameter of one part, or of all of them, at a time, over
the whole range in the first round and in steps of shrinking width after it, with the same few seeds, until nothing gets
better or the looks are used up. Whether what was found is any better than the fixed point is told by other seeds, and
what it is worth by those that are kept for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from damoos.errors import DamoosError
from damoos.tune.seeds import Stream, run_seeds

from .engine import Engine
from .env_task import EnvTask
from .known import Best, Clairvoyant, read_clairvoyant, write_clairvoyant
from .matrix import Matrix, TaskSpec
from .run import Progress, simulated_task
from .schedule import Schedule, parts_of

LOOKS, ROUNDS = 300, 3
"""Schedules that are tried for a task, and rounds over all coordinates."""
GRID, STEPS = 5, (0.2, 0.1, 0.05)
"""Points of the range of a parameter in the first round; widths of the steps in the later ones."""
SEEDS, FINAL_SEEDS = 3, 8
"""Runs a schedule: while searching, and to tell whether it is better than the fixed point."""
_SEED = 2

Job = tuple[TaskSpec, Best]
Coordinates = tuple[NDArray[np.float64], ...]
"""A point in the unit cube for each part."""


def search_clairvoyant(
    matrix: Matrix,
    best: dict[str, Best],
    engine: Engine,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Clairvoyant]:
    """Searches each task whose points are not known, or are not worth any more what the file says, from its best fixed
    point, and writes the file after each. Raises DamoosError where a task can't be run."""
    before = read_clairvoyant(matrix)
    found = {spec.name: before[spec.name] for spec in matrix.tasks if _holds(spec, before.get(spec.name))}
    left = [(spec, best[spec.name]) for spec in matrix.tasks if spec.name not in found]
    on_progress(Progress(len(found), len(matrix.tasks)))
    for fresh, one in enumerate(engine.run(clairvoyant_of, left), 1):
        if isinstance(one, str):
            raise DamoosError(one)
        found[one.task] = one
        write_clairvoyant(matrix, found)
        on_progress(Progress(len(found), len(matrix.tasks), fresh))
    return found


def clairvoyant_of(job: Job) -> Clairvoyant | str:
    """The search of one task; if it can't be run, why."""
    spec, best = job
    try:
        return _Search(simulated_task(spec)).found(spec, best)
    except DamoosError as error:
        return f"{spec.name}: {error}"


class _Search:
    def __init__(self, task: EnvTask) -> None:
        self._task, self._space = task, task.space
        self._runs = 0
        self._known: dict[Schedule, float] = {}

    def found(self, spec: TaskSpec, best: Best) -> Clairvoyant:
        fixed: Coordinates = (self._space.encode(best.params),) * parts_of(spec.workload).count
        searched = self._descend(fixed)
        seeds = run_seeds(_SEED, Stream.FINAL, FINAL_SEEDS)
        winner = max((fixed, searched), key=lambda points: self._worth(self._schedule(points), seeds))
        schedule = self._schedule(winner)
        self._runs += self._task.judged_with
        score = self._task.steered(schedule).judge(self._space.defaults())
        points = [dict(point) for point in schedule.points]
        return Clairvoyant(spec.name, spec.digest, score, points, self._runs)

    def _descend(self, points: Coordinates) -> Coordinates:
        top = self._look(points)
        for turn in range(ROUNDS):
            before = top
            for parameter, part in np.ndindex(self._space.dimensions, len(points) + 1):
                parts = range(len(points)) if part == 0 else (part - 1,)
                for changed in _moves(points, parts, parameter, whole=turn == 0):
                    if len(self._known) >= LOOKS:
                        return points
                    worth = self._look(changed)
                    if worth > top:
                        points, top = changed, worth
            if top == before:
                break
        return points

    def _look(self, points: Coordinates) -> float:
        schedule = self._schedule(points)
        if schedule not in self._known:
            self._known[schedule] = self._worth(schedule, run_seeds(_SEED, Stream.SEARCH, SEEDS))
        return self._known[schedule]

    def _worth(self, schedule: Schedule, seeds: tuple[int, ...]) -> float:
        self._runs += len(seeds)
        return self._task.steered(schedule).worth(self._space.defaults(), seeds)

    def _schedule(self, points: Coordinates) -> Schedule:
        return Schedule(self._space, tuple(tuple(self._space.decode(point).items()) for point in points))


def _moves(points: Coordinates, parts: Sequence[int], parameter: int, *, whole: bool) -> Iterator[Coordinates]:
    steps = np.array([sign * step for step in STEPS for sign in (-1.0, 1.0)])
    for move in np.linspace(0.0, 1.0, GRID) if whole else steps:
        changed = [point.copy() for point in points]
        for part in parts:
            changed[part][parameter] = move if whole else np.clip(points[part][parameter] + move, 0.0, 1.0)
        yield tuple(changed)


def _holds(spec: TaskSpec, one: Clairvoyant | None) -> bool:
    if one is None or one.digest != spec.digest:
        return False
    task = simulated_task(spec)
    schedule = Schedule(spec.env.space, tuple(tuple(point.items()) for point in one.points))
    return task.steered(schedule).judge(task.space.defaults()) == one.score
