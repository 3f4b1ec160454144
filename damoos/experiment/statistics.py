"""Figures over tasks and seeds, with intervals, as Agarwal et al. define them: Deep Reinforcement Learning at the
Edge of the Statistical Precipice (NeurIPS 2021). Scores are arrays [..., tasks, seeds]; whatever comes before is
kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
CONFIDENCE = 0.95


def stratified_bootstrap(statistic: Callable[..., Floats], *scores: Floats, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of one or more arrays [tasks, seeds], each with its seeds drawn anew
    within each task: the tasks are given, only the seeds are a sample."""
    rng = np.random.default_rng(seed)
    drawn = []
    for one in scores:
        tasks, seeds = one.shape
        drawn.append(np.take_along_axis(one[None], rng.integers(seeds, size=(RESAMPLES, tasks, seeds)), axis=2))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(statistic(*drawn), [tail, 1.0 - tail])
    return float(low), float(high)


def mean_of(scores: Floats) -> Floats:
    """The mean over all pairs of task and seed."""
    return scores.mean(axis=(-2, -1))


def interquartile_mean(scores: Floats) -> Floats:
    """The mean of the middle half of all pairs of task and seed; a quarter of them is left out at either end."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def share_above(scores: Floats, threshold: float) -> Floats:
    """The share of pairs that reach `threshold`: a point of the performance profile."""
    return (scores >= threshold).mean(axis=(-2, -1))


def improvement(ours: Floats, theirs: Floats) -> Floats:
    """The probability that a course of ours is better than one of theirs on the same task, ties counting half; the mean
    over tasks."""
    difference = ours[..., :, None] - theirs[..., None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-3, -2, -1))
