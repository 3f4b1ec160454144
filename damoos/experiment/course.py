"""One strategy on one task with one seed, run by run: the protocol, the same for all.

The budget is in runs: those without a scheme that scores refer to count, and so does the one that a strategy watches; a
run that was stopped counts for the part of it that ran. Nothing else is given in advance, no run of the default either.
What is reported after n runs is the point with the highest score that was measured by then, feasible before infeasible,
judged by what it is worth in truth. Short runs count as the part of a run that they are, the baseline's with them; what
they give names nothing. Who has measured no scheme, whose score is 0, names nothing that measured worse.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from damoos.tune.asktell import ask, new_study, tell, tell_stopped
from damoos.tune.fidelity import WHOLE, Fidelity
from damoos.tune.outcome import to_plain
from damoos.tune.space import Value
from damoos.tune.strategies.base import Ask, Strategy
from damoos.tune.strategies.seen import RECORD

from .task import Measured, Task, Trade

BASELINE, WATCHED = -1, -2
"""The numbers of the rows of the runs without a scheme, and of the one that a strategy watches."""


@dataclass(frozen=True)
class Row:
    """A trial. `budget`: of how many runs the course is; `number` from 0, below for what is no trial;
    `runs` and `workload_time_s`: what the course has cost so far, this one included; `score` and `feasible`: as
    measured, no short run being feasible; `reached`: what the point that the strategy would name after it is worth;
    `ask_s`: how long it thought, s of real time. `slower_percent`, `saved_percent`: what that point costs in runtime
    and saves in RSS against no scheme; None where that isn't known."""

    task: str
    strategy: str
    seed: int
    budget: int
    number: int
    runs: float
    workload_time_s: float
    params: dict[str, Value]
    score: float
    feasible: bool
    reached: float
    ask_s: float
    slower_percent: float | None = None
    saved_percent: float | None = None


def run_course(task: Task, strategy: Strategy, seed: int, budget: int) -> Iterator[Row]:
    """The rows of one course of `budget` runs. Raises InputError if the strategy can't take the task."""
    task = task.under(strategy)
    study = new_study()
    runs, spent_s = 0.0, 0.0
    top: tuple[bool, float] = (False, float("-inf"))
    reached = float("-inf")
    trade: Trade | None = None
    is_whole = True
    paid = {1.0}

    def row(number: int, params: dict[str, Value], measured: Measured, ask_s: float) -> Row:
        nonlocal runs, spent_s
        runs, spent_s = runs + measured.runs, spent_s + measured.workload_time_s
        rounded = round(runs, 6)  # so that parts of runs add up to whole ones
        name, kept = strategy.name, measured.feasible and is_whole
        known = (None, None) if trade is None else (trade.slower_percent, trade.saved_percent)
        place = task.name, name, seed, budget, number
        return Row(*place, rounded, spent_s, params, measured.score, kept, reached, ask_s, *known)

    base = task.baseline(seed)
    if base is not None:
        top, reached, trade = _rank(base), base.score, Trade(0.0, 0.0)
        yield row(BASELINE, {}, base, 0.0)
    subject = task.subject(seed) if strategy.watches else None
    if subject is not None:
        yield row(WATCHED, {}, Measured(0.0, -math.inf, subject.recording().runtime_s), 0.0)
    trials = int((budget - runs) // task.repeats)
    number = 0
    while True:
        fidelity = fidelity_of(strategy, task, number)
        at, share = task.at(fidelity)
        is_whole = share == 1.0 and at.repeats == task.repeats
        # Runs of the whole are compared with the baseline that is paid already.
        part_base = None if share in paid else at.baseline(seed)
        cost = share * at.repeats * (1 if part_base is None else 2)
        if round(runs + cost, 6) > budget:
            break
        paid.add(share)
        begun = time.perf_counter()
        sampler = strategy.make_sampler(Ask(task.space, seed, number, trials, subject, task.repeats))
        trial, values = ask(study, sampler, task.space)
        ask_s = time.perf_counter() - begun
        measured = at.measure(values, seed, number)
        measured = replace(measured, runs=share * measured.runs)
        if part_base is not None:
            spent_s += part_base.workload_time_s
            runs += share * part_base.runs
        if measured.trial is not None:
            trial.set_user_attr(RECORD, to_plain(measured.trial))
        if is_whole or measured.excess is None:
            tell(study, trial, [measured.score], measured.excess)
        else:
            tell_stopped(study, trial, measured.score, measured.excess)
        if is_whole and (rank := _rank(measured)) > top:
            top, reached, trade = rank, task.judge(values), task.trade(values)
        yield row(number, values, measured, ask_s)
        number += 1


def fidelity_of(strategy: Strategy, task: Task, number: int) -> Fidelity:
    """How faithful trial `number` of the strategy's courses on that task is."""
    return WHOLE if strategy.ladder is None else strategy.ladder(task.repeats).fidelity(number)


def run_courses(task: Task, strategy: Strategy, seed: int, counts: Sequence[int]) -> list[Row]:
    """The rows of all courses that tell how it stands after each of the `counts` of runs: a strategy that plans for
    its number of runs gets a course for each, others get the longest and are looked at on the way."""
    budgets = counts if strategy.uses_budget else [max(counts)]
    return [row for budget in budgets for row in run_course(task, strategy, seed, budget)]


def last_after(rows: Sequence[Row], runs: float) -> Row | None:
    """The last of a course's rows when it had cost at most so many runs; None before the first."""
    return next((row for row in reversed(rows) if row.runs <= runs), None)


def last_within(rows: Sequence[Row], workload_time_s: float) -> Row | None:
    """The last of a course's rows within so much workload time, s; None before the first."""
    return next((row for row in reversed(rows) if row.workload_time_s <= workload_time_s), None)


def reached_in(row: Row | None) -> float:
    """What had been reached; 0, no scheme, before the first row."""
    return 0.0 if row is None else row.reached


def _rank(measured: Measured) -> tuple[bool, float]:
    return measured.feasible, measured.score
