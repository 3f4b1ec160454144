"""Figures over tasks and seeds, with intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
CONFIDENCE = 0.95


def stratified_bootstrap(scores: Floats, statistic: Callable[[Floats], Floats], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of `scores` [tasks, seeds], seeds drawn anew within each task.

    `statistic` maps [resamples, tasks, seeds] to [resamples]. Agarwal et al., Deep Reinforcement Learning at the Edge
    of the Statistical Precipice (NeurIPS 2021): the tasks are given, only the seeds are a sample.
    """
    rng = np.random.default_rng(seed)
    tasks, seeds = scores.shape
    drawn = rng.integers(seeds, size=(RESAMPLES, tasks, seeds))
    values = statistic(np.take_along_axis(scores[None], drawn, axis=2))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def mean_of(scores: Floats) -> Floats:
    """The mean over tasks and seeds [..., tasks, seeds] → [...]."""
    return scores.mean(axis=(-2, -1))


def share_above(scores: Floats, threshold: float) -> Floats:
    """The share of pairs of task and seed that reach `threshold` [..., tasks, seeds] → [...]."""
    return (scores >= threshold).mean(axis=(-2, -1))
