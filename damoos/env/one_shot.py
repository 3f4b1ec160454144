"""`damoos/OneShot-v0`: one action is one whole run."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.errors import InputError
from damoos.tune.outcome import Run
from damoos.tune.preset import load_env
from damoos.tune.trial import Bench, evaluate
from damoos.workload.processes import AnyMasim, find_masim

from .profile import FEATURES, Profile, profile
from .spec import SpecOfRuns
from .telling import told_of

Action = NDArray[np.floating[Any]]

OBSERVATION_VERSION = 1
"""Counts the ways in which observations were made; a policy acts on those that it was trained on."""


class OneShotEnv(SpecOfRuns, gymnasium.Env[Profile, Action]):
    """Chooses a configuration for a workload that it was shown, once: an episode is one step.

    Observation, float32 [15], what DAMON sees of the workload when it only monitors at the kernel's default intervals,
    means over 40 snapshots; all numbers are shares in [0, 1]:

    | index | unit | what |
    | --- | --- | --- |
    | 0..5 | share of bytes | idle for 0, 1, 2, 5, 10, 30 s and more, each below the next |
    | 6 | share of bytes | without an access in the last aggregation |
    | 7..10 | share of bytes | accessed in more than 0, 5, 20, 50 % of the samples, each below the next |
    | 11 | share of monitored bytes | RSS, mean over the run |
    | 12 | log2(bytes) / 48 | RSS, mean over the run |
    | 13, 14 | share of bytes | access rate changed by more than half between two snapshots, mean and largest |

    Action, float32 [d] in [-1, 1]: one number a parameter of the env preset, from its low to its high end on its own
    scale (`damoos envs show NAME` lists them); outside is clipped. -1..1 is the space's [0, 1].

    Reward: the objective's score in its unit (percent, larger is better, 0 is "no scheme"), less 10 per percent of
    runtime overhead above the limit. Its parts are in `info`: `score`, `runtime_overhead_percent`,
    `rss_overhead_percent`, `feasible`, `params` (texts with units), `kdamonds` (damo's JSON tree), `error` (None, or
    why the run failed: then the reward is `FAILED`), `seeds` and `time_kind`.

    Every episode draws new seeds, `repeats` of them; a run and its baseline have the same one. On real kernels a seed
    does not decide all, and `spec` says so (`nondeterministic`).
    Raises InputError for unknown names, BackendError if the workload can't be run.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    FAILED = -1000.0
    """Reward of a configuration that the backend could not run: below anything that runs."""

    def __init__(
        self,
        workload: str,
        env: str = "reclaim",
        backend: str = "sim:zram",
        repeats: int = 1,
        timing: str = "work",
        render_mode: None = None,
    ) -> None:
        if repeats < 1:
            raise InputError("too small", field="repeats", value=repeats, allowed="1 and more")
        preset = load_env(env)
        self.space, self.objective = preset.space, preset.objective
        self._feed = preset.feed
        self.aim(find_masim(workload), open_backend(backend, timing=timing))
        self.repeats = repeats
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (self.space.dimensions,), np.float32)
        self._baseline: tuple[Run, ...] = ()
        self._profile: Profile | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Profile, dict[str, Any]]:
        """Starts an episode: new seeds, their baseline runs, and a monitored run to look at."""
        super().reset(seed=seed, options=options)
        return self.begin([int(s) for s in self.np_random.integers(0, 2**31, self.repeats)])

    def aim(self, workload: AnyMasim, backend: Backend) -> None:
        """From the next episode on runs are of that workload there."""
        self.workload, self.simulated = workload, backend.time_kind == "simulated"
        self.bench = Bench.of(backend, workload, observes=self.objective.observes, feed=self._feed)

    def begin(self, seeds: list[int]) -> tuple[Profile, dict[str, Any]]:
        """The first observation, and info, of an episode with these seeds."""
        self._baseline = self.bench.runs(None, seeds)
        self._profile = profile(self.bench.backend, self.workload, seeds[0])
        return self._profile.copy(), {"seeds": seeds, "time_kind": self.bench.backend.probe().time_kind}

    def step(self, action: Action) -> tuple[Profile, float, bool, bool, dict[str, Any]]:
        """Runs the workload under the configuration; the episode ends. Raises gymnasium.error.ResetNeeded before a
        reset."""
        if self._profile is None:
            raise gymnasium.error.ResetNeeded("step() before reset()")
        point = (np.asarray(action, np.float64) + 1.0) / 2.0
        values = self.space.decode(point)
        trial = evaluate(self.bench.runs, self.space, self.objective, 0, values, self._baseline)
        reward = self.objective.reward(trial.repeats) if trial.repeats else self.FAILED
        info = told_of(trial) | {
            "seeds": [run.seed for run in self._baseline],
            "time_kind": self.bench.backend.probe().time_kind,
        }
        return self._profile.copy(), reward, True, False, info
