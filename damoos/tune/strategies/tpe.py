"""Two densities are fitted to the trials, of the good ones and of the others, and the next point is where their ratio
is best; all parameters together (multivariate), feasible trials before infeasible ones. The first 10 trials are random.
Optuna 5 does it otherwise than Optuna 4 and before, so published results of TPE are of another algorithm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Ask, Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

STARTUP_TRIALS = 10
"""Trials that are drawn at random before the estimator has something to work with."""


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    from optuna.samplers import TPESampler  # Optuna takes a second to load

    return TPESampler(n_startup_trials=STARTUP_TRIALS, multivariate=True, seed=ask.sampler_seed)


STRATEGY = Strategy(
    name="tpe",
    title="tree-structured Parzen estimator",
    text=__doc__,
    source="Bergstra et al., Algorithms for Hyper-Parameter Optimization (NIPS 2011); Optuna's TPESampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
