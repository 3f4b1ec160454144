"""Environments whose trajectories are easy to tell: a counter that ends, or is cut off, after a drawn number of steps."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Counter(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observation: how often it was stepped, how far the actions came, and what was drawn. It ends after 2 to 5 steps,
    every other length by being cut off. The reward is least far from 0.5 for an action of 0.5."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (3,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _see(self) -> np.ndarray:
        return np.array([self.steps, self.sum, self.length], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps, self.sum, self.length = 0, 0.0, int(self.np_random.integers(2, 6))
        return self._see(), {"length": self.length}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        self.sum += float(action[0])
        ended = self.steps >= self.length
        cut = bool(self.length % 2)
        info = {"episode_score": -self.sum, "workload": "counter"} if ended else {}
        return self._see(), -float(np.square(action - 0.5).sum()), ended and not cut, ended and cut, info


def batch(count: int, mode: AutoresetMode = AutoresetMode.DISABLED) -> SyncVectorEnv:
    return SyncVectorEnv([Counter for _ in range(count)], autoreset_mode=mode)
