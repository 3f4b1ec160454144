"""Tabular Q-learning with episodes of one step: an episode is a run. The state is the RSS overhead of the last run in
21 bins of 5 %, an action an age of 3, 5, 7, 9, 11 or 13 s with a smallest region of 4, 8, 12, 16 or 20 KiB (ages
alone where the env has no such parameter). Learning rate 0.2, discount 0.9, epsilon 0.2, a random table to begin
with; the last tenth of the runs, five at most, is greedy. What is too slow scores -1000.

`damoos-qlearning` writes to the entry of the action that it took, and the reward is all that an episode of one step
returns. `damoos-qlearning-2021` does as the original: it writes to the entry before, and adds the value of a state
after the end. Where nothing measures RSS (replays of scores) there is one state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..space import Space, Value
from .base import Ask, Strategy, sampler_of
from .damoos_polyfit import SOURCE
from .damoos_simple import SIZES_BYTES, inside
from .linear import AGE, SIZE
from .seen import Seen

AGES_US = (3_000_000, 5_000_000, 7_000_000, 9_000_000, 11_000_000, 13_000_000)
STATES = 21
RATE, EPSILON, DISCOUNT = 0.2, 0.2, 0.9
TOO_SLOW = -1000.0
GREEDY_RUNS = 5


def state_of(rss_overhead_percent: float | None) -> int:
    """The state after a run: 0 for 0 to less than 5 % saved, 1 for the next 5 %, …; the last one where memory grew."""
    if rss_overhead_percent is None or rss_overhead_percent > 0:
        return STATES - 1
    return min(int(-rss_overhead_percent / 5.0), STATES - 2)


def actions(space: Space) -> list[dict[str, Value]]:
    """The points of the table, the others of the parameters at their defaults."""
    age = next(p for p in space.parameters if p.place.endswith(AGE))
    size = next((p for p in space.parameters if p.place.endswith(SIZE)), None)
    sizes = [{}] if size is None else [{size.name: inside(size, sz_bytes)} for sz_bytes in SIZES_BYTES]
    return [space.defaults() | {age.name: inside(age, age_us)} | other for age_us in AGES_US for other in sizes]


def learned(
    table: NDArray[np.float64], points: Sequence[dict[str, Value]], seen: Sequence[Seen], original: bool
) -> tuple[NDArray[np.float64], int]:
    """The table [states, actions] after the runs that were actions of it, and the state after the last run."""
    table, state = table.copy(), STATES - 1
    for trial in seen:
        if trial.state == "running":
            continue
        after = state_of(trial.rss_overhead_percent)
        if trial.values in points:
            action = points.index(trial.values)
            reward = trial.score if trial.feasible and trial.score is not None else TOO_SLOW
            if original:
                action, reward = action - 1, reward + DISCOUNT * table[after].max()
            table[state, action] += RATE * (reward - table[state, action])
        state = after
    return table, state


def proposer(original: bool) -> Callable[[Ask, Sequence[Seen]], dict[str, Value]]:
    """The next action: the best of the state, or with probability epsilon any."""

    def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
        points = actions(ask.space)
        table, state = learned(ask.study_rng().random((STATES, len(points))), points, seen, original)
        rng = ask.rng()
        greedy = ask.number >= ask.trials - min(max(ask.trials // 10, 1), GREEDY_RUNS)
        if not greedy and rng.random() < EPSILON:
            return points[int(rng.integers(len(points)))]
        return points[int(np.argmax(table[state]))]

    return propose


def _strategy(name: str, title: str, original: bool) -> Strategy:
    return Strategy(
        name=name,
        title=title,
        text=__doc__ or "",
        source=SOURCE,
        make_sampler=sampler_of(proposer(original)),
        choices=False,
        conditional=False,
        places=("schemes[0].access_pattern.age.min",),
        uses_budget=True,
        repeats="it runs again what it thinks is best",
    )


STRATEGY = _strategy("damoos-qlearning", "DAMOOS 2021: a table learned by runs, its two faults corrected", False)
ORIGINAL = _strategy("damoos-qlearning-2021", "DAMOOS 2021: a table learned by runs, as it was", True)
