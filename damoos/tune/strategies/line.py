"""A search along an axis from aggressive (0) to cautious (1) that knows the shape: infeasible up to a border, then a
benefit that rises at most for a while and falls from there to that of no scheme, 0. Scores and verdicts are noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

START = 0.25
"""The first position: the border is nearer to the aggressive end more often than not, and passing it costs one run."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """A position on the axis, its score (larger is better) and whether it kept the limit."""

    position: float
    score: float
    feasible: bool


def next_position(tried: Sequence[Tried], resolution: float) -> float | None:
    """Where to look next; None if nothing is left that is farther than `resolution` from what was tried."""
    if not tried:
        return START
    places = sorted({t.position for t in tried})
    border = border_of(tried)
    kept = sorted((t for t in tried if t.feasible and t.position > border), key=lambda t: t.position)
    if not kept:
        return _between(places[-1], 1.0, resolution) or (1.0 if places[-1] < 1.0 else None)
    fitted = unimodal(np.array([t.score for t in kept]))
    top = max(range(len(kept)), key=lambda i: (fitted[i], kept[i].score))
    here = kept[top].position
    left, right = (_nearest(places, here, side) for side in (-1, 1))
    if left is None:
        # Nothing was too aggressive so far: half way to the end, then the end.
        toward = _between(0.0, here, resolution) if len(kept) == 1 else 0.0
        if here > 0.0:
            return 0.0 if toward is None else toward
    closer = None if left is None else _between(left, here, resolution)
    farther = _between(here, 1.0 if right is None else right, resolution)
    beyond = 0.0 if top == len(kept) - 1 else kept[top + 1].score
    if closer is not None and (kept[top].score >= beyond or farther is None):
        return closer
    return farther if farther is not None else closer


def border_of(tried: Sequence[Tried]) -> float:
    """The position up to which trials count as infeasible: the one that contradicts the fewest; -1 if none is."""
    candidates = [-1.0, *sorted(t.position for t in tried if not t.feasible)]
    return min(candidates, key=lambda border: sum(t.feasible == (t.position <= border) for t in tried))


def unimodal(scores: Floats) -> Floats:
    """The least-squares fit [n] that rises up to some index and falls from there (isotonic regression both ways)."""
    fits = [np.concatenate([_rising(scores[:i]), _rising(scores[i:][::-1])[::-1]]) for i in range(len(scores) + 1)]
    return min(fits, key=lambda fit: float(((fit - scores) ** 2).sum()))


def _rising(scores: Floats) -> Floats:
    # Pool adjacent violators: blocks of (mean, length).
    blocks: list[tuple[float, int]] = []
    for score in scores.tolist():
        mean, length = score, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, length = (before * count + mean * length) / (count + length), count + length
        blocks.append((mean, length))
    return np.array([mean for mean, length in blocks for _ in range(length)], dtype=np.float64)


def _nearest(places: Sequence[float], here: float, side: int) -> float | None:
    others = [p for p in places if (p - here) * side > 0]
    return min(others, key=lambda p: abs(p - here), default=None)


def _between(a: float, b: float, resolution: float) -> float | None:
    return (a + b) / 2 if b - a > 2 * resolution else None
