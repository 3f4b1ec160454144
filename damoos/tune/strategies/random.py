"""Independent uniform draws, on a log scale where the parameter has one: what a search must beat."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler


def make_sampler(seed: int) -> BaseSampler:
    """The sampler for one trial."""
    return RandomSampler(seed=seed)
