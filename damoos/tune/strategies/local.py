"""A search around the best point so far: expected improvement times the probability of keeping the limit, in a box that
shrinks while nothing better is found, after Eriksson et al., TuRBO (NeurIPS 2019). Noisy scores are smoothed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..space import Value
from .base import Ask, fresh
from .caution import from_point, lead_of, to_point
from .seen import Seen, best
from .surrogate import Process, below, expected_improvement

CANDIDATES = 512
ABROAD = 128
"""Candidates from anywhere, so that a better place elsewhere can be found."""
NEIGHBOURS = 100
"""Trials that the processes are fitted to, the nearest ones: what is farther away says little here and costs time."""
WIDEST, NARROWEST = 0.4, 0.05
"""Half the side of the box, of the range."""

Floats = NDArray[np.float64]


def propose_near_best(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The most promising point; the space's default while nothing is known."""
    space, lead, rng = ask.space, lead_of(ask.space), ask.rng()
    done = [trial for trial in seen if trial.score is not None]
    top = best(done)
    if not done:
        return fresh(ask, seen, [space.encode(space.defaults())])
    x = np.array([to_point(space, lead, trial.values) for trial in done])
    spread = rng.random((CANDIDATES + ABROAD, space.dimensions))
    if top is not None:
        centre, half = to_point(space, lead, top.values), _half_side(space.dimensions, done)
        low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
        spread[:CANDIDATES] = low + spread[:CANDIDATES] * (high - low)
        near = np.sort(np.argsort(((x - centre) ** 2).sum(axis=1), kind="stable")[:NEIGHBOURS])
        x, done = x[near], [done[i] for i in near]
    promise = np.ones(len(spread))
    if top is not None:
        promise *= _improvement(x, done, spread)
    if not all(trial.feasible for trial in done):
        promise *= _feasibility(x, done, spread)
    return fresh(ask, seen, from_point(lead, spread[np.argsort(-promise, kind="stable")]))


def _half_side(d: int, done: Sequence[Seen]) -> float:
    # Halved each time that as many trials as twice the dimensions have found nothing better.
    failures, top = 0, -np.inf
    for trial in done:
        if trial.feasible and trial.score is not None and trial.score > top:
            top = trial.score
        else:
            failures += 1
    return float(max(WIDEST * 0.5 ** (failures // (2 * d + 2)), NARROWEST))


def _improvement(x: Floats, done: Sequence[Seen], candidates: Floats) -> Floats:
    kept = np.array([trial.feasible for trial in done])
    scores = np.array([trial.score for trial in done], np.float64)
    # What broke the limit tells little about the scores on this side of it, and must not tilt them.
    process = Process.fit(x[kept], scores[kept])
    reference = float(process.predict(x[kept])[0].max())
    return expected_improvement(*process.predict(candidates), reference)


def _feasibility(x: Floats, done: Sequence[Seen], candidates: Floats) -> Floats:
    excess = np.array([trial.excess for trial in done], np.float64)
    bound = float(np.median(np.abs(excess))) or 1.0
    mean, deviation = Process.fit(x, np.clip(excess / bound, -1.0, 1.0)).predict(candidates)
    return below(-mean / deviation)
