"""An env and a workload on a backend as a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from damoos.backend.base import Backend, Workload
from damoos.damon.kdamonds import Kdamonds
from damoos.tune.objective import mean
from damoos.tune.outcome import Run, Trial
from damoos.tune.preset import Env
from damoos.tune.seeds import Stream, run_seeds, watch_seed
from damoos.tune.space import Space, Values
from damoos.tune.strategies.base import Strategy
from damoos.tune.trial import Bench, evaluate
from damoos.tune.watching import Watched, monitoring, watch

from .replay import VIOLATION
from .task import Measured

JUDGED_WITH = 5
"""Runs from whose mean the worth of a point is told, with seeds that no strategy sees."""


@dataclass
class EnvTask:
    """Scores of `env`'s objective for `workload` on `backend`; a trial has `repeats` runs, with seeds of the course.

    `best`: the highest worth that is known, from an exhaustive search; what breaks a limit or fails is worth -20. Runs
    are remembered, so that a point costs its runs once. Raises what the backend raises where a run without a scheme
    fails.
    """

    name: str
    env: Env
    workload: Workload
    backend: Backend
    best: float = float("nan")
    repeats: int = 1
    _runs: dict[tuple[Kdamonds | None, tuple[int, ...]], tuple[Run, ...]] = field(default_factory=dict, repr=False)

    @property
    def space(self) -> Space:
        """The env's parameters."""
        return self.env.space

    def under(self, strategy: Strategy) -> Self:
        """The env with the strategy's own space, if it brings one; runs without a scheme stay remembered."""
        strategy.check(self.space, subject=True)
        if strategy.brings is None:
            return self
        baselines = {key: runs for key, runs in self._runs.items() if key[0] is None}
        return replace(self, env=strategy.env_in(self.env), _runs=baselines)

    def measure(self, values: Values, seed: int, number: int) -> Measured:
        """The mean over the course's seeds, those of a study with that seed."""
        trial = self._trial(values, run_seeds(seed, Stream.SEARCH, self.repeats), number)
        if not trial.repeats or trial.score is None:
            return Measured(VIOLATION, None, trial.workload_time_s, trial)
        excess = self.env.objective.excess_percent(trial.repeats)
        return Measured(trial.score, excess, trial.workload_time_s, trial)

    def subject(self, seed: int) -> Watched:
        """The workload, watched once with a seed of the course that no trial has."""
        kdamonds = monitoring(self.space)
        return Watched(
            self.env.objective,
            self.env.feed,
            self.backend,
            lambda: watch(self.backend, self.workload, kdamonds, watch_seed(seed))[0],
        )

    def judge(self, values: Values) -> float:
        """The mean over seeds that are kept for this."""
        trial = self._trial(values, run_seeds(0, Stream.VERIFY, JUDGED_WITH), 0)
        return mean([repeat.score for repeat in trial.repeats]) if trial.feasible else VIOLATION

    def _trial(self, values: Values, seeds: Sequence[int], number: int) -> Trial:
        return evaluate(self._measured, self.space, self.env.objective, number, values, self._measured(None, seeds))

    def _measured(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        key = kdamonds, tuple(seeds)
        if key not in self._runs:
            bench = Bench.of(self.backend, self.workload, observes=self.env.objective.observes, feed=self.env.feed)
            self._runs[key] = bench.runs(kdamonds, seeds)
        return self._runs[key]
