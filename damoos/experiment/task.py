"""What strategies are compared on: a space, something that scores its points, and what is known to be best."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, Self

from damoos.tune.fidelity import Fidelity
from damoos.tune.outcome import Trial
from damoos.tune.space import Space, Values
from damoos.tune.strategies.base import Strategy, Subject


@dataclass(frozen=True)
class Measured:
    """What one trial gave. `score`: larger is better; `excess`: by how much it passes the limit, feasible where not
    above 0, None if it failed. What it cost: `workload_time_s`, s, 0 where nothing ran for it, and `runs`, of which one
    that was stopped counts in part. `trial`: all that was measured, for strategies that look at more than the score;
    None where there is no more."""

    score: float
    excess: float | None
    workload_time_s: float = 0.0
    runs: float = 1.0
    trial: Trial | None = field(default=None, repr=False, compare=False)

    @property
    def feasible(self) -> bool:
        """Whether it ran and kept the limit."""
        return self.excess is not None and self.excess <= 0


@dataclass(frozen=True)
class Trade:
    """Against no scheme, percent: how much slower, and how much less RSS."""

    slower_percent: float
    saved_percent: float


class Task(Protocol):
    """A problem. `name` tells it from others; `best` is the highest `judge` of any point that is known, NaN if none
    is; `repeats` is the number of runs of a trial."""

    @property
    def name(self) -> str: ...

    @property
    def space(self) -> Space: ...

    @property
    def best(self) -> float: ...

    @property
    def repeats(self) -> int: ...

    def under(self, strategy: Strategy) -> Self:
        """The same problem with the space that `strategy` searches, which may have kdamonds of its own. Raises
        InputError if the strategy can't take the space, or if nothing here can run such kdamonds."""

    def at(self, fidelity: Fidelity) -> tuple[Self, float]:
        """The same with trials of short or few runs, itself where there are no others; and the share of the workload
        that each of these runs is."""

    def baseline(self, seed: int) -> Measured | None:
        """What a course pays before its first trial: the runs without a scheme, whose score is 0. None where scores
        are given and nothing runs."""

    def measure(self, values: Values, seed: int, number: int) -> Measured:
        """One trial, as trial `number` of the course with that seed: a function of its arguments, noise included."""

    def subject(self, seed: int) -> Subject | None:
        """What a strategy may watch in the course with that seed, new for each course and a function of the seed; None
        where nothing runs, and then strategies that watch can't take this task."""

    def judge(self, values: Values) -> float:
        """What the point is worth in truth: the score without noise, or the best estimate of it."""

    def trade(self, values: Values) -> Trade | None:
        """What the point costs and saves in truth; None where only scores are known, or where it fails."""
