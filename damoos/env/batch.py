"""`damoos/Control-v0` many times side by side, as Gymnasium's `VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .draw import TaskSource
from .episodes import Episodes
from .side_by_side import SideBySide

Observations = NDArray[np.float32]
Actions = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


class ControlVectorEnv(SideBySide[Observations, Actions]):
    """`num_envs` environments as `damoos.env.control.ControlEnv`, which has the other arguments; `threads`: how many
    at most move simulated runs on, None: one a CPU.

    Environment i does what a single one does that was reset with `seed` + i, or with the i-th of several seeds.
    Nothing is reset by itself: an environment whose episode has ended has to be reset before the next step, by
    `reset(options={"reset_mask": mask})`, a bool array [num_envs], which leaves the others as they are.
    """

    def __init__(
        self,
        num_envs: int,
        workloads: str | Sequence[str],
        env: str = "reclaim",
        backend: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        controls: Sequence[str] | None = None,
        step_s: float = 1.0,
        progress: bool = True,
        timing: str = "work",
        threads: int | None = None,
        render_mode: None = None,
    ) -> None:
        source = TaskSource.of(workloads, backend, seeds, randomise, timing)
        self.simulated = source.simulated
        self.episodes = Episodes(num_envs, source, env, controls, step_s, progress, threads)
        super().__init__(num_envs, self.episodes.observation_space, self.episodes.action_space, render_mode)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts episodes, in all environments or where `options["reset_mask"]` is True; returns the observations of
        all. Raises InputError for a mask or seeds of another length."""
        chosen = self._chosen(seed, options)
        observations = self.episodes.begin(chosen)
        return observations, self._infos((i, self.episodes.about(i)) for i, _ in chosen)

    def step(self, actions: Actions) -> tuple[Observations, NDArray[Any], Flags, Flags, dict[str, Any]]:
        """Steps all. Raises gymnasium.error.ResetNeeded if one has not been reset since its episode ended."""
        if self.episodes.over.any():
            raise gymnasium.error.ResetNeeded(f"step() without a reset() of {np.flatnonzero(self.episodes.over)}")
        steps = self.episodes.step(actions)
        return steps.observations, steps.rewards, steps.terminated, steps.truncated, self._infos(steps.infos.items())

    def close_extras(self, **kwargs: Any) -> None:
        """Ends all runs."""
        self.episodes.close()
