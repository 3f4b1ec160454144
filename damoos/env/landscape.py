"""What trials of one task come to at any point, interpolated between points that were measured once.

A learner that needs a million trials gets them a hundred times as fast as by running them; what it has learned is
then judged, and can go on learning, by real ones. Score and excess over the limit are interpolated each by a Gaussian
process in NumPy: Matérn 5/2, a length for each parameter, by the largest marginal likelihood (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, algorithm 2.1). It is their asinh that is, since far from where a scheme
is good both are huge.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from damoos.errors import ConfigError
from damoos.files import write_whole

from .history import SCORE_SCALE, Tried

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Tried]
"""One trial at an action."""

FORMAT = 1
SPREAD, NEAR = 48, 32
"""Points that are spread over the space, and then those that are drawn near the best of them."""
BEST, NEAR_BY = 4, 0.3
"""Near how many of the best, and by how much (standard deviation of an action's numbers)."""
_LENGTHS = tuple(0.25 * 2.0**i for i in range(7))
"""Of the kernel, for each parameter, in an action's units; from a fine grain to nothing that matters."""
_NOISE = 0.01
"""Variance that runs differ by from point to point, of the standardised values' 1."""


@dataclass(frozen=True)
class Process:
    """A Gaussian process through values [n] at actions [n, d]."""

    actions: Floats
    mean: float
    scale: float
    lengths: Floats
    weights: Floats

    @classmethod
    def fit(cls, actions: Floats, values: Floats) -> Self:
        """The likeliest lengths, one parameter after the other, twice around; n ≥ 1."""
        mean, scale = float(values.mean()), float(values.std()) or 1.0
        standard = (values - mean) / scale
        gaps = np.square(actions[:, None] - actions[None])
        chosen = [len(_LENGTHS) // 2] * actions.shape[1]
        known: dict[tuple[int, ...], tuple[float, Floats]] = {}

        def likelihood(at: Sequence[int]) -> float:
            key = tuple(at)
            if key not in known:
                known[key] = _likelihood(gaps, standard, np.array([_LENGTHS[i] for i in key]))
            return known[key][0]

        for parameter in [*range(len(chosen))] * 2:
            for step in (-1, 1):
                while 0 <= chosen[parameter] + step < len(_LENGTHS):
                    other = [*chosen]
                    other[parameter] += step
                    if likelihood(other) <= likelihood(chosen):
                        break
                    chosen = other
        likelihood(chosen)
        return cls(actions, mean, scale, np.array([_LENGTHS[i] for i in chosen]), known[tuple(chosen)][1])


@dataclass(frozen=True)
class Landscape:
    """One task's. `profile`: of the workload, float32."""

    score: Process
    excess: Process
    profile: NDArray[np.float32]

    @classmethod
    def measure(cls, measure: Measure, dimensions: int, profile: NDArray[np.float32], rng: np.random.Generator) -> Self:
        """Runs `SPREAD` trials all over the space, and `NEAR` near the best of them. Raises as a run."""
        places = (np.argsort(rng.random((dimensions, SPREAD)), axis=1).T + rng.random((SPREAD, dimensions))) / SPREAD
        tried = [measure(action) for action in 2.0 * places - 1.0]
        top = sorted(tried, key=lambda one: (one.feasible, one.score))[-BEST:]
        for number in range(NEAR):
            centre = np.array(top[number % len(top)].action)
            tried.append(measure(np.clip(centre + rng.normal(0.0, NEAR_BY, dimensions), -1.0, 1.0)))
        actions, values = np.array([one.action for one in tried]), [(one.score, one.excess) for one in tried]
        score, excess = np.arcsinh(np.array(values) / (SCORE_SCALE, 1.0)).T
        return cls(Process.fit(actions, score), Process.fit(actions, excess), profile)

    @cached_property
    def top(self) -> float:
        """The best score of its points that are feasible, percent; 0, no scheme, where none is better."""
        points = self.score.actions
        stack = Stack(len(points))
        for i in range(len(points)):
            stack.put(i, self)
        score, excess = stack.at(points)
        return max([0.0, *score[excess <= 0.0].tolist()])

    def at(self, action: Floats) -> Tried:
        """The trial at an action [d] in [-1, 1]; outside is clipped."""
        action = np.clip(action, -1.0, 1.0)
        stack = Stack(1)
        stack.put(0, self)
        score, excess = stack.at(action[None])
        return Tried(tuple(action.tolist()), float(score[0]), float(excess[0]))

    def to_bytes(self) -> bytes:
        """As a file's content."""
        parts = {"format": np.array(FORMAT), "actions": self.score.actions, "profile": self.profile}
        for name, process in (("score", self.score), ("excess", self.excess)):
            parts |= {f"{name}_scale": np.array([process.mean, process.scale])}
            parts |= {f"{name}_lengths": process.lengths, f"{name}_weights": process.weights}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **parts)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The landscape in a file. Raises ConfigError where it is none."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                parts = dict(archive)
            if int(parts["format"]) != FORMAT:
                raise ConfigError("is of another damoos", file=path, field="format", value=int(parts["format"]))
            score, excess = (
                Process(
                    parts["actions"],
                    mean=float(parts[f"{name}_scale"][0]),
                    scale=float(parts[f"{name}_scale"][1]),
                    lengths=parts[f"{name}_lengths"],
                    weights=parts[f"{name}_weights"],
                )
                for name in ("score", "excess")
            )
            return cls(score, excess, parts["profile"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ConfigError(f"is no landscape: {error}", file=path, allowed="remove it, to measure again") from error


class Stack:
    """`count` landscapes of as many points, one beside the other."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._arrays: tuple[Floats, ...] = ()

    def put(self, i: int, landscape: Landscape) -> None:
        """Makes `landscape` number i."""
        both = (landscape.score, landscape.excess)
        parts = (
            landscape.score.actions,
            np.array([process.lengths**-2.0 for process in both]),
            np.array([process.weights for process in both]),
            np.array([process.mean for process in both]),
            np.array([process.scale for process in both]),
        )
        if not self._arrays:
            self._arrays = tuple(np.zeros((self._count, *part.shape)) for part in parts)
        for array, part in zip(self._arrays, parts, strict=True):
            array[i] = part

    def at(self, actions: Floats) -> tuple[Floats, Floats]:
        """Scores and excesses [count] at an action [count, d] of each."""
        places, inverse, weights, mean, scale = self._arrays
        squares = np.square(places - actions[:, None]) @ inverse.transpose(0, 2, 1)
        found = mean + scale * (_matern(squares.transpose(0, 2, 1)) * weights).sum(axis=2)
        return SCORE_SCALE * np.sinh(found[:, 0]), np.sinh(found[:, 1])


def kept(folder: Path, key: object, measured: Callable[[], Landscape]) -> Landscape:
    """The landscape of `key`, whose text says all that decides it, in a folder that is made where there is none;
    measured when it is first asked for. Raises ConfigError, OSError, and as measuring."""
    path = folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        return Landscape.read(path)
    found = measured()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, found.to_bytes())
    return found


def _likelihood(gaps: Floats, standard: Floats, lengths: Floats) -> tuple[float, Floats]:
    factor = np.linalg.cholesky(_matern(gaps @ lengths**-2.0) + _NOISE * np.eye(len(standard)))
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, standard))
    return -0.5 * float(standard @ weights) - float(np.log(np.diag(factor)).sum()), weights


def _matern(squares: Floats) -> Floats:
    r = np.sqrt(5.0 * squares)
    return (1.0 + r + r * r / 3.0) * np.exp(-r)
