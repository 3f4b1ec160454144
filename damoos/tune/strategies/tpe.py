"""Tree-structured Parzen estimator (Optuna 5: multivariate, feasible trials before infeasible ones)."""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

STARTUP_TRIALS = 10
"""Trials that are drawn at random before the estimator has something to work with."""


def make_sampler(seed: int) -> BaseSampler:
    """The sampler for one trial."""
    return TPESampler(n_startup_trials=STARTUP_TRIALS, multivariate=True, seed=seed)
