"""An env and a workload on a backend as a task."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from damoos.backend.base import Backend, Workload
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import HostError, SetUpError
from damoos.tune.fidelity import Fidelity, part_of, share_of
from damoos.tune.objective import mean, run_of
from damoos.tune.outcome import Run, Trial
from damoos.tune.preset import Env
from damoos.tune.seeds import Stream, run_seeds, watch_seed
from damoos.tune.space import Space, Values
from damoos.tune.steering import Steering
from damoos.tune.strategies.base import Strategy
from damoos.tune.trial import Bench, evaluate
from damoos.tune.watching import Watched, monitoring, watch
from damoos.workload.recording import Recording

from .replay import VIOLATION
from .task import Measured, Trade

Got = TypeVar("Got")

JUDGED_WITH = 5
"""Runs from whose mean the worth of a point is told, with seeds that no strategy sees."""
RETRIES = 2
"""How often a run is tried again that could not be set up."""
_REMEMBERED = 4096


@dataclass
class EnvTask:
    """Scores of `env`'s objective for `workload` on `backend`; a trial has `repeats` runs, with seeds of the course,
    and the worth of a point is told from `judged_with` others.

    `best`: the highest worth that is known, from an exhaustive search; what breaks a limit or fails is worth -20. The
    last runs are remembered, so that a point costs its runs once. `stop`: set, no further run begins, and whoever asks
    for one gets a KeyboardInterrupt. Raises SetUpError where a run could not be set up, also when tried again, and what
    the backend raises where a run without a scheme fails.
    """

    name: str
    env: Env
    workload: Workload
    backend: Backend
    best: float = float("nan")
    repeats: int = 1
    judged_with: int = JUDGED_WITH
    stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _runs: OrderedDict[tuple[Kdamonds | None, tuple[int, ...]], tuple[Run, ...]] = field(
        default_factory=OrderedDict, repr=False
    )
    _parts: dict[float, Self] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def space(self) -> Space:
        """The env's parameters."""
        return self.env.space

    def under(self, strategy: Strategy) -> Self:
        """The env with the strategy's own space, if it brings one, steered, if it steers; runs without a scheme stay
        remembered."""
        strategy.check(self.space, subject=True)
        if strategy.is_plain:
            return self
        return self._with(strategy.env_in(self.env))

    def steered(self, steering: Steering) -> Self:
        """The same with runs that are steered; those without a scheme stay remembered."""
        return self._with(replace(self.env, steering=steering))

    def at(self, fidelity: Fidelity) -> tuple[Self, float]:
        """The beginning of the workload, unless it is a command, or fewer runs a trial."""
        share = share_of(self.workload, fidelity)
        task = self
        if share < 1.0:
            with self._lock:
                part = replace(self, workload=part_of(self.workload, share), _runs=OrderedDict(), _parts={})
                task = self._parts.setdefault(share, part)
        return (task if fidelity.often else replace(task, repeats=1)), share

    def baseline(self, seed: int) -> Measured:
        """The runs without a scheme that the course's trials are compared with."""
        runs = self._measured(None, self._seeds(seed))
        return Measured(0.0, -self.env.objective.limit_percent, sum(run.runtime_s for run in runs), self.repeats)

    def measure(self, values: Values, seed: int, number: int) -> Measured:
        """The mean over the course's seeds, those of a study with that seed."""
        trial = self.trial(values, self._seeds(seed), number)
        spent_s = trial.workload_time_s
        if not trial.repeats or trial.score is None:
            return Measured(VIOLATION, None, spent_s, self.repeats, trial)
        return Measured(trial.score, self.env.objective.excess_percent(trial.repeats), spent_s, self.repeats, trial)

    def subject(self, seed: int) -> Watched:
        """The workload, watched once with a seed of the course that no trial has."""
        kdamonds = monitoring(self.space)

        def record() -> Recording:
            return self._patiently(lambda: watch(self.backend, self.workload, kdamonds, watch_seed(seed))[0])

        return Watched(self.env.objective, self.env.feed, self.backend, record)

    def judge(self, values: Values) -> float:
        """The mean over seeds that are kept for this."""
        return self.worth(values, self._judging())

    def trade(self, values: Values) -> Trade | None:
        """Means over the same seeds."""
        trial = self.trial(values, self._judging())
        if trial.runtime_overhead_percent is None or trial.rss_overhead_percent is None:
            return None
        return Trade(trial.runtime_overhead_percent, -trial.rss_overhead_percent)

    def worth(self, values: Values, seeds: Sequence[int]) -> float:
        """The mean score over runs with `seeds`, -20 if together they break a limit or fail."""
        trial = self.trial(values, seeds)
        return mean([repeat.score for repeat in trial.repeats]) if trial.feasible else VIOLATION

    def trial(self, values: Values, seeds: Sequence[int], number: int = 0) -> Trial:
        """The point's runs with `seeds` against those without a scheme."""
        base = self._measured(None, seeds)
        trial = evaluate(self._measured, self.space, self.env.objective, number, values, base)
        if trial.error_kind == "setup":
            raise SetUpError(f"{self.name}: {trial.error}")
        return replace(trial, steered=self.env.steering is not None)

    def _with(self, env: Env) -> Self:
        baselines = OrderedDict((key, runs) for key, runs in self._runs.items() if key[0] is None)
        return replace(self, env=env, _runs=baselines, _parts={})

    def _judging(self) -> tuple[int, ...]:
        return run_seeds(0, Stream.VERIFY, self.judged_with)

    def _seeds(self, seed: int) -> tuple[int, ...]:
        return run_seeds(seed, Stream.SEARCH, self.repeats)

    def _measured(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        key = kdamonds, tuple(seeds)
        with self._lock:
            found = self._runs.get(key)
            if found is not None:
                self._runs.move_to_end(key)
                return found
        # Courses share the backend's slots among them, so a course runs one after the other.
        env = self.env
        bench = Bench(self.backend, self.workload, 1, env.objective.observes, env.feed, env.steering)
        runs = tuple(run_of(result) for result in bench.results(kdamonds, seeds, self._patiently))
        with self._lock:
            self._runs[key] = runs
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        return runs

    def _patiently(self, run: Callable[[], Got]) -> Got:
        for attempt in range(RETRIES + 1):
            if self.stop.is_set():
                break
            try:
                return run()
            except (SetUpError, HostError):
                if attempt == RETRIES and not self.stop.is_set():
                    raise
        raise KeyboardInterrupt
