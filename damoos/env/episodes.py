"""Episodes of `damoos/Control-v0` side by side: what the single and the vectorised environment both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from damoos.backend.base import Session
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import InputError
from damoos.sim.backend import SimBackend
from damoos.sim.fleet import Fleet, Looks
from damoos.sim.session import SimSession
from damoos.tune.objective import run_of
from damoos.tune.outcome import Repeat, Run
from damoos.tune.preset import load_env
from damoos.tune.running import check_runs_on, running_reward
from damoos.tune.space_many import values_of

from .baseline import GRID, Baseline, baselines
from .draw import Task, TaskSource
from .knobs import Knobs
from .runs import Runs
from .signals import IDLE_EDGES_S, RATE_EDGES, SIGNALS, Memory, has_quota, signals

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LONGEST = 3.0
"""Episodes are truncated when they take longer than so many times their baseline."""


@dataclass(frozen=True)
class Steps:
    """What a step of all episodes came to, arrays [n]; `infos`: of the episodes that ended, by their number."""

    observations: NDArray[np.float32]
    rewards: Floats
    terminated: Mask
    truncated: Mask
    infos: dict[int, dict[str, Any]]


class Episodes:
    """`count` episodes, each at its own place in its own run; see `damoos.env.control.ControlEnv`."""

    def __init__(
        self,
        count: int,
        source: TaskSource,
        env: str,
        controls: Sequence[str] | None,
        step_s: float,
        progress: bool,
        threads: int | None,
    ) -> None:
        if count < 1:
            raise InputError("too small", field="num_envs", value=count, allowed="1 and more")
        if not step_s > 0:
            raise InputError("out of range", field="step_s", value=step_s, allowed="more than 0")
        self.source, self.preset, self.step_s = source, load_env(env), step_s
        space = self.preset.space
        self._knobs = Knobs(space, controls)
        check_runs_on(self.preset.objective)
        if self.preset.feed is not None:
            allowed = "a preset without [feed]: what is fed and what an agent commits would overwrite each other"
            raise InputError("can't be controlled", field="env", value=env, allowed=allowed)
        self._start, self._first = space.kdamonds(space.defaults()), self._knobs.action(space.defaults())
        size = self._knobs.dimensions
        self.observation_space = spaces.Box(-1.0, 1.0, (len(SIGNALS) + size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self._progress, self._threads = progress, threads
        self.runs: Runs | Fleet | None = None
        self.sessions: list[Session | None] = [None] * count
        self.tasks: list[Task | None] = [None] * count
        self.baselines: list[Baseline | None] = [None] * count
        self.over = np.ones(count, bool)
        self._memory = Memory.blank(count)
        self._observations = np.zeros((count, *self.observation_space.shape), np.float32)
        self._values = np.zeros((count, space.dimensions))
        self._phi, self._runtime_s, self._rss_bytes, self._duration_ms = np.ones((4, count))
        self._curves = np.zeros((2, count, GRID + 1))

    def begin(self, rngs: Sequence[tuple[int, np.random.Generator]]) -> NDArray[np.float32]:
        """Starts the next episode of those with these numbers, of a task drawn by the generator of each, and returns
        the observations of all, float32 [n, ...]. Raises gymnasium.error.ResetNeeded if an episode would be without a
        run, and what starting runs raises."""
        if self.runs is None and len(rngs) < len(self.sessions):
            raise gymnasium.error.ResetNeeded("the first reset() is of all environments")
        if not rngs:
            return self._observations.copy()
        places = [i for i, _ in rngs]
        which = np.zeros(len(self.sessions), bool)
        which[places] = True
        tasks = [self.source.draw(rng) for _, rng in rngs]
        for i, task, base in zip(places, tasks, baselines(tasks, self._threads), strict=True):
            self._close(i)
            self.sessions[i] = session = task.backend.start(task.workload, self._start, task.seed)
            self.tasks[i], self.baselines[i] = task, base
            self._runtime_s[i], self._rss_bytes[i] = base.run.runtime_s, base.run.rss_mean_bytes
            self._duration_ms[i] = task.workload.duration_ms
            self._curves[:, i] = base.time, base.memory
            if isinstance(self.runs, Runs):
                self.runs.replace(i, session)
            elif self.runs is not None:
                assert isinstance(session, SimSession)
                self.runs.replace(i, session)
        if self.runs is None:
            self.runs = self._alongside()
        self._values[which] = self._knobs.many(self._first[None])
        self._phi[which] = 0.0
        looks, first = self.runs.look(which), np.tile(self._first, (len(places), 1))
        self._observations[which], memory = self._observed(looks, first, Memory.blank(len(places)), which)
        self._memory.take(memory, which)
        self.over[which] = False
        return self._observations.copy()

    def step(self, actions: NDArray[np.floating[Any]]) -> Steps:
        """Commits the actions, float [n, d], where they change anything, and lets all runs go on for a step; none may
        be over. Raises what commits and runs raise."""
        assert self.runs is not None
        actions = np.clip(np.asarray(actions, np.float64), -1.0, 1.0)
        values = self._knobs.many(actions)
        changed = ~((values == self._values) | (np.isnan(values) & np.isnan(self._values))).all(1)
        if changed.any():
            self.runs.commit(values, changed)
        self._values = values
        looks = self.runs.advance(self.step_s)
        self._observations, self._memory = self._observed(looks, actions, self._memory, ...)
        terminated = looks.done.copy()
        truncated = ~terminated & (looks.t_s > LONGEST * self._runtime_s)
        phi = self._running(looks)
        infos = {}
        for i in np.flatnonzero(terminated | truncated).tolist():
            infos[i], phi[i] = self._ended(i, looks, phi[i])
        rewards, self._phi = phi - self._phi, phi
        self.over = terminated | truncated
        return Steps(self._observations.copy(), rewards, terminated, truncated, infos)

    def about(self, i: int) -> dict[str, Any]:
        """Which task episode `i` has."""
        task = self.tasks[i]
        assert task is not None
        return {"workload": task.workload.name, "backend": task.backend.name, "seed": task.seed}

    def close(self) -> None:
        """Ends all runs; the next `begin` has to be of all episodes."""
        if isinstance(self.runs, Fleet):
            self.runs.close()
        for i in range(len(self.sessions)):
            self._close(i)
        self.runs = None
        self.over[:] = True

    def _close(self, i: int) -> None:
        session = self.sessions[i]
        if session is not None:
            session.close()
        self.sessions[i] = None

    def _alongside(self) -> Runs | Fleet:
        sessions = [session for session in self.sessions if session is not None]
        # By what later tasks may have, too.
        if not all(isinstance(machine, SimBackend) for machine in self.source.machines):
            limited = has_quota(self._start)
            return Runs(sessions, self._kdamonds, rate_edges=RATE_EDGES, idle_edges_s=IDLE_EDGES_S, counters=limited)
        simulated = [session for session in sessions if isinstance(session, SimSession)]
        # A choice is a number of ours, which the fleet must leave to `_kdamonds`.
        places = ["" if p.kind == "choice" else p.place for p in self.preset.space.parameters]
        return Fleet(
            simulated,
            places,
            self._kdamonds,
            rate_edges=RATE_EDGES,
            idle_edges_s=IDLE_EDGES_S,
            begun_with=self._knobs.many(self._first[None])[0],
            threads=self._threads,
        )

    def _kdamonds(self, row: Floats) -> Kdamonds:
        return self.preset.space.kdamonds(values_of(self.preset.space, row))

    def _observed(
        self, looks: Looks, actions: NDArray[np.floating[Any]], memory: Memory, which: Mask | EllipsisType
    ) -> tuple[NDArray[np.float32], Memory]:
        duration_ms = self._duration_ms[which]
        seen, memory = signals(looks, memory, duration_ms if self._progress else np.zeros_like(duration_ms))
        return np.concatenate([seen, actions], 1, dtype=np.float32), memory

    def _running(self, looks: Looks) -> Floats:
        time = looks.t_s / self._runtime_s
        rss = looks.byte_s / np.maximum(looks.t_s, 1e-9) / self._rss_bytes
        done = looks.work_done_ms / self._duration_ms
        # Where nothing tells the progress, it goes as in the baseline while that would not be over.
        place = np.minimum(np.where(looks.work_done_ms > 0, done, time), 1.0) * GRID
        left = np.minimum(place.astype(np.intp), GRID - 1)
        part = place - left
        rows = np.arange(left.size)
        before, after = self._curves[:, rows, left], self._curves[:, rows, left + 1]
        base_time, base_memory = before + part * (after - before)
        even = looks.work_done_ms <= 0
        base_time, base_memory = (np.where(even, place / GRID, curve) for curve in (base_time, base_memory))
        return running_reward(self.preset.objective, time, rss, base_time, base_memory)

    def _measured(self, i: int, looks: Looks) -> Run:
        base, session, objective = self.baselines[i], self.sessions[i], self.preset.objective
        assert base is not None and session is not None
        if isinstance(self.runs, Fleet) and objective.kind == "damoos" and not objective.constraints:
            # Nothing else counts, and a whole record costs more than the step.
            t_s = float(looks.t_s[i])
            return replace(base.run, runtime_s=t_s, rss_mean_bytes=float(looks.byte_s[i]) / t_s)
        return run_of(session.finish())

    def _ended(self, i: int, looks: Looks, phi: float) -> tuple[dict[str, Any], float]:
        base, objective = self.baselines[i], self.preset.objective
        assert base is not None
        if looks.done[i]:
            repeat: Repeat = objective.repeat(self._measured(i, looks), base.run)
            phi, score = objective.reward([repeat]), repeat.score
            runtime, rss = repeat.runtime_overhead_percent, repeat.rss_overhead_percent
            feasible = objective.excess_percent([repeat]) <= 0
        else:
            runtime = 100.0 * (float(looks.t_s[i]) / base.run.runtime_s - 1.0)
            rss = 100.0 * (float(looks.byte_s[i] / looks.t_s[i]) / base.run.rss_mean_bytes - 1.0)
            score = -(objective.weight * runtime + (1.0 - objective.weight) * rss)
            feasible = False
        info = {
            "episode_score": score,
            "reward_total": phi,
            "feasible": feasible,
            "runtime_overhead_percent": runtime,
            "rss_overhead_percent": rss,
        }
        return self.about(i) | info, phi
