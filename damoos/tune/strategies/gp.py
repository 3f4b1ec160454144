"""A Gaussian process is fitted to the scores and one to the excess over the runtime limit; the next point is where the
expected improvement, times the probability of keeping the limit, is largest. Noise is fitted too (scores of repeated
runs differ). The first 5 trials are random. Slower than the others: some hundred milliseconds a proposal.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler
from optuna.trial import create_trial

from ..asktell import CONSTRAINT, new_study
from ..space import Parameter, Point, Space, Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen

STARTUP_TRIALS = 5
"""Trials that are drawn at random: fewer than Optuna's 10, since real runs are dear."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """What Optuna's sampler proposes for the unit cube."""
    # On the space itself whole numbers are steps to it, of which microseconds and bytes have millions.
    distributions = {parameter.name: _distribution(parameter) for parameter in ask.space.parameters}
    done = [trial for trial in seen if trial.scores]
    cube = new_study(len(done[0].scores) if done else 1)
    for trial in seen:
        # One that still runs is taken for an average one, so that a batch spreads.
        scores = trial.scores or [sum(column) / len(done) for column in zip(*(t.scores for t in done), strict=True)]
        if trial.state == "failed" or not scores:
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


def _distribution(parameter: Parameter) -> BaseDistribution:
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
