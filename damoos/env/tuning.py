"""`damoos/Tuning-v0`: an episode is a tuning session. Alone and many side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from damoos.errors import InputError
from damoos.tune.preset import load_env

from .draw import TaskSource
from .history import Layout, Observation
from .knobs import Action, Knobs
from .sessions import LandscapeSessions, RunSessions, Sessions
from .side_by_side import SideBySide
from .spec import SpecOfRuns
from .tuning_session import Rules, Runner, TuningSession

OBSERVATION_VERSION = 1
"""Rises when observations or actions change: a policy acts on those that it was trained on."""
RUNS = 8
"""Trials of a session, unless told otherwise."""


class TuningEnv(SpecOfRuns, gymnasium.Env[Observation, Action]):
    """Tunes one workload after the other: an episode is a session of `runs` trials of a workload that is drawn anew.

    Observation, float32, `[profile | left | best | newest trial | … | oldest]`: what DAMON sees of the workload when it
    only monitors (15 numbers, `damoos/OneShot-v0` has their table), the runs that are left, the best trial so far, and
    the last `history` trials with their outcomes. `damoos.env.history.Layout` has the table with units; with `reclaim`,
    5 parameters and 8 runs that is 15 + 2 + 5 + 8 · 8 = 86 numbers.

    Action, float32 [d] in [-1, 1]: one number a parameter of the env preset, from its low to its high end on its own
    scale (`damoos envs show NAME` lists them); outside is clipped. Each action is a trial: `repeats` whole runs.

    Reward: by how much the trial improves the best score of a feasible trial (percent, at least 0, "no scheme"), in
    units of 20 percent points. What breaks a limit or fails improves nothing. So the sum over an episode times 20 is
    the best score that it found.

    Start: a workload, a backend and a seed are drawn from `workloads`, `backend`, `seeds` and `randomise` (see
    `damoos.env.draw.TaskSource`); runs without DAMON, and for the profile a monitored one with another seed, come
    before the first observation. All trials of a session have the seeds of its runs without DAMON, those that a study
    with the drawn seed has. End: `terminated` after `runs` trials.

    `info` of a step: `trial` with `score`, `feasible`, `runtime_overhead_percent`, `rss_overhead_percent`, `params`
    (texts with units), `kdamonds` (damo's JSON tree) and `error` (None, or why it failed); of the last step also
    `workload`, and of the best trial (no scheme, if none is better) `episode_score`, `reward_total` (the same: what is
    infeasible is not the best), `feasible`, `runtime_overhead_percent`, `rss_overhead_percent`.

    | argument | default | what |
    | --- | --- | --- |
    | `workloads` | | names, patterns such as `generated-train-0:64`, or folders |
    | `env` | `reclaim` | the preset: parameters and objective |
    | `backend` | `sim:zram` | one, or several to draw from |
    | `seeds` | None | different seeds a workload; None: always new ones |
    | `randomise` | False | draw machine costs and noise as well |
    | `runs` | 8 | trials a session |
    | `repeats` | 1 | runs a trial |
    | `history` | None | trials shown; None: all, 0: none |
    | `profile` | True | whether the workload's profile is shown |
    | `controls` | None | names of the parameters that are the agent's; None: all, others keep their default |
    | `landscapes` | None | a folder: trials are answered by `damoos.env.landscape`s that are kept there, see below |
    | `vary_runs` | False | sessions of 1 to `runs` trials, drawn anew, so that a policy learns to be brief |
    | `relative` | False | rewards are shares of the best that a task's landscape has to give, so that all count alike |
    | `power` | 1.0 | rewards are gains of the best score to that power: above 1 the last bit counts most |

    With `landscapes` no trial runs: each task is measured at some hundred points when it is first drawn, later trials
    are interpolated, and a session takes milliseconds. For training, with few `seeds` a workload; what a policy is
    worth is told by real trials. `info["trial"]` is empty then and overheads are not known (nan).

    On the simulator a seed decides everything; on real kernels runs differ, and `spec` says so (`nondeterministic`).
    Raises InputError for unknown names, BackendError if a workload can't be run.

    Version history: v0, first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        workloads: str | Sequence[str],
        env: str = "reclaim",
        backend: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        *,
        runs: int = RUNS,
        repeats: int = 1,
        history: int | None = None,
        profile: bool = True,
        controls: Sequence[str] | None = None,
        landscapes: str | Path | None = None,
        vary_runs: bool = False,
        relative: bool = False,
        power: float = 1.0,
        render_mode: None = None,
    ) -> None:
        rules = _rules(env, runs, repeats, history, profile, controls, landscapes, vary_runs, relative, power)
        self.preset, self.space, self.objective = rules.preset, rules.preset.space, rules.preset.objective
        self.render_mode = render_mode
        self.observation_space, self.action_space = _spaces(rules.layout)
        source = TaskSource.of(workloads, backend, seeds, randomise)
        self.simulated = source.simulated
        self._session = TuningSession(Runner(rules), source)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts a session of the next workload that is drawn."""
        super().reset(seed=seed, options=options)
        self._session.draw(self.np_random)
        return self._session.begin()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One trial. Raises gymnasium.error.ResetNeeded before a reset and after the last trial."""
        seen, reward, last, info = self._session.step(action)
        return seen, reward, last, False, info


class TuningVectorEnv(SideBySide[Observation, Action]):
    """`num_envs` sessions of `TuningEnv` side by side, in `threads` threads (None: one a CPU of this process).

    Environment i does what a `TuningEnv` does that is reset with seed + i, however many threads there are. Nothing is
    reset by itself: `reset(options={"reset_mask": bool [num_envs]})` begins the next session of those that ended, and
    the others' observations stay. Infos are those of `TuningEnv` without `trial`.
    """

    def __init__(
        self,
        num_envs: int,
        workloads: str | Sequence[str],
        env: str = "reclaim",
        backend: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        threads: int | None = None,
        *,
        runs: int = RUNS,
        repeats: int = 1,
        history: int | None = None,
        profile: bool = True,
        controls: Sequence[str] | None = None,
        landscapes: str | Path | None = None,
        vary_runs: bool = False,
        relative: bool = False,
        power: float = 1.0,
        render_mode: None = None,
    ) -> None:
        if num_envs < 1:
            raise InputError("too small", field="num_envs", value=num_envs, allowed="1 and more")
        rules = _rules(env, runs, repeats, history, profile, controls, landscapes, vary_runs, relative, power)
        self.preset, self.space, self.objective = rules.preset, rules.preset.space, rules.preset.objective
        super().__init__(num_envs, *_spaces(rules.layout), render_mode)
        source, runner = TaskSource.of(workloads, backend, seeds, randomise), Runner(rules)
        self.simulated = source.simulated
        self._sessions: Sessions = (
            RunSessions(runner, source, num_envs, threads)
            if rules.landscapes is None
            else LandscapeSessions(runner, source, num_envs)
        )

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts the next session, of all or of those in `options["reset_mask"]`; seeds as Gymnasium has them.

        Raises InputError for a mask or seeds of another length.
        """
        chosen = self._chosen(seed, options)
        told = self._sessions.begin(chosen)
        infos = self._infos((i, info) for (i, _), info in zip(chosen, told, strict=True))
        return self._sessions.seen.copy(), infos

    def step(
        self, actions: Action
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One trial of each session. Raises gymnasium.error.ResetNeeded if one has ended and was not reset."""
        rewards, ended, told = self._sessions.step(actions)
        not_truncated = np.zeros(self.num_envs, bool)
        return self._sessions.seen.copy(), rewards, ended, not_truncated, self._infos(enumerate(told))

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        self._sessions.close()


def _rules(
    env: str,
    runs: int,
    repeats: int,
    history: int | None,
    profile: bool,
    controls: Sequence[str] | None,
    landscapes: str | Path | None,
    vary_runs: bool,
    relative: bool,
    power: float,
) -> Rules:
    preset = load_env(env)
    knobs = Knobs(preset.space, controls)
    folder = None if landscapes is None else Path(landscapes)
    shown = runs if history is None else history
    return Rules(preset, knobs, runs, repeats, shown, profile, folder, vary_runs, relative, power)


def _spaces(layout: Layout) -> tuple[Any, Any]:
    return (
        spaces.Box(-layout.highest, layout.highest, dtype=np.float32),
        spaces.Box(-1.0, 1.0, (layout.dimensions,), np.float32),
    )
