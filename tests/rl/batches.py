"""Environments whose trajectories are easy to tell: a counter that ends after a drawn number of steps."""

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
        self.steps, self.sum, self.total = 0, 0.0, 0.0
        self.length = int(self.np_random.integers(2, 6))
        return self._see(), {"length": self.length}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        self.sum += float(action[0])
        ended = self.steps >= self.length
        cut = bool(self.length % 2)
        reward = -float(np.square(action - 0.5).sum())
        self.total += reward
        return self._see(), reward, ended and not cut, ended and cut, self._end() if ended else {}

    def _end(self) -> dict[str, Any]:
        numbers = {"episode_score": self.total, "reward_total": self.total}
        overheads = {"runtime_overhead_percent": 1.0, "rss_overhead_percent": -self.total}
        return {**numbers, **overheads, "feasible": True, "workload": "counter"}


def batch(count: int, mode: AutoresetMode = AutoresetMode.DISABLED) -> SyncVectorEnv:
    return SyncVectorEnv([Counter for _ in range(count)], autoreset_mode=mode)
