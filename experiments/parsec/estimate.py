"""What a scheme does to each part of a model, in closed form, and the shares that fit what was measured.

A scheme that pages out what was idle for `a` seconds, on memory touched again after times X of mean `T`: it is away for
E[(X - a)+] / T of the time, and comes back with a fault P(X > a) / T times a second. X has a Gamma distribution (warm,
walked) or is constant (again); what is never touched again is away from `a` seconds after its touch on. What the
simulator does otherwise (DAMON's regions are not the parts) is added to the estimate as a correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import gamma

from .family import PAGE, Part, parts, steps
from .measured import TOO_SLOW, Measured

Floats = NDArray[np.float64]

DELAY_S = 0.15
"""Until DAMON has seen that something is idle: half an aggregation, and the one in which it pages out."""
LIMIT = 0.2
LIMIT_NOISE = 0.02
SAVED_NOISE, SLOWER_NOISE = 0.01, 0.02
"""Least standard deviation of prcl's saved RSS and its runtime overhead, as shares."""
POINT_NOISE = 0.7
"""Least standard deviation of a point of a curve: closer the family and the simulator's own chance don't come."""
OFFSET_NOISE = 0.5
"""Of a curve's baseline, the mean of two runs, in points."""
_SUM_WEIGHT = 1e3
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Response:
    """Per unit of each part's share: `saved` [ages, parts] of mean RSS, `slower` [ages, parts] of the runtime."""

    saved: Floats
    slower: Floats

    def score(self) -> Floats:
        """[ages, parts], in points of the DAMOOS score."""
        return 50.0 * (self.saved - self.slower)


def response(kinds: Sequence[Part], ages_s: Floats, measured: Measured, fault_s: float) -> Response:
    """The closed form, at each min_age; `fault_s`: what a fault costs the program."""
    idle = ages_s + DELAY_S
    runtime, pages = measured.runtime_s, measured.rss_bytes / PAGE
    saved, slower = np.zeros((len(idle), len(kinds))), np.zeros((len(idle), len(kinds)))
    for k, part in enumerate(kinds):
        if part.kind in ("warm", "walked"):
            shape = steps(part, measured.rss_bytes)
            later = np.clip(1.0 - idle / runtime, 0.0, 1.0)
            longer = gamma.sf(idle, shape, scale=part.value / shape)
            away = gamma.sf(idle, shape + 1, scale=part.value / shape) - idle / part.value * longer
            saved[:, k], slower[:, k] = later * away, later * pages * longer / part.value * fault_s
        elif part.kind == "again":
            gap = runtime / part.value
            saved[:, k] = np.clip(gap - idle, 0.0, None) / gap
            slower[:, k] = np.where(idle < gap, pages * (part.value - 1.0) * fault_s / runtime, 0.0)
        elif part.kind == "cold":
            left = part.presence * runtime
            saved[:, k] = np.clip(left - idle, 0.0, None) / left
    return Response(saved, slower)


@dataclass(frozen=True)
class Estimate:
    """`shares` of the parts, and the curve's `offset`, points: all its scores refer to one baseline, whose error they
    share."""

    shares: tuple[tuple[Part, float], ...]
    offset: float


@dataclass(frozen=True)
class Correction:
    """Simulated minus estimated `saved` and `slower` [ages]: of the curve's fitted ages, then of prcl's."""

    saved: Floats
    slower: Floats


def point_noise(measured: Measured) -> float:
    """Standard deviation of a point of the curve, points."""
    return max(measured.curve_noise, POINT_NOISE)


def prcl_noise(measured: Measured) -> tuple[float, float]:
    """Standard deviations of saved RSS and of the runtime overhead under prcl, as shares."""
    return max(measured.noise_rss, SAVED_NOISE), max(measured.noise_runtime, SLOWER_NOISE)


def fitted_ages(measured: Measured) -> Floats:
    """The curve's even min_ages, then prcl's."""
    curve = np.empty(0) if measured.min_ages_s is None else measured.min_ages_s[::2]
    return np.append(curve, measured.prcl_min_age_s)


@dataclass(frozen=True)
class Near:
    """Shares that an estimate may leave only so far: `spread` is the standard deviation of each one's difference."""

    shares: dict[Part, float]
    spread: float


def estimate(
    measured: Measured, fault_s: float, correction: Correction | None = None, near: Near | None = None
) -> Estimate:
    """What fits best (least squares with shares that are not negative and sum to 1); small shares are left out.

    Fitted are the curve's even min_ages, and RSS and runtime under prcl.
    """
    kinds = parts(measured.runtime_s, few=measured.scores is None)
    found = _solve(kinds, measured, fault_s, correction, near)
    kept = tuple(
        part for part, share in zip(kinds, found[:-1], strict=True) if share >= _LEAST_SHARE or part.kind == "hot"
    )
    found = _solve(kept, measured, fault_s, correction, near)
    total = found[:-1].sum()
    return Estimate(
        tuple((part, float(share / total)) for part, share in zip(kept, found, strict=False) if share > 0.0),
        float(found[-1]),
    )


def _solve(
    kinds: Sequence[Part], measured: Measured, fault_s: float, correction: Correction | None, near: Near | None
) -> Floats:
    # The shares of `kinds`, then the offset.
    ages = fitted_ages(measured)
    effect = response(kinds, ages, measured, fault_s)
    off = correction or Correction(np.zeros(len(ages)), np.zeros(len(ages)))
    count = len(kinds)
    rows = [(np.full((1, count), _SUM_WEIGHT), [_SUM_WEIGHT], 0.0)]
    if near is not None:
        at = np.array([near.shares.get(part, 0.0) for part in kinds])
        rows.append((np.eye(count) / near.spread, at / near.spread, 0.0))
    if measured.prcl_fitted:
        of_saved, of_slower = prcl_noise(measured)
        rows.append((effect.saved[-1:] / of_saved, [(measured.prcl_saved - off.saved[-1]) / of_saved], 0.0))
        rows.append((effect.slower[-1:] / of_slower, [(measured.prcl_slower - off.slower[-1]) / of_slower], 0.0))
    if measured.scores is None:
        return _non_negative(rows, count)
    scores = measured.scores[::2]
    fine = scores > TOO_SLOW
    noise = point_noise(measured)
    wanted = scores - 50.0 * (off.saved - off.slower)[:-1]
    rows.append((effect.score()[:-1][fine] / noise, wanted[fine] / noise, 1.0 / noise))
    # Where the program got too slow only that is known: rows for those ages at which the solution is too fast.
    slow = np.zeros(len(scores), bool)
    while True:
        short = (1.15 * LIMIT - off.slower[:-1][slow]) / LIMIT_NOISE
        found = _non_negative([*rows, (effect.slower[:-1][slow] / LIMIT_NOISE, short, 0.0)], count)
        more = ~fine & ~slow & (effect.slower[:-1] @ found[:count] + off.slower[:-1] < LIMIT)
        if not more.any():
            return found
        slow |= more


def _non_negative(rows: Sequence[tuple[Floats, Floats | list[float], float]], count: int) -> Floats:
    # Rows are (coefficients of the shares, target, coefficient of the offset); the offset may have either sign.
    blocks = [np.hstack([a, np.full((len(a), 1), o), np.full((len(a), 1), -o)]) for a, _, o in rows]
    prior = np.zeros((2, count + 2))
    prior[0, -2], prior[1, -1] = 1.0 / OFFSET_NOISE, 1.0 / OFFSET_NOISE
    targets = [np.asarray(b, float) for _, b, _ in rows]
    found = nnls(np.vstack([*blocks, prior]), np.concatenate([*targets, np.zeros(2)]))[0]
    return np.append(found[:count], found[-2] - found[-1])
