"""How strategies do on tasks: the mean of score / best, and the share of courses that get near enough to the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from damoos.tune.strategies.base import Strategy

from .course import run_courses
from .statistics import Floats, improvement, interquartile_mean, mean_of, share_above, stratified_bootstrap
from .task import Task

COUNTS = (3, 5, 10, 20)
"""After how many runs it is looked."""
NEAR = 0.95
"""What counts as near enough to the best."""


@dataclass(frozen=True)
class Figure:
    """A strategy after `runs` runs, over pairs of task and seed: the mean of score / best with its 95 % interval, the
    interquartile mean, and the `share` of pairs that reached 95 % of the best."""

    strategy: str
    runs: int
    mean: float
    low: float
    high: float
    iqm: float
    share: float


@dataclass(frozen=True)
class Improvement:
    """The probability that a course of `strategy` ends better than one of `over`, with its 95 % interval."""

    strategy: str
    over: str
    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """`figures` by strategy and runs; `improvements` of each strategy over the first, after all runs; `tasks` counted;
    `left_out`: tasks without a point better than no scheme (score 0), of which score / best says nothing; `ask_ms`: how
    long each strategy thought about the last run, real time, mean."""

    figures: tuple[Figure, ...]
    improvements: tuple[Improvement, ...]
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    seeds: int
    ask_ms: dict[str, float]


def compare(
    tasks: Sequence[Task],
    strategies: Sequence[Strategy],
    budget: int,
    seeds: int,
    on_progress: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Every strategy on every task with seeds 0 to `seeds` - 1. Raises InputError if one can't take a task's space."""
    counted = [task for task in tasks if task.best > 0]
    counts = [*(count for count in COUNTS if count < budget), budget]
    figures: list[Figure] = []
    ends: dict[str, Floats] = {}
    ask_ms: dict[str, float] = {}
    for strategy in strategies:
        on_progress(strategy.name)
        cells = [[run_courses(task, strategy, seed, counts) for seed in range(seeds)] for task in counted]
        for count in counts:
            of_best = np.array(
                [[cell[count].reached / task.best for cell in row] for row, task in zip(cells, counted, strict=True)]
            )
            figures.append(_figure(strategy.name, count, of_best))
            ends[strategy.name] = of_best
        ask_ms[strategy.name] = float(np.mean([1e3 * cell[budget].ask_s for row in cells for cell in row]))
    return Comparison(
        figures=tuple(figures),
        improvements=_improvements(ends),
        tasks=tuple(task.name for task in counted),
        left_out=tuple(task.name for task in tasks if task.best <= 0),
        seeds=seeds,
        ask_ms=ask_ms,
    )


def _figure(strategy: str, runs: int, of_best: Floats) -> Figure:
    low, high = stratified_bootstrap(mean_of, of_best)
    mean, iqm, share = mean_of(of_best), interquartile_mean(of_best), share_above(of_best, NEAR)
    return Figure(strategy, runs, float(mean), low, high, float(iqm), float(share))


def _improvements(ends: Mapping[str, Floats]) -> tuple[Improvement, ...]:
    first, *others = ends
    found = []
    for name in others:
        low, high = stratified_bootstrap(improvement, ends[name], ends[first])
        found.append(Improvement(name, first, float(improvement(ends[name], ends[first])), low, high))
    return tuple(found)
