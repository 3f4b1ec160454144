"""What a tuning session knows so far, as the observation of `damoos/Tuning-v0`; also for whoever acts by its policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from damoos.tune.objective import Objective
from damoos.tune.outcome import Trial
from damoos.tune.space import Values

from .knobs import Knobs
from .profile import FEATURES, Profile

Observation = NDArray[np.float32]

SCORE_SCALE = 20.0
"""Percent points of score that are 1 in observations and rewards."""
SCORE_MOST = 5.0
"""Scores of more, or less, than so many scales look alike."""
EXCESS_MOST = 3.0
"""Excesses of more, or less, than so many limits look alike."""


@dataclass(frozen=True)
class Tried:
    """A trial of a session: its point as an action, [d] in [-1, 1], its score in percent, and by how much it passed the
    objective's limit, as a share of that; feasible where not above 0. What failed is as bad as can be shown."""

    action: tuple[float, ...]
    score: float
    excess: float

    @classmethod
    def of(cls, knobs: Knobs, objective: Objective, values: Values, score: float | None, excess: float) -> Self:
        """A point with its score (None: it failed) and excess over the limit, percent."""
        action = tuple(knobs.action(values).tolist())
        if score is None:
            return cls(action, -SCORE_MOST * SCORE_SCALE, EXCESS_MOST)
        return cls(action, score, excess / objective.limit_percent)

    @classmethod
    def of_trial(cls, knobs: Knobs, objective: Objective, trial: Trial) -> Self:
        """A trial that was evaluated."""
        excess = objective.excess_percent(trial.repeats) if trial.repeats else np.inf
        return cls.of(knobs, objective, trial.params, trial.score if trial.repeats else None, excess)

    @property
    def feasible(self) -> bool:
        """Whether it ran and kept the limit."""
        return self.excess <= 0.0


def best_score(tried: Sequence[Tried]) -> float:
    """The best score of those that are feasible, percent; 0, no scheme, where none is better."""
    return max([0.0, *(one.score for one in tried if one.feasible)])


@dataclass(frozen=True)
class Layout:
    """Where what is in an observation of a session with `dimensions` parameters d to choose; float32 [size], in order:

    | numbers | range | what |
    | --- | --- | --- |
    | 15, or none without `profile` | 0..1 | the workload's profile, as `damoos/OneShot-v0` has it |
    | 1 | 0..1 | runs that are left, of all of the session |
    | 1 | -5..5 | best feasible score so far, 0 (no scheme) or more, in units of 20 percent points |
    | d | -1..1 | where that was, as an action; 0 where nothing is better than no scheme |
    | `history` × (d + 3) | | the last trials, the newest first: 1 (0: none yet, then all is 0), |
    | | -5..5 | score in units of 20 percent points, |
    | | -3..3 | runtime overhead above the limit, as a share of the limit (0 and less is feasible), |
    | | -1..1 | and the point as an action, d numbers |
    """

    dimensions: int
    history: int
    profile: bool = True

    @property
    def size(self) -> int:
        """Numbers of an observation."""
        return len(FEATURES) * self.profile + 2 + self.dimensions + self.history * (self.dimensions + 3)

    @cached_property
    def highest(self) -> Observation:
        """The largest absolute value of each number."""
        point = [1.0] * self.dimensions
        trial = [1.0, SCORE_MOST, EXCESS_MOST, *point]
        shown = [1.0] * len(FEATURES) * self.profile
        return np.array([*shown, 1.0, SCORE_MOST, *point, *trial * self.history], np.float32)

    def observe(self, profile: Profile | None, tried: Sequence[Tried], left: float) -> Observation:
        """The observation after the trials so far, in order; `left`: share of the session's runs. `profile` is not
        looked at without `self.profile`."""
        seen = np.zeros(self.size, np.float32)
        at = 0
        if self.profile:
            assert profile is not None
            at = len(FEATURES)
            seen[:at] = profile
        seen[at] = left
        feasible = [one for one in tried if one.feasible and one.score > 0.0]
        if feasible:
            top = max(feasible, key=lambda one: one.score)
            seen[at + 1 : at + 2 + self.dimensions] = [top.score / SCORE_SCALE, *top.action]
        at += 2 + self.dimensions
        for one in list(reversed(tried))[: self.history]:
            seen[at : at + self.dimensions + 3] = [1.0, one.score / SCORE_SCALE, one.excess, *one.action]
            at += self.dimensions + 3
        return np.clip(seen, -self.highest, self.highest)
