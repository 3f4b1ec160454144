"""One tuning session, the episode of `damoos/Tuning-v0`: what the single and the batched environment are made of."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from damoos import __version__
from damoos.errors import InputError
from damoos.tune.outcome import Run, Trial
from damoos.tune.preset import Env
from damoos.tune.program import digest
from damoos.tune.seeds import Stream, run_seeds, watch_seed
from damoos.tune.trial import Bench, evaluate

from .draw import Task, TaskSource
from .history import SCORE_SCALE, Layout, Observation, Tried, best_score
from .knobs import Action, Knobs
from .landscape import Landscape, kept
from .profile import Profile, profile
from .telling import told_of

Info = dict[str, Any]
Scores = TypeVar("Scores", float, NDArray[np.float64])
_REMEMBERED = 8192
"""Tasks whose runs without a scheme are kept; some kB each."""
_KEY = 0x6C61
LEAST = 2.0
"""Where less than that can be gained, percent points, a share of it says nothing."""
UNKNOWN = (float("nan"), float("nan"))
"""Overheads on a landscape, which has none."""


class Beginning(NamedTuple):
    """What is known of a task before its first trial: the runs without DAMON, the profile if it is looked at, and the
    landscape that answers in place of runs."""

    baseline: tuple[Run, ...]
    profile: Profile | None
    landscape: Landscape | None = None


@dataclass(frozen=True)
class Rules:
    """How sessions go: `runs` trials, `repeats` runs each, of which the last `history` are shown, and the workload's
    profile with `profile`; with `landscapes`, a folder, trials are answered by what is kept there; with `vary_runs`
    each session has so many runs or fewer, as many of all lengths. `relative`: rewards are in units of what a landscape
    has to give, at least `LEAST`, instead of `SCORE_SCALE`, and what is above does not count. A reward is by how much
    the best score, in these units and to the power of `power`, rises. Raises InputError, also for landscapes of a space
    that is more than numbers, for `relative` without landscapes, and for no positive `power`."""

    preset: Env
    knobs: Knobs
    runs: int
    repeats: int
    history: int
    profile: bool
    landscapes: Path | None = None
    vary_runs: bool = False
    relative: bool = False
    power: float = 1.0

    def __post_init__(self) -> None:
        for name, value, least in (("runs", self.runs, 1), ("repeats", self.repeats, 1), ("history", self.history, 0)):
            if value < least:
                raise InputError("too small", field=name, value=value, allowed=f"{least} and more")
        if self.relative and self.landscapes is None:
            raise InputError("is not known of runs", field="relative", value=True, allowed="False, or landscapes")
        if self.power <= 0.0:
            raise InputError("too small", field="power", value=self.power, allowed="above 0")
        for parameter in self.preset.space.parameters:
            if self.landscapes is not None and (parameter.kind == "choice" or parameter.when is not None):
                allowed = "envs whose parameters are numbers that always count"
                raise InputError("can't be interpolated", field="landscapes", value=parameter.name, allowed=allowed)

    def draw_runs(self, rng: np.random.Generator) -> int:
        """How many trials the next session has."""
        return int(rng.integers(1, self.runs + 1)) if self.vary_runs else self.runs

    def unit(self, landscape: Landscape | None) -> float:
        """How many percent points of score are a reward of 1."""
        return max(landscape.top, LEAST) if self.relative and landscape is not None else SCORE_SCALE

    def reward(self, before: Scores, after: Scores, unit: Scores) -> Scores:
        """Of raising the best score, percent and at least 0, from `before` to `after`, in units of `unit`."""
        return self._worth(after / unit) - self._worth(before / unit)

    def _worth(self, best: Scores) -> Scores:
        # What an interpolation promises above the best that was measured is mostly its error.
        capped: Scores = np.minimum(best, 1.0) if self.relative else best
        return capped**self.power

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
        self._beginning: defaultdict[Task, threading.Lock] = defaultdict(threading.Lock)

    def begin(self, task: Task) -> Beginning:
        """The runs before the first trial. Seeds are those of a study with the task's seed. Raises BackendError."""
        with self._lock:
            one_at_a_time = self._beginning[task]
        with one_at_a_time:
            with self._lock:
                found = self._begun.get(task)
            if found is None:
                found = self._landscape(task) if self.rules.landscapes is not None else self._measured(task)
        with self._lock:
            self._begun[task] = found
            self._begun.move_to_end(task)
            while len(self._begun) > _REMEMBERED:
                del self._beginning[self._begun.popitem(last=False)[0]]
        return found

    def trial(self, task: Task, action: Action, number: int, baseline: Sequence[Run]) -> Trial:
        """The trial of an action."""
        space, objective = self.rules.preset.space, self.rules.preset.objective
        return evaluate(self._bench(task).runs, space, objective, number, self.rules.knobs.values(action), baseline)

    def _measured(self, task: Task) -> Beginning:
        baseline = self._bench(task).runs(None, run_seeds(task.seed, Stream.SEARCH, self.rules.repeats))
        shown = profile(task.backend, task.workload, watch_seed(task.seed)) if self.rules.profile else None
        return Beginning(baseline, shown)

    def _landscape(self, task: Task) -> Beginning:
        rules, folder = self.rules, self.rules.landscapes
        assert folder is not None
        key = __version__, digest(task.workload), task.backend, task.seed, rules.preset.sha256, rules.knobs.names
        found = kept(folder, (*key, rules.repeats), lambda: self._measured_landscape(task))
        return Beginning((), found.profile, found)

    def _measured_landscape(self, task: Task) -> Landscape:
        rules = self.rules
        baseline = self._bench(task).runs(None, run_seeds(task.seed, Stream.SEARCH, rules.repeats))
        shown = profile(task.backend, task.workload, watch_seed(task.seed))

        def measure(action: Action) -> Tried:
            return Tried.of_trial(rules.knobs, rules.preset.objective, self.trial(task, action, 0, baseline))

        return Landscape.measure(measure, rules.knobs.dimensions, shown, np.random.default_rng([_KEY, task.seed]))

    def _bench(self, task: Task) -> Bench:
        preset = self.rules.preset
        return Bench(task.backend, task.workload, 1, observes=preset.objective.observes, feed=preset.feed)


class TuningSession:
    """One session after the other, of tasks that are drawn from `tasks`."""

    def __init__(self, runner: Runner, tasks: TaskSource) -> None:
        self._runner, self._tasks, self._rules = runner, tasks, runner.rules
        self._task: Task | None = None
        self._left = 0
        self._begun = Beginning((), None)
        self._trials: list[Trial | None] = []
        self._tried: list[Tried] = []

    def draw(self, rng: np.random.Generator) -> None:
        """Chooses the next session's task."""
        self._task = self._tasks.draw(rng)
        self._left = self._rules.draw_runs(rng)
        self._trials, self._tried = [], []

    def begin(self) -> tuple[Observation, Info]:
        """The first observation of the task that was drawn. Raises BackendError."""
        task = self._task
        assert task is not None
        self._begun = self._runner.begin(task)
        return self._observe(), beginning(task, self._begun.baseline)

    def step(self, action: Action) -> tuple[Observation, float, bool, Info]:
        """One trial: observation, reward, whether it was the last, and info. Raises ResetNeeded after the last."""
        if self._task is None or self._left == 0:
            raise gymnasium.error.ResetNeeded("step() before reset()")
        before = best_score(self._tried)
        trial = None
        if self._begun.landscape is not None:
            self._tried.append(self._begun.landscape.at(np.asarray(action, np.float64)))
        else:
            trial = self._runner.trial(self._task, action, len(self._tried), self._begun.baseline)
            self._tried.append(Tried.of_trial(self._rules.knobs, self._rules.preset.objective, trial))
        self._trials.append(trial)
        after = best_score(self._tried)
        self._left -= 1
        last = self._left == 0
        info: Info = {"trial": {} if trial is None else told_of(trial), **(self._result(after) if last else {})}
        reward = self._rules.reward(before, after, self._rules.unit(self._begun.landscape))
        return self._observe(), reward, last, info

    def _observe(self) -> Observation:
        return self._rules.layout.observe(self._begun.profile, self._tried, self._left / self._rules.runs)

    def _result(self, score: float) -> Info:
        assert self._task is not None
        pairs = zip(self._trials, self._tried, strict=True)
        named = [trial for trial, tried in pairs if tried.feasible and tried.score == score]
        overheads = _overheads(named[0]) if named else (0.0, 0.0)
        return result(self._task.workload.name, score, overheads)


def beginning(task: Task, baseline: Sequence[Run]) -> Info:
    """The info of a session that begins."""
    return {
        "workload": task.workload.name,
        "seeds": [run.seed for run in baseline],
        "time_kind": task.backend.time_kind,
    }


def result(workload: str, score: float, overheads: tuple[float, float] = UNKNOWN) -> Info:
    """The info of a session that is over: the best `score`, with its overheads of runtime and RSS in percent."""
    return {
        "workload": workload,
        "episode_score": score,
        "reward_total": score,
        "feasible": True,
        "runtime_overhead_percent": overheads[0],
        "rss_overhead_percent": overheads[1],
    }


def _overheads(trial: Trial | None) -> tuple[float, float]:
    if trial is None or trial.runtime_overhead_percent is None or trial.rss_overhead_percent is None:
        return UNKNOWN
    return trial.runtime_overhead_percent, trial.rss_overhead_percent
