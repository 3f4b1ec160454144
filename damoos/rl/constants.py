"""What training begins with: the best action of those that never change."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .evaluate import run_episodes
from .policy import Actor
from .sb3 import BatchedVecEnv

SPREADS = (0.2, 0.05)
"""Standard deviations of points around the best one, at first and in the end."""
MOST = 0.5
"""Constants lie in ± this: about one at an end of a range, where noise is cut off, too little would be learned."""


def best_constant(
    vec: BatchedVecEnv, count: int, seed: int, goes_on: Callable[[], bool] = lambda: True
) -> NDArray[np.float32]:
    """The action, float32 [d] in ± `MOST`, that earns most as the only one, of `count` that are tried.

    Half of them fill the space, the others lie around the best so far, nearer and nearer. Each acts in one episode of
    each environment, all in the same tasks. `goes_on` is asked after each whether there is time for more.
    """
    assert vec.action_space.shape is not None
    rng = np.random.default_rng(seed)
    filling = _filling((count + 1) // 2, vec.action_space.shape[0], rng)
    best, most = filling[0], -math.inf
    for done in range(count):
        if done < len(filling):
            point = filling[done]
        else:
            share = (done - len(filling)) / max(count - len(filling) - 1, 1)
            spread = SPREADS[0] * (SPREADS[1] / SPREADS[0]) ** share
            point = np.clip(best + spread * rng.standard_normal(best.size), -MOST, MOST)
        earned = float(np.mean([episode.reward for episode in run_episodes(_always(point), vec, seed)]))
        if earned > most:
            best, most = point, earned
        if not goes_on():
            break
    return best.astype(np.float32)


def _filling(count: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    # A Latin hypercube.
    cells = np.stack([rng.permutation(count) for _ in range(dimensions)], 1)
    return ((cells + rng.random(cells.shape)) / count * 2.0 - 1.0) * MOST


def _always(point: NDArray[np.float64]) -> Actor:
    def act(observations: NDArray[np.floating], begun: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.tile(point.astype(np.float32), (len(observations), 1))

    return act
