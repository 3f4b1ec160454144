"""Actions that are numbers, for algorithms that choose among few: every combination of some levels of each."""

from __future__ import annotations

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from damoos.errors import InputError

MOST = 1024
"""Points of a grid."""


def grid_of(levels: int, dimensions: int) -> NDArray[np.float32]:
    """The points [levels^d, d] in [-1, 1]. Raises InputError for more than `MOST` of them."""
    if levels**dimensions > MOST:
        value = f"{levels} levels of {dimensions} controls"
        allowed = f"{MOST} points: fewer controls (--argument controls=…) or levels (--set levels=…), or ppo"
        raise InputError("too many to choose among", field="dqn", value=value, allowed=allowed)
    line = np.linspace(-1.0, 1.0, levels) if levels > 1 else np.zeros(1)
    return np.stack(np.meshgrid(*[line] * dimensions, indexing="ij"), -1).reshape(-1, dimensions).astype(np.float32)


class GridActions(VecEnvWrapper):
    """An environment whose action is the number of a row of `grid`."""

    def __init__(self, venv: VecEnv, grid: NDArray[np.float32]) -> None:
        super().__init__(venv, action_space=gymnasium.spaces.Discrete(len(grid)))
        self._grid = grid

    def reset(self) -> VecEnvObs:
        """As the environment's."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[np.integer]) -> None:
        """Takes numbers [N] of rows."""
        self.venv.step_async(self._grid[actions])

    def step_wait(self) -> VecEnvStepReturn:
        """As the environment's."""
        return self.venv.step_wait()
