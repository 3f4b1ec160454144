"""What is expected in truth of points of which a likeness says something: a Gaussian process around the likeness.

In truth a number is as many times larger or smaller everywhere as it is anywhere (what a fault costs, how much of
memory the likeness has right), and besides it is off by a share of itself that changes slowly from point to point. How
large that share is, how slowly it changes and how noisy runs are is what makes the real runs likeliest. Rasmussen and
Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1 with a linear and a Matérn 5/2 kernel.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..objective import Objective
from .surrogate import matern

FACTOR = 0.35
"""Standard deviation of the factor between truth and likeness, around 1."""
OFF = 0.12
"""Standard deviation of what is left, of the number itself, where no run says otherwise."""
LEAST = 0.5
"""The same at least, and of the noise of a run, points or percent."""
NOISES = (0.03, 0.1)
"""Standard deviation of a run's noise, of the number itself."""
_TIMES = (1.0, 3.0, 10.0)
"""The likeness may be that many times worse than `OFF` and `LEAST` say; each is e times less likely than the one
before."""
_LENGTHS = (0.15, 0.4)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What a point does. `overhead`: excess over the limit plus the limit, percent; `benefit`: the score without its
    share for that overhead, points."""

    overhead: float
    benefit: float

    @classmethod
    def of(cls, objective: Objective, score: float, excess: float) -> Outcome:
        """Of a score and an excess as trials have them."""
        overhead = excess + objective.limit_percent
        return cls(overhead, score + weight_of(objective) * overhead)


def weight_of(objective: Objective) -> float:
    """What a percent of overhead costs in points of score."""
    return objective.weight if objective.kind == "damoos" else 0.0


@dataclass(frozen=True)
class Correction:
    """Fitted to real runs at points `x` [n, d], n may be 0. `noise`: the standard deviation of a run, of the number
    itself."""

    x: Floats
    likeness: Floats
    times: float
    length: float
    noise: float
    factor: Any
    weights: Any

    @classmethod
    def fit(cls, x: Floats, likeness: Floats, truth: Floats) -> Self:
        """From what likeness and runs gave at the same points, [n] each."""
        if not len(x):
            return cls(x, likeness, 1.0, _LENGTHS[0], NOISES[0], None, None)
        best: tuple[float, Self] | None = None
        for (i, times), length, noise in itertools.product(enumerate(_TIMES), _LENGTHS, NOISES):
            covariance = _covariance(x, likeness, x, likeness, times, length)
            covariance += np.diag(LEAST**2 + (noise * likeness) ** 2)
            factor = np.linalg.cholesky(covariance)
            rest = truth - likeness
            weights = np.linalg.solve(factor.T, np.linalg.solve(factor, rest))
            likely = -0.5 * float(rest @ weights) - float(np.log(np.diag(factor)).sum()) - i
            if best is None or likely > best[0]:
                best = likely, cls(x, likeness, times, length, noise, factor, weights)
        assert best is not None
        return best[1]

    def predict(self, x: Floats, likeness: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation [m] of the truth without noise at points [m, d] with these likenesses [m]."""
        variance = _spread(likeness, self.times) ** 2 + (FACTOR * likeness) ** 2
        if self.factor is None:
            return likeness, np.sqrt(variance)
        cross = _covariance(x, likeness, self.x, self.likeness, self.times, self.length)
        half = np.linalg.solve(self.factor, cross.T)
        variance = np.maximum(variance - (half**2).sum(axis=0), 1e-9)
        return likeness + cross @ self.weights, np.sqrt(variance)


def _covariance(a: Floats, likeness_a: Floats, b: Floats, likeness_b: Floats, times: float, length: float) -> Floats:
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    off = np.outer(_spread(likeness_a, times), _spread(likeness_b, times)) * matern(distance, length)
    return FACTOR**2 * np.outer(likeness_a, likeness_b) + off


def _spread(likeness: Floats, times: float) -> Floats:
    return times * (LEAST + OFF * np.abs(likeness))
