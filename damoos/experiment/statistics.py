"""Figures over tasks and seeds, with intervals, as Agarwal et al. define them: Deep Reinforcement Learning at the
Edge of the Statistical Precipice (NeurIPS 2021). Scores are arrays [..., tasks, seeds]; whatever comes before is
kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
CONFIDENCE = 0.95
_PART = 100


def stratified_bootstrap(statistic: Callable[..., Floats], *scores: Floats, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of one or more arrays [tasks, seeds], each with its seeds drawn anew
    within each task: the tasks are given, only the seeds are a sample."""
    low, high = _interval(statistic, _resampled(scores, seed))
    return float(low), float(high)


def profile(scores: Floats, thresholds: Sequence[float], seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """A performance profile of scores [tasks, seeds]: the share of pairs above each of the thresholds, with the ends of
    its pointwise 95 % intervals by the same bootstrap."""
    drawn = _resampled((scores,), seed)
    ends = [_interval(lambda one, t=t: mean_of((one > t).astype(np.float64)), drawn) for t in thresholds]
    low, high = np.array(ends).T
    return (scores[None] > np.array(thresholds)[:, None, None]).mean(axis=(1, 2)), low, high


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


def _resampled(scores: Sequence[Floats], seed: int) -> list[Floats]:
    """Each of the arrays [tasks, seeds] as [RESAMPLES, tasks, seeds]."""
    rng = np.random.default_rng(seed)
    drawn = []
    for one in scores:
        tasks, seeds = one.shape
        drawn.append(np.take_along_axis(one[None], rng.integers(seeds, size=(RESAMPLES, tasks, seeds)), axis=2))
    return drawn


def _interval(statistic: Callable[..., Floats], drawn: Sequence[Floats]) -> Floats:
    tail = (1.0 - CONFIDENCE) / 2.0
    # A part at a time: a statistic may need many times the memory of its scores.
    parts = [statistic(*(one[i : i + _PART] for one in drawn)) for i in range(0, RESAMPLES, _PART)]
    return np.quantile(np.concatenate(parts), [tail, 1.0 - tail])
