"""A Gaussian process is fitted to the scores and one to the excess over the runtime limit; the next point is where the
expected improvement, times the probability of keeping the limit, is largest. Noise is fitted too (scores of repeated
runs differ). The first 5 trials are random. Slower than the others: some hundred milliseconds a proposal.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler

from ..space import Value
from .base import Ask, Strategy, fresh, sampler_of
from .cube import ask_point, cube_study
from .seen import Seen

STARTUP_TRIALS = 5
"""Trials that are drawn at random: fewer than Optuna's 10, since real runs are dear."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """What Optuna's sampler proposes for the unit cube."""
    done = [trial for trial in seen if trial.scores]
    known: list[tuple[Seen, Sequence[float], float]] = []
    for trial in seen:
        # One that still runs is taken for an average one, so that a batch spreads.
        scores = trial.scores or [sum(column) / len(done) for column in zip(*(t.scores for t in done), strict=True)]
        if trial.state != "failed" and scores:
            known.append((trial, scores, 0.0 if trial.state == "running" else trial.excess))
    study = cube_study(ask.space, known, len(done[0].scores) if done else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.sampler = GPSampler(
            seed=ask.sampler_seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False
        )
    return fresh(ask, seen, [ask_point(ask.space, study)])


STRATEGY = Strategy(
    name="gp",
    title="Bayesian optimisation with Gaussian processes",
    text=__doc__,
    source="Gardner et al., Bayesian Optimization with Inequality Constraints (ICML 2014); Optuna's GPSampler",
    make_sampler=sampler_of(propose),
    several_objectives=True,
    needs=(("torch", "gp"), ("scipy", "gp")),
)
