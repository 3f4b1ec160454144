"""One tuning session, the episode of `damoos/Tuning-v0`: what the single and the batched environment are made of."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from damoos.errors import InputError
from damoos.tune.outcome import Run, Trial
from damoos.tune.preset import Env
from damoos.tune.seeds import Stream, run_seeds, watch_seed
from damoos.tune.trial import Bench, evaluate

from .draw import Task, TaskSource
from .history import SCORE_SCALE, Layout, Observation, Tried, best_score
from .knobs import Action, Knobs
from .profile import Profile, profile

Info = dict[str, Any]
_REMEMBERED = 8192
"""Tasks whose runs without a scheme are kept; some kB each."""


class Beginning(NamedTuple):
    """What is known of a task before its first trial: the runs without DAMON, and the profile if it is looked at."""

    baseline: tuple[Run, ...]
    profile: Profile | None


@dataclass(frozen=True)
class Rules:
    """How sessions go: `runs` trials, `repeats` runs each, of which the last `history` are shown, and the workload's
    profile with `profile`. Raises InputError."""

    preset: Env
    knobs: Knobs
    runs: int
    repeats: int
    history: int
    profile: bool

    def __post_init__(self) -> None:
        for name, value, least in (("runs", self.runs, 1), ("repeats", self.repeats, 1), ("history", self.history, 0)):
            if value < least:
                raise InputError("too small", field=name, value=value, allowed=f"{least} and more")

    @property
    def layout(self) -> Layout:
        """Where what is in an observation."""
        return Layout(self.knobs.dimensions, self.history, self.profile)


class Runner:
    """Runs trials of sessions under `rules`, also from several threads; runs without a scheme are remembered."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._begun: OrderedDict[Task, Beginning] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, task: Task) -> Beginning:
        """The runs before the first trial. Seeds are those of a study with the task's seed. Raises BackendError."""
        with self._lock:
            found = self._begun.get(task)
        if found is None:
            baseline = self._bench(task).runs(None, run_seeds(task.seed, Stream.SEARCH, self.rules.repeats))
            shown = profile(task.backend, task.workload, watch_seed(task.seed)) if self.rules.profile else None
            found = Beginning(baseline, shown)
        with self._lock:
            self._begun[task] = found
            self._begun.move_to_end(task)
            while len(self._begun) > _REMEMBERED:
                self._begun.popitem(last=False)
        return found

    def trial(self, task: Task, action: Action, number: int, baseline: Sequence[Run]) -> Trial:
        """The trial of an action."""
        space, objective = self.rules.preset.space, self.rules.preset.objective
        return evaluate(self._bench(task).runs, space, objective, number, self.rules.knobs.values(action), baseline)

    def _bench(self, task: Task) -> Bench:
        preset = self.rules.preset
        return Bench(task.backend, task.workload, 1, observes=preset.objective.observes, feed=preset.feed)


class TuningSession:
    """One session after the other, of tasks that are drawn from `tasks`."""

    def __init__(self, runner: Runner, tasks: TaskSource) -> None:
        self._runner, self._tasks, self._rules = runner, tasks, runner.rules
        self._task: Task | None = None
        self._begun = Beginning((), None)
        self._trials: list[Trial] = []
        self._tried: list[Tried] = []

    def draw(self, rng: np.random.Generator) -> None:
        """Chooses the next session's task."""
        self._task = self._tasks.draw(rng)
        self._trials, self._tried = [], []

    def begin(self) -> tuple[Observation, Info]:
        """The first observation of the task that was drawn. Raises BackendError."""
        task = self._task
        assert task is not None
        self._begun = self._runner.begin(task)
        return self._observe(), {
            "workload": task.workload.name,
            "seeds": [run.seed for run in self._begun.baseline],
            "time_kind": task.backend.time_kind,
        }

    def step(self, action: Action) -> tuple[Observation, float, bool, Info]:
        """One trial: observation, reward, whether it was the last, and info. Raises ResetNeeded after the last."""
        if self._task is None or len(self._tried) == self._rules.runs:
            raise gymnasium.error.ResetNeeded("step() before reset()")
        before = best_score(self._tried)
        trial = self._runner.trial(self._task, action, len(self._tried), self._begun.baseline)
        self._trials.append(trial)
        self._tried.append(Tried.of_trial(self._rules.knobs, self._rules.preset.objective, trial))
        after = best_score(self._tried)
        last = len(self._tried) == self._rules.runs
        info: Info = {"trial": _told(trial), **(self._result(after) if last else {})}
        return self._observe(), (after - before) / SCORE_SCALE, last, info

    def _observe(self) -> Observation:
        left = 1.0 - len(self._tried) / self._rules.runs
        return self._rules.layout.observe(self._begun.profile, self._tried, left)

    def _result(self, score: float) -> Info:
        assert self._task is not None
        pairs = zip(self._trials, self._tried, strict=True)
        best = next((trial for trial, tried in pairs if tried.feasible and tried.score == score), None)
        return {
            "workload": self._task.workload.name,
            "episode_score": score,
            "reward_total": score,
            "feasible": True,
            "runtime_overhead_percent": 0.0 if best is None else best.runtime_overhead_percent,
            "rss_overhead_percent": 0.0 if best is None else best.rss_overhead_percent,
        }


def _told(trial: Trial) -> Info:
    return {
        "score": trial.score,
        "feasible": trial.feasible,
        "runtime_overhead_percent": trial.runtime_overhead_percent,
        "rss_overhead_percent": trial.rss_overhead_percent,
        "params": trial.params_text,
        "kdamonds": trial.kdamonds,
        "error": trial.error,
    }
