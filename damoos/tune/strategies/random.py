"""Independent uniform draws, on a log scale where the parameter has one: what a search must beat. It learns nothing, so
it can't be misled either, and a point may come again where there are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Ask, Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    from optuna.samplers import RandomSampler  # Optuna takes a second to load

    return RandomSampler(seed=ask.sampler_seed)


STRATEGY = Strategy(
    name="random",
    title="random search",
    text=__doc__,
    source="Bergstra and Bengio, Random Search for Hyper-Parameter Optimization (JMLR 2012); Optuna's RandomSampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
