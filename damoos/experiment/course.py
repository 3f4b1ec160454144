"""One strategy on one task with one seed, run by run: the protocol, the same for all.

Nothing is given in advance: no run of the default or the baseline. What is reported after n runs is the point with the
highest score that was measured by then, feasible before infeasible, judged by what it is worth in truth. A strategy
that watches spends its first run on that, without a point: no scheme, whose score and worth are 0.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from damoos.tune.asktell import ask, new_study, tell
from damoos.tune.outcome import to_plain
from damoos.tune.space import Value
from damoos.tune.strategies.base import Ask, Strategy
from damoos.tune.strategies.seen import RECORD

from .task import Measured, Task


@dataclass(frozen=True)
class Row:
    """A run. `budget`: of how many; `number` from 0; `score` and `feasible`: as measured; `reached`: what the point
    that the strategy would name after it is worth; `ask_s`: how long it thought, s of real time."""

    task: str
    strategy: str
    seed: int
    budget: int
    number: int
    params: dict[str, Value]
    score: float
    feasible: bool
    reached: float
    ask_s: float


def run_course(task: Task, strategy: Strategy, seed: int, budget: int) -> Iterator[Row]:
    """The rows of one course of `budget` runs. Raises InputError if the strategy can't take the task."""
    task = task.under(strategy)
    subject = task.subject(seed) if strategy.watches else None
    study = new_study()
    top: tuple[bool, float] = (False, float("-inf"))
    reached = float("-inf")
    if subject is not None and budget > 0:
        subject.recording()
        yield Row(task.name, strategy.name, seed, budget, 0, {}, 0.0, True, 0.0, 0.0)
    for number in range(strategy.nr_watched, budget):
        begun = time.perf_counter()
        at, points = number - strategy.nr_watched, budget - strategy.nr_watched
        sampler = strategy.make_sampler(Ask(task.space, seed, at, points, subject))
        trial, values = ask(study, sampler, task.space)
        ask_s = time.perf_counter() - begun
        measured = task.measure(values, seed, number)
        if measured.trial is not None:
            trial.set_user_attr(RECORD, to_plain(measured.trial))
        tell(study, trial, [measured.score], measured.excess)
        if (rank := _rank(measured)) > top:
            top, reached = rank, task.judge(values)
        yield Row(
            task.name,
            strategy.name,
            seed,
            budget,
            number,
            values,
            measured.score,
            measured.feasible,
            reached,
            ask_s,
        )


def run_courses(task: Task, strategy: Strategy, seed: int, counts: Sequence[int]) -> dict[int, Row]:
    """The row after each of the `counts` of runs. A strategy that plans for its number of runs gets a course for each,
    others get the longest and are looked at on the way."""
    if strategy.uses_budget:
        return {count: list(run_course(task, strategy, seed, count))[-1] for count in counts}
    rows = list(run_course(task, strategy, seed, max(counts)))
    return {count: rows[count - 1] for count in counts}


def _rank(measured: Measured) -> tuple[bool, float]:
    return measured.feasible, measured.score
