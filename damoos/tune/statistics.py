"""Confidence intervals of means, without SciPy (which is an optional dependency)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .objective import mean
from .outcome import Interval

CONFIDENCE = 0.95


def t_interval(numbers: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean with its two-sided interval by Student's t. Of differences of pairs it is the paired t-test's.

    A single number says nothing of its spread; its interval is the number itself.
    """
    centre = mean(numbers)
    n = len(numbers)
    if n == 1:
        return Interval(centre, centre, centre, confidence)
    variance = math.fsum((x - centre) ** 2 for x in numbers) / (n - 1)
    half = t_quantile((1.0 + confidence) / 2.0, n - 1) * math.sqrt(variance / n)
    return Interval(centre, centre - half, centre + half, confidence)


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile, at `probability` in [0.5, 1), of Student's t with whole degrees of `freedom`."""
    low, high = 0.0, 1.0
    while _t_cdf(high, freedom) < probability:
        high *= 2.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if _t_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2.0


def _t_cdf(t: float, freedom: int) -> float:
    # Abramowitz and Stegun 26.7.3 (odd) and 26.7.4 (even): a finite series for whole degrees of freedom, t >= 0.
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= (k + 1) / (k + 2) * cosine**2
    inside = 2.0 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + inside / 2.0
