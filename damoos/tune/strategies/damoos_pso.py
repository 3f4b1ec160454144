"""One to six parameters. All runs but the last are spread over a design like a grid: for each parameter about the d-th
root of the runs, chosen as damoos-polyfit explores. Then a swarm of 5 particles flies 100 iterations over a surrogate,
the score of the nearest point that was measured (distances in the numbers that a person writes: seconds, KiB, percent).
The last trial is the swarm's best point. Scores of what was too slow count as the lowest other one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ..space import Value
from .base import Ask, Strategy, fresh, sampler_of
from .damoos_polyfit import SOURCE, without_cliff
from .linear import at_share, in_units, share_of
from .polynomial import Floats, exploration
from .seen import Seen

PARTICLES, ITERATIONS = 5, 100
COGNITIVE, SOCIAL, INERTIA = 0.5, 0.3, 0.9


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point of the design, then the swarm's best."""
    runs = max(ask.trials - 1, 1)
    done = [trial for trial in seen if trial.state != "running"]
    if ask.number < runs or not done:
        design = _design(ask, runs)
        shares = design[ask.number % len(design) :]
    else:
        shares = _swarm(ask, done)[None]
    return fresh(ask, seen, [_point(ask, share) for share in shares])


def _design(ask: Ask, runs: int) -> Floats:
    rng, d = ask.study_rng(), ask.space.dimensions
    levels = max(int(runs ** (1.0 / d) + 1e-9), 2)
    axes = [exploration(levels, rng) for _ in range(d)]
    grid = np.array(list(itertools.product(*axes)))
    return np.concatenate([rng.permutation(grid), rng.random((runs, d))])[: max(runs, 1)]


def _swarm(ask: Ask, done: Sequence[Seen]) -> Floats:
    parameters = ask.space.parameters
    low, high = (np.array([in_units(p, share) for p in parameters]) for share in (0.0, 1.0))
    shares = np.array([[share_of(p, trial.values[p.name]) for p in parameters] for trial in done])
    measured, scores = low + shares * (high - low), without_cliff(done)

    def surrogate(x: Floats) -> Floats:
        return scores[np.argmin(((x[:, None] - measured[None]) ** 2).sum(axis=2), axis=1)]

    rng = ask.study_rng()
    shape = (PARTICLES, len(parameters))
    x, velocity = low + rng.random(shape) * (high - low), rng.random(shape)
    own, own_score = x.copy(), surrogate(x)
    for _ in range(ITERATIONS):
        top = own[np.argmax(own_score)]
        pull = COGNITIVE * rng.random(shape) * (own - x) + SOCIAL * rng.random(shape) * (top - x)
        velocity = INERTIA * velocity + pull
        x = np.clip(x + velocity, low, high)
        score = surrogate(x)
        better = score > own_score
        own[better], own_score[better] = x[better], score[better]
    return (own[np.argmax(own_score)] - low) / (high - low)


def _point(ask: Ask, shares: Floats) -> Floats:
    pairs = zip(ask.space.parameters, shares.tolist(), strict=True)
    return ask.space.encode({p.name: at_share(p, share) for p, share in pairs})


STRATEGY = Strategy(
    name="damoos-pso",
    title="DAMOOS 2021: a particle swarm on the nearest measured point",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(propose),
    choices=False,
    conditional=False,
    most_parameters=6,
    uses_budget=True,
)
