"""DAMOOS 2021's search along one parameter: explore, exploit, fit a polynomial. All coordinates are shares of the
range's length, 0 to 1."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXPLORED = 0.6
_AROUND = 0.1
_MAX_DEGREE = 10

Floats = NDArray[np.float64]


def exploration(runs: int, rng: np.random.Generator) -> Floats:
    """[`runs`] points: the range is cut into equal regions, one for five runs; their borders, then random ones inside
    each in turn."""
    regions = max(1, runs // 5)
    borders = np.linspace(0.0, 1.0, regions + 1)
    inside = max(runs - len(borders), 0)
    region = np.arange(inside) % regions
    return np.concatenate([borders, (region + rng.random(inside)) / regions])[:runs]


def explored(runs: int) -> int:
    """How many of `runs` explore; the others exploit."""
    return max(round(EXPLORED * runs), 1)


def exploitation(x: Floats, score: Floats, rng: np.random.Generator) -> float:
    """A random point near one of the best explored ones, at most a tenth of the range away."""
    count = max(int(0.1 * len(x)), 2)
    best = x[np.argsort(-score, kind="stable")[:count]]
    return float(np.clip(rng.choice(best) + rng.uniform(-_AROUND, _AROUND), 0.0, 1.0))


def peak(x: Floats, score: Floats, runs: int) -> float:
    """Where the polynomial of degree min(runs / 3, 10) through all points is highest: a stationary point or an end."""
    degree = min(runs // 3, _MAX_DEGREE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        fitted = np.polynomial.Polynomial.fit(x, score, degree, domain=[0.0, 1.0])
    roots = fitted.deriv().roots() if degree > 1 else np.empty(0)
    flat = np.real(roots[np.abs(np.imag(roots)) < 1e-9])
    candidates = np.array([0.0, 1.0, *flat[(flat > 0.0) & (flat < 1.0)]])
    return float(candidates[np.argmax(fitted(candidates))])


def next_share(number: int, runs: int, x: Sequence[float], score: Floats, rng: np.random.Generator) -> float:
    """The share for run `number` of `runs`; after them the fit's peak. `rng`: the same for all runs of the search."""
    design = exploration(explored(runs), rng)
    if number < len(design):
        return float(design[number])
    known = np.asarray(x, np.float64)
    if number >= runs:
        return peak(known, score, runs) if len(known) else 0.5
    draws = np.random.default_rng([int(rng.integers(2**31)), number])
    count = min(len(design), len(known))
    return exploitation(known[:count], score[:count], draws) if count else float(draws.random())
