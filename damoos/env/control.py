"""`damoos/Control-v0`: one episode is one run, steered while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .draw import TaskSource
from .episodes import Episodes
from .spec import SpecOfRuns

Observation = NDArray[np.float32]
Action = NDArray[np.floating[Any]]


class ControlEnv(SpecOfRuns, gymnasium.Env[Observation, Action]):
    """Steers DAMON's schemes while a workload runs: each step commits parameters and lets `step_s` s go by.

    Observation, float32 [34 + d]: the numbers of `damoos.env.signals.SIGNALS`, all in [0, 1] but for `rss_change` in
    [-1, 1], and the action of the step before. A deployed agent can read all of them: of the baseline there is nothing
    in it.

    | index | unit | what |
    | --- | --- | --- |
    | 0..5 | share of bytes | idle for 0, 1, 2, 5, 10, 30 s and more, each below the next |
    | 6..9 | share of bytes | accessed in more than 0, 5, 20, 50 % of the samples, each below the next |
    | 10, 11 | share of bytes | in another of these classes than a step before; mean over about 30 s |
    | 12 | share of monitored bytes | RSS |
    | 13 | share of its peak so far | RSS |
    | 14 | share of its peak so far, -1..1 | by how much RSS grew in the step |
    | 15 | log2(bytes) / 48 | RSS |
    | 16 | share of RSS + swap | swap |
    | 17 | log2(1 + 1/s) / 24 | major faults in the step |
    | 18, 19 | log2(1 + pages/s) / 24 | read from swap, and written to it, in the step |
    | 20, 21 | log2(1 + pages/s) / 24 | read from swap, means over about 10 and 60 s |
    | 22 | log2(1 + pages/s) / 24 | written to swap, mean over about 10 s |
    | 23, 24 | share of a CPU | kdamond in the step, and since the start |
    | 25..27 | share of the time | stalled for memory (PSI, some): in the step, mean over about 10 s, since the start |
    | 28 | log2(1 + µs) / 12 | kdamond's CPU time a page written to swap, since the start; 0: none was written |
    | 29 | log2(1 + bytes) / 40 | what the first scheme's quota allows in an interval, 0: no quota |
    | 30 | log2(1 + s) / 12 | time since the start |
    | 31 | share of the workload | done; 0 where nothing tells, or `progress` is False, as the next two |
    | 32, 33 | half of nominal s per s | work done in the step, and since the start |
    | 34..33+d | -1..1 | the action of the step before; at first the preset's default |

    Action, float32 [d] in [-1, 1]: one number a parameter of the env preset that is in `controls`, from its low to its
    high end on its own scale (`damoos envs show NAME` lists them); outside is clipped. It is the value that holds from
    now on, not a change of it; the other parameters keep their defaults. What changes nothing is not committed.

    Reward: by how much the step changed what the objective comes to so far, against the baseline at the same progress
    (`damoos.tune.running`); in its unit, percent. The rewards of an episode sum up to the objective's reward of the
    run exactly: the score (larger is better, 0 is "no scheme"), less 10 per percent of runtime overhead above the
    limit. Of an objective that is a metric all of it comes with the last step.

    Start: a workload, a backend and a seed are drawn, see `damoos.env.draw`; the run begins under the preset's default.
    End: terminated when the workload ends; truncated when it takes more than 3 times as long as its baseline.

    `info` has `workload`, `backend` and `seed` after a reset and in the last step, there also `episode_score` (of a
    truncated episode: of what had run), `reward_total` (the sum of the rewards), `feasible`,
    `runtime_overhead_percent` and `rss_overhead_percent`.

    Arguments: `workloads` names, ranges such as `generated-train-0:64`, or folders, as a text with commas or a list;
    `env` the preset; `backend` one or several; `seeds` how many different ones a workload has, None: always new ones;
    `randomise` whether costs of the simulated machine are scaled at random; `controls` the parameters that are the
    agent's, None: all; `step_s` seconds of a step; `progress` whether the agent sees how far the workload is; `timing`
    "work" or "time", as of workloads.

    On the simulator the same seed and actions give the same episode; on real kernels they don't, and `spec`
    says so (`nondeterministic`).
    Raises InputError for unknown names, for presets whose objective needs DAMON's snapshots of the whole run or that
    feed a goal themselves, and BackendError if a workload can't be run.

    Versions: v0, the first.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        workloads: str | Sequence[str],
        env: str = "reclaim",
        backend: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        controls: Sequence[str] | None = None,
        step_s: float = 1.0,
        progress: bool = True,
        timing: str = "work",
        render_mode: None = None,
    ) -> None:
        source = TaskSource.of(workloads, backend, seeds, randomise, timing)
        self.simulated = source.simulated
        self.episodes = Episodes(1, source, env, controls, step_s, progress, threads=1)
        self.observation_space, self.action_space = self.episodes.observation_space, self.episodes.action_space
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; `options` are not used."""
        super().reset(seed=seed, options=options)
        observations = self.episodes.begin([(0, self.np_random)])
        return observations[0], self.episodes.about(0)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Commits, and lets the run go on. Raises gymnasium.error.ResetNeeded before a reset and after the end."""
        if self.episodes.over[0]:
            raise gymnasium.error.ResetNeeded("step() without a reset() since the last episode ended")
        steps = self.episodes.step(np.asarray(action)[None])
        reward = float(steps.rewards[0])
        return (
            steps.observations[0],
            reward,
            bool(steps.terminated[0]),
            bool(steps.truncated[0]),
            steps.infos.get(0, {}),
        )

    def close(self) -> None:
        """Ends the run."""
        self.episodes.close()
