"""Many tuning sessions side by side: in several threads where trials are runs, by NumPy where landscapes answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .draw import TaskSource
from .history import SCORE_SCALE, Observation
from .knobs import Action
from .landscape import Stack
from .profile import FEATURES
from .tuning_session import Info, Runner, TuningSession, beginning, result

_Got = TypeVar("_Got")
Stepped = tuple[NDArray[np.float64], NDArray[np.bool_], Sequence[Info]]
"""Rewards, which sessions are over, and what is told of each."""


class Sessions(Protocol):
    """Sessions that are moved on together. `seen`: their observations, float32 [count, size]."""

    seen: Observation

    def begin(self, rngs: Sequence[tuple[int, np.random.Generator]]) -> Sequence[Info]:
        """Begins the next session of those with these numbers, with a task drawn by the generator of each."""

    def step(self, actions: Action) -> Stepped:
        """A trial of each, at actions [count, d]. Raises ResetNeeded if one was over before."""

    def close(self) -> None:
        """Ends threads."""


class RunSessions:
    """`count` `TuningSession`s, in `threads` threads (None: one a CPU of this process)."""

    def __init__(self, runner: Runner, tasks: TaskSource, count: int, threads: int | None) -> None:
        self._sessions = [TuningSession(runner, tasks) for _ in range(count)]
        self.seen = np.zeros((count, runner.rules.layout.size), np.float32)
        threads = min(count, len(os.sched_getaffinity(0)) if threads is None else threads)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def begin(self, rngs: Sequence[tuple[int, np.random.Generator]]) -> Sequence[Info]:
        """See `Sessions`. Raises BackendError."""
        for i, rng in rngs:
            self._sessions[i].draw(rng)
        begun = list(self._map(lambda at: self._sessions[at[0]].begin(), rngs))
        for (i, _), (seen, _) in zip(rngs, begun, strict=True):
            self.seen[i] = seen
        return [info for _, info in begun]

    def step(self, actions: Action) -> Stepped:
        """See `Sessions`; without `trial` in the infos."""
        stepped = list(self._map(lambda at: at[0].step(at[1]), list(zip(self._sessions, actions, strict=True))))
        for i, (seen, *_, info) in enumerate(stepped):
            self.seen[i] = seen
            del info["trial"]
        rewards, ended = np.array([s[1] for s in stepped]), np.array([s[2] for s in stepped])
        return rewards, ended, [s[3] for s in stepped]

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _map(self, do: Callable[[Any], _Got], values: Iterable[Any]) -> Iterable[_Got]:
        return map(do, values) if self._pool is None else self._pool.map(do, values)


class LandscapeSessions:
    """`count` sessions on landscapes of tasks from `tasks`: what as many `TuningSession`s do one by one."""

    def __init__(self, runner: Runner, tasks: TaskSource, count: int) -> None:
        self._runner, self._tasks, self._layout = runner, tasks, runner.rules.layout
        self._stack = Stack(count)
        self._names = [""] * count
        self._left = np.zeros(count, int)
        self._best, self._unit = np.zeros(count), np.ones(count)
        self.seen = np.zeros((count, self._layout.size), np.float32)

    def begin(self, rngs: Sequence[tuple[int, np.random.Generator]]) -> Sequence[Info]:
        """See `Sessions`. Raises as a run where a task has to be measured."""
        infos = []
        for i, rng in rngs:
            task = self._tasks.draw(rng)
            landscape = self._runner.begin(task).landscape
            assert landscape is not None
            self._stack.put(i, landscape)
            self._unit[i] = self._runner.rules.unit(landscape)
            self._names[i] = task.workload.name
            rules = self._runner.rules
            self._left[i], self._best[i] = rules.draw_runs(rng), 0.0
            self.seen[i] = self._layout.observe(landscape.profile, (), self._left[i] / rules.runs)
            infos.append(beginning(task, ()))
        return infos

    def step(self, actions: Action) -> Stepped:
        """See `Sessions`."""
        runs, layout = self._runner.rules.runs, self._layout
        if (self._left == 0).any():
            raise gymnasium.error.ResetNeeded("step() before reset()")
        actions = np.clip(actions, -1.0, 1.0)
        score, excess = self._stack.at(actions.astype(np.float64))
        self._left -= 1
        before = self._best.copy()
        better = (excess <= 0.0) & (score > before)
        self._best[better] = score[better]
        at = len(FEATURES) * layout.profile
        self.seen[:, at] = self._left / runs
        self.seen[better, at + 1] = score[better] / SCORE_SCALE
        self.seen[better, at + 2 : at + 2 + layout.dimensions] = actions[better]
        at, wide = at + 2 + layout.dimensions, 3 + layout.dimensions
        if layout.history:
            self.seen[:, at + wide :] = self.seen[:, at:-wide].copy()
            self.seen[:, at] = 1.0
            self.seen[:, at + 1], self.seen[:, at + 2] = score / SCORE_SCALE, excess
            self.seen[:, at + 3 : at + wide] = actions
        np.clip(self.seen, -layout.highest, layout.highest, out=self.seen)
        ended = self._left == 0
        best = self._best.tolist()
        infos = [result(self._names[i], best[i]) if over else {} for i, over in enumerate(ended.tolist())]
        return self._runner.rules.reward(before, self._best, self._unit), ended, infos

    def close(self) -> None:
        """There is nothing to end."""
