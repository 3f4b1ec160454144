"""How strategies do on tasks: score / best after so many runs, or within so much workload time, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from damoos.errors import InputError
from damoos.tune.strategies.base import Strategy

from .course import Row, last_after, last_within, reached_in, run_courses
from .statistics import (
    Floats,
    improvement,
    interquartile_mean,
    mean_of,
    profile,
    share_above,
    stratified_bootstrap,
)
from .task import Task

COUNTS = (3, 5, 10, 20)
"""After how many runs it is looked."""
NEAR = 0.95
"""What counts as near enough to the best."""
THRESHOLDS = tuple(i / 50 for i in range(56))
"""Of score / best, at which performance profiles are told."""

Courses = Mapping[tuple[str, str, int, int], Sequence[Row]]
"""Rows of courses by task, strategy, seed and budget."""


@dataclass(frozen=True)
class Figure:
    """A strategy after `runs` runs, over pairs of task and seed: the mean of score / best with its 95 % interval, the
    interquartile mean with its own, and the `share` of pairs that are near enough to the best."""

    strategy: str
    runs: int
    mean: float
    low: float
    high: float
    iqm: float
    iqm_low: float
    iqm_high: float
    share: float


@dataclass(frozen=True)
class Improvement:
    """The probability that a course of `strategy` of `runs` runs ends better than one of `over`, with its 95 %
    interval."""

    strategy: str
    over: str
    runs: int
    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The interquartile mean of score / best after each of `runs`, with 95 % intervals."""

    strategy: str
    runs: tuple[int, ...]
    iqm: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Profile:
    """The share of pairs whose score / best is above each of `THRESHOLDS` after all runs, with 95 % intervals."""

    strategy: str
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Speed:
    """After how many runs `strategy` was near enough to the best: quartiles over pairs of task and seed, None where it
    never was; `workload_time_s`: what a course of all runs took, mean, s; `ask_ms`, `ask_last_ms`: how long it thought,
    real time, mean over all trials and over the last ones. What it names in the end, means over pairs, None where that
    isn't known: `slower_percent` and `saved_percent`, of runtime and RSS against no scheme."""

    strategy: str
    first_quarter: float | None
    median: float | None
    third_quarter: float | None
    workload_time_s: float
    ask_ms: float
    ask_last_ms: float
    slower_percent: float | None
    saved_percent: float | None


@dataclass(frozen=True)
class TaskFigure:
    """A strategy on one task after all runs: the interquartile mean over seeds of what its points are worth."""

    task: str
    strategy: str
    reached: float
    of_best: float


@dataclass(frozen=True)
class Comparison:
    """`figures` by strategy and runs, `timed` the same within the workload time of so many runs without a scheme (empty
    where nothing ran); `improvements` of each strategy over one, at each count; `tasks` counted; `left_out`: tasks
    without a point better than no scheme (score 0), of which score / best says nothing. The figures of a strategy are
    over the tasks that it has courses on, an improvement over those that both have; who has none of them is missing."""

    figures: tuple[Figure, ...]
    timed: tuple[Figure, ...]
    curves: tuple[Curve, ...]
    improvements: tuple[Improvement, ...]
    profiles: tuple[Profile, ...]
    speeds: tuple[Speed, ...]
    by_task: tuple[TaskFigure, ...]
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    seeds: int


def compare(
    tasks: Sequence[Task],
    strategies: Sequence[Strategy],
    budget: int,
    seeds: int,
    on_progress: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Every strategy on every task with seeds 0 to `seeds` - 1. Raises InputError if one can't take a task's space."""
    counts = [*(count for count in COUNTS if count < budget), budget]
    best = {task.name: task.best for task in tasks}
    courses: dict[tuple[str, str, int, int], list[Row]] = {}
    for strategy in strategies:
        on_progress(strategy.name)
        for task in tasks:
            for seed in range(seeds) if task.best > 0 else ():
                for row in run_courses(task, strategy, seed, counts):
                    courses.setdefault((row.task, row.strategy, row.seed, row.budget), []).append(row)
    return comparison(courses, best, counts, seeds, strategies[0].name)


def comparison(
    courses: Courses, best: Mapping[str, float], counts: Sequence[int], seeds: int, against: str, near: float = NEAR
) -> Comparison:
    """The figures of courses, looked at after each of the `counts` of runs (sorted), where `best` are the highest known
    worths of the tasks. A strategy with courses of several budgets is looked at at the end of each. `near`: the share
    of the best that is near enough. Raises InputError where no task has a point better than no scheme."""
    counted = [task for task, worth in best.items() if worth > 0]
    if not counted:
        raise InputError("nothing known there is better than no scheme", field="tasks", value=", ".join(best))
    there = {(task, name) for task, name, _, _ in courses}
    names = dict.fromkeys(key[1] for key in courses)
    every = {name: [task for task in counted if (task, name) in there] for name in names}
    own = {name: tasks for name, tasks in every.items() if tasks}
    scale = {name: np.array([best[task] for task in tasks])[:, None, None] for name, tasks in own.items()}
    looked = {name: _looked(courses, name, own[name], seeds, counts, last_after) / scale[name] for name in own}
    undisturbed = {task: _undisturbed_s(courses, task) for task in counted}
    timed: dict[str, Floats] = {}
    if all(undisturbed.values()):
        for name in own:

            def within(rows: Sequence[Row], runs: float) -> Row | None:
                return last_within(rows, runs * undisturbed[rows[0].task])

            timed[name] = _looked(courses, name, own[name], seeds, counts, within) / scale[name]
    return Comparison(
        figures=_figures(looked, counts, near),
        timed=_figures(timed, counts, near),
        curves=tuple(_curve(courses, name, own[name], seeds, counts, scale[name]) for name in own),
        improvements=_improvements(looked, own, counts, against),
        profiles=tuple(_profile(name, scores[:, :, -1]) for name, scores in looked.items()),
        speeds=tuple(_speed(courses, name, own[name], best, seeds, near) for name in own),
        by_task=_by_task(looked, own, best),
        tasks=tuple(counted),
        left_out=tuple(task for task in best if task not in counted),
        seeds=seeds,
    )


def _looked(
    courses: Courses,
    strategy: str,
    tasks: Sequence[str],
    seeds: int,
    counts: Sequence[int],
    look: Callable[[Sequence[Row], float], Row | None],
) -> Floats:
    """What was reached [tasks, seeds, counts]."""
    whole = max(counts)
    reached = np.empty((len(tasks), seeds, len(counts)))
    for i, task in enumerate(tasks):
        for seed in range(seeds):
            for j, count in enumerate(counts):
                rows = courses.get((task, strategy, seed, count), courses[task, strategy, seed, whole])
                reached[i, seed, j] = reached_in(look(rows, count))
    return reached


def _undisturbed_s(courses: Courses, task: str) -> float:
    """The mean workload time of a run without a scheme, s; 0 where there was none."""
    first = [rows[0] for key, rows in courses.items() if key[0] == task]
    spent = [row.workload_time_s / row.runs for row in first if row.number < 0]
    return math.fsum(spent) / len(spent) if spent else 0.0


def _figures(looked: Mapping[str, Floats], counts: Sequence[int], near: float) -> tuple[Figure, ...]:
    return tuple(
        _figure(name, count, scores[:, :, j], near) for name, scores in looked.items() for j, count in enumerate(counts)
    )


def _figure(strategy: str, runs: int, of_best: Floats, near: float) -> Figure:
    mean, iqm, share = mean_of(of_best), interquartile_mean(of_best), share_above(of_best, near)
    return Figure(
        strategy,
        runs,
        float(mean),
        *stratified_bootstrap(mean_of, of_best),
        float(iqm),
        *stratified_bootstrap(interquartile_mean, of_best),
        float(share),
    )


def _curve(
    courses: Courses, strategy: str, tasks: Sequence[str], seeds: int, counts: Sequence[int], scale: Floats
) -> Curve:
    several = len({key[3] for key in courses if key[1] == strategy}) > 1
    runs = tuple(counts) if several else tuple(range(1, max(counts) + 1))
    of_best = _looked(courses, strategy, tasks, seeds, runs, last_after) / scale
    ends = [stratified_bootstrap(interquartile_mean, of_best[:, :, j]) for j in range(len(runs))]
    iqm = tuple(float(interquartile_mean(of_best[:, :, j])) for j in range(len(runs)))
    low, high = zip(*ends, strict=True)
    return Curve(strategy, runs, iqm, low, high)


def _improvements(
    looked: Mapping[str, Floats], tasks: Mapping[str, Sequence[str]], counts: Sequence[int], over: str
) -> tuple[Improvement, ...]:
    found = []
    for name, scores in looked.items():
        both = [task for task in tasks[name] if task in tasks.get(over, ())]
        if name == over or not both:
            continue
        our_places, their_places = ([tasks[which].index(task) for task in both] for which in (name, over))
        for j, count in enumerate(counts):
            ours, theirs = scores[our_places, :, j], looked[over][their_places, :, j]
            low, high = stratified_bootstrap(improvement, ours, theirs)
            found.append(Improvement(name, over, count, float(improvement(ours, theirs)), low, high))
    return tuple(found)


def _profile(strategy: str, of_best: Floats) -> Profile:
    shares, low, high = profile(of_best, THRESHOLDS)
    return Profile(strategy, tuple(shares.tolist()), tuple(low.tolist()), tuple(high.tolist()))


def _speed(
    courses: Courses, strategy: str, tasks: Sequence[str], best: Mapping[str, float], seeds: int, near: float
) -> Speed:
    own = {key: rows for key, rows in courses.items() if key[1] == strategy and key[0] in tasks}
    several = len({key[3] for key in own}) > 1
    needed = np.full((len(tasks), seeds), math.inf)
    for (task, _, seed, budget), rows in own.items():
        # Who plans for its runs is looked at in the end.
        there = [row.runs for row in (rows[-1:] if several else rows) if row.reached >= near * best[task]]
        if there:
            cell = tasks.index(task), seed
            needed[cell] = min(needed[cell], budget if several else there[0])
    quarters = np.quantile(needed, [0.25, 0.5, 0.75], method="inverted_cdf")
    asked = [[row.ask_s for row in rows if row.number >= 0] for rows in own.values()]
    asked = [times for times in asked if times]
    longest = max(map(len, asked), default=0)
    whole = max((key[3] for key in own), default=0)
    ends = [rows[-1] for key, rows in own.items() if key[3] == whole]
    spent = [row.workload_time_s for row in ends]
    first, median, third = (float(q) if math.isfinite(q) else None for q in quarters)
    return Speed(
        strategy,
        first_quarter=first,
        median=median,
        third_quarter=third,
        workload_time_s=float(np.mean(spent)) if spent else 0.0,
        ask_ms=1e3 * float(np.mean([time for times in asked for time in times])) if asked else 0.0,
        ask_last_ms=1e3 * float(np.mean([times[-1] for times in asked if len(times) == longest])) if asked else 0.0,
        slower_percent=_mean_known([row.slower_percent for row in ends]),
        saved_percent=_mean_known([row.saved_percent for row in ends]),
    )


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _by_task(
    looked: Mapping[str, Floats], tasks: Mapping[str, Sequence[str]], best: Mapping[str, float]
) -> tuple[TaskFigure, ...]:
    found = []
    for name, scores in looked.items():
        for i, task in enumerate(tasks[name]):
            of_best = float(interquartile_mean(scores[i : i + 1, :, -1]))
            found.append(TaskFigure(task, name, of_best * best[task], of_best))
    return tuple(found)
