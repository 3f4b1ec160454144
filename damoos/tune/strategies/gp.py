"""A Gaussian process is fitted to the scores and one to the excess over the runtime limit; the next point is where the
expected improvement, times the probability of keeping the limit, is largest. Noise is fitted too (scores of repeated
runs differ). The first 5 trials are random. Slower than the others: some hundred milliseconds a proposal. From 60
trials on the processes are fitted to 60 of them: the best, the latest, and of the others those farthest apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..asktell import CONSTRAINT, new_study
from ..objective import pareto_front
from ..space import Parameter, Point, Space, Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen, penalised

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STARTUP_TRIALS = 5
"""Trials that are drawn at random: fewer than Optuna's 10, since real runs are dear."""
BEST, LATEST, FITTED = 25, 15, 60
"""Trials that are fitted, of them the best and the latest: the time for a proposal grows with their number, and what is
near others says little more."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """What Optuna's sampler proposes for the unit cube."""
    # Optuna and PyTorch take seconds to load.
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler
    from optuna.trial import create_trial

    # On the space itself whole numbers are steps to it, of which microseconds and bytes have millions.
    distributions = {parameter.name: _distribution(parameter) for parameter in ask.space.parameters}
    done = [trial for trial in seen if trial.scores]
    cube = new_study(len(done[0].scores) if done else 1)
    for trial in thinned(ask.space, [trial for trial in seen if trial.state != "failed"]):
        # One that still runs is taken for an average one, so that a batch spreads.
        scores = trial.scores or [sum(column) / len(done) for column in zip(*(t.scores for t in done), strict=True)]
        if not scores:
            continue
        excess = 0.0 if trial.state == "running" else trial.excess
        params = _params(ask.space, ask.space.encode(trial.values))
        cube.add_trial(
            create_trial(
                params=params, distributions=distributions, values=list(scores), constraints={CONSTRAINT: excess}
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        cube.sampler = GPSampler(
            seed=ask.sampler_seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False
        )
    chosen = cube.ask(distributions).params
    point: list[float] = [
        parameter.coordinate(chosen[parameter.name]) if parameter.kind == "choice" else chosen[parameter.name]
        for parameter in ask.space.parameters
    ]
    return fresh(ask, seen, [point])


def thinned(space: Space, trials: Sequence[Seen]) -> list[Seen]:
    """At most `FITTED` of the trials, in their order; the best of several objectives are those of the front."""
    if len(trials) <= FITTED:
        return list(trials)
    scores = penalised(trials)
    allowed = [i for i, trial in enumerate(trials) if trial.feasible and len(trial.scores) > 1]
    front = {allowed[i] for i in pareto_front([trials[i].scores for i in allowed])}
    order = sorted(range(len(trials)), key=lambda i: (i not in front, -scores[i], i))
    kept = list(dict.fromkeys([*order[:BEST], *range(len(trials) - LATEST, len(trials))]))
    points = np.array([space.encode(trial.values) for trial in trials])
    apart = np.min([((points - points[i]) ** 2).sum(axis=1) for i in kept], axis=0)
    while len(kept) < FITTED:
        farthest = int(np.argmax(apart))
        kept.append(farthest)
        apart = np.minimum(apart, ((points - points[farthest]) ** 2).sum(axis=1))
    return [trials[i] for i in sorted(set(kept))]


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return CategoricalDistribution(parameter.choices) if parameter.kind == "choice" else FloatDistribution(0.0, 1.0)


def _params(space: Space, point: Point) -> dict[str, Value]:
    return {
        parameter.name: parameter.at(u) if parameter.kind == "choice" else float(u)
        for parameter, u in zip(space.parameters, point, strict=True)
    }


STRATEGY = Strategy(
    name="gp",
    title="Bayesian optimisation with Gaussian processes",
    text=__doc__,
    source="Gardner et al., Bayesian Optimization with Inequality Constraints (ICML 2014); Optuna's GPSampler",
    make_sampler=sampler_of(propose),
    several_objectives=True,
    needs=(("torch", "gp"), ("scipy", "gp")),
)
