"""Many one-shot environments side by side, whose episodes are of workloads that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium.vector import AutoresetMode, SyncVectorEnv

from damoos.errors import InputError

from .draw import TaskSource
from .one_shot import Action, OneShotEnv
from .profile import Profile


class DrawnOneShotEnv(OneShotEnv):
    """A `OneShotEnv` each of whose episodes is of a task of `tasks`. `info` has what all batched environments tell of
    an episode that ended: `episode_score`, `reward_total`, `feasible`, the overheads in percent and `workload`."""

    def __init__(self, tasks: TaskSource, env: str) -> None:
        super().__init__(tasks.workloads[0], env)
        self.tasks = tasks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Profile, dict[str, Any]]:
        """Draws the task of an episode and begins it."""
        super(OneShotEnv, self).reset(seed=seed, options=options)
        task = self.tasks.draw(self.np_random)
        self.aim(task.workload, task.backend)
        return self.begin([task.seed])

    def step(self, action: Action) -> tuple[Profile, float, bool, bool, dict[str, Any]]:
        """As `OneShotEnv.step`."""
        seen, reward, terminated, truncated, told = super().step(action)
        failed = told["error"] is not None
        info = {
            "episode_score": self.FAILED if failed else told["score"],
            "reward_total": reward,
            "feasible": told["feasible"],
            "runtime_overhead_percent": float("nan") if failed else told["runtime_overhead_percent"],
            "rss_overhead_percent": float("nan") if failed else told["rss_overhead_percent"],
            "workload": self.workload.name,
        }
        return seen, reward, terminated, truncated, info


def one_shot_vector_env(
    num_envs: int,
    workloads: str | Sequence[str],
    env: str = "reclaim",
    backend: str | Sequence[str] = "sim:zram",
    seeds: int | None = None,
    randomise: bool = False,
    threads: int | None = None,
) -> SyncVectorEnv:
    """`num_envs` of them, one after the other in one thread; ended ones are begun anew by
    `reset(options={"reset_mask": …})`. Arguments as of `TaskSource.of`. Raises InputError."""
    if num_envs < 1:
        raise InputError("too small", field="num_envs", value=num_envs, allowed="1 and more")
    tasks = TaskSource.of(workloads, backend, seeds, randomise)
    return SyncVectorEnv(
        [lambda: DrawnOneShotEnv(tasks, env) for _ in range(num_envs)], autoreset_mode=AutoresetMode.DISABLED
    )
