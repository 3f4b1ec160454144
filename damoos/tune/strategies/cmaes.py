"""A normal distribution over the points, whose mean and covariance move to where the better half of each generation
was. It begins at the env's default with a standard deviation of a quarter of each range. What passes the runtime limit
counts as the lowest score so far less the excess, since CMA-ES itself knows no constraints (and Optuna's ignores them).
Numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..space import Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen, penalised

SIGMA = 0.25
TRIES = 20
"""Draws before something new is looked for elsewhere: a distribution that has settled draws the same grid point."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """A draw from the distribution after the generations that are complete."""
    from cmaes import CMA

    d = ask.space.dimensions
    # The package wants two dimensions at least; nothing depends on the second then.
    width = max(d, 2)
    mean = np.full(width, 0.5)
    mean[:d] = ask.space.encode(ask.space.defaults())
    bounds = np.tile([0.0, 1.0], (width, 1))
    search = CMA(mean=mean, sigma=SIGMA, bounds=bounds, seed=int(ask.study_rng().integers(2**31)))
    done = [trial for trial in seen if trial.state != "running"]
    size = search.population_size
    told = len(done) - len(done) % size
    losses = -penalised(done)
    for begin in range(0, told, size):
        # What is drawn here was drawn then: it moves the generator on.
        drawn = [search.ask() for _ in range(size)]
        points = [_widened(ask, trial, other) for trial, other in zip(done[begin : begin + size], drawn, strict=True)]
        search.tell(list(zip(points, losses[begin : begin + size].tolist(), strict=True)))
    for _ in range(ask.number - told):
        search.ask()
    return fresh(ask, seen, (search.ask()[:d] for _ in range(TRIES)))


def _widened(ask: Ask, trial: Seen, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    point = drawn.copy()
    point[: ask.space.dimensions] = ask.space.encode(trial.values)
    return point


STRATEGY = Strategy(
    name="cmaes",
    title="covariance matrix adaptation evolution strategy",
    text=__doc__,
    source="Hansen, The CMA Evolution Strategy: A Tutorial (arXiv 1604.00772); the cmaes package",
    make_sampler=sampler_of(propose),
    choices=False,
    needs=(("cmaes", "search"),),
)
