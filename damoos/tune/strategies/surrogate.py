"""A small Gaussian process in NumPy: Matérn 5/2, one length for all dimensions, length and noise by the largest
marginal likelihood on a grid. Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm
2.1."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LENGTHS = (0.1, 0.2, 0.4, 0.8)
_NOISES = (0.003, 0.03, 0.1, 0.3)
"""Variance of the noise, of the standardised scores' 1."""


@dataclass(frozen=True)
class Process:
    """A process fitted to values at points [n, d] of the unit cube."""

    x: Floats
    mean: float
    scale: float
    length: float
    factor: Floats
    weights: Floats

    @classmethod
    def fit(cls, x: Floats, y: Floats) -> Self:
        """The likeliest process; n ≥ 1."""
        mean, scale = float(y.mean()), float(y.std()) or 1.0
        standard = (y - mean) / scale
        distance = _distances(x, x)
        best: tuple[float, float, Any, Any] | None = None
        for length, noise in itertools.product(_LENGTHS, _NOISES):
            factor = np.linalg.cholesky(matern(distance, length) + noise * np.eye(len(y)))
            weights = np.linalg.solve(factor.T, np.linalg.solve(factor, standard))
            likelihood = -0.5 * float(standard @ weights) - float(np.log(np.diag(factor)).sum())
            if best is None or likelihood > best[0]:
                best = likelihood, length, factor, weights
        assert best is not None
        return cls(x, mean, scale, *best[1:])

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation [m] of the noiseless value at points [m, d]."""
        cross = matern(_distances(x, self.x), self.length)
        half = np.linalg.solve(self.factor, cross.T)
        variance = np.maximum(1.0 - (half**2).sum(axis=0), 1e-12)
        return self.mean + self.scale * (cross @ self.weights), self.scale * np.sqrt(variance)


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """By how much the value is expected to pass `best`, where it does (Jones et al., 1998)."""
    z = (mean - best) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return deviation * (z * below(z) + density)


def below(z: Floats) -> Floats:
    """The standard normal distribution function."""
    return np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in z.tolist()])


def _distances(a: Floats, b: Floats) -> Floats:
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))


def matern(distance: Floats, length: float) -> Floats:
    """The Matérn 5/2 kernel, 1 at distance 0."""
    r = math.sqrt(5.0) * distance / length
    return (1.0 + r + r**2 / 3.0) * np.exp(-r)
