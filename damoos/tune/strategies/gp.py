"""A Gaussian process is fitted to the scores and one to the excess over the runtime limit; the next point is where the
expected improvement, times the probability of keeping the limit, is largest. Noise is fitted too (scores of repeated
runs differ). The first 5 trials are random. Slower than the others: some hundred milliseconds a proposal. From 50
trials on the processes are fitted to 50 of them: the best, the latest, and of the others those farthest apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..objective import pareto_front
from ..space import Space, Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen, penalised

STARTUP_TRIALS = 5
"""Trials that are drawn at random: fewer than Optuna's 10, since real runs are dear."""
BEST, LATEST, FITTED = 20, 12, 50
"""Trials that are fitted, of them the best and the latest: the time for a proposal grows with their number, and what is
near others says little more."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """What Optuna's sampler proposes for the unit cube."""
    # Optuna and PyTorch take seconds to load.
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler

    from .cube import ask_point, cube_study

    done = [trial for trial in seen if trial.scores]
    known: list[tuple[Seen, Sequence[float], float]] = []
    for trial in thinned(ask.space, [trial for trial in seen if trial.state != "failed"]):
        # One that still runs is taken for an average one, so that a batch spreads.
        scores = trial.scores or [sum(column) / len(done) for column in zip(*(t.scores for t in done), strict=True)]
        if scores:
            known.append((trial, scores, 0.0 if trial.state == "running" else trial.excess))
    study = cube_study(ask.space, known, len(done[0].scores) if done else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.sampler = GPSampler(
            seed=ask.sampler_seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False
        )
    return fresh(ask, seen, [ask_point(ask.space, study)])


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


STRATEGY = Strategy(
    name="gp",
    title="Bayesian optimisation with Gaussian processes",
    text=__doc__,
    source="Gardner et al., Bayesian Optimization with Inequality Constraints (ICML 2014); Optuna's GPSampler",
    make_sampler=sampler_of(propose),
    several_objectives=True,
    needs=(("torch", "gp"), ("scipy", "gp")),
)
