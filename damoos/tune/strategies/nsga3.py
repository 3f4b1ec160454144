"""As nsga2, but the front is spread by reference directions instead of by distance, which holds up better with three
and more objectives. Generations of 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Ask, Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    from .genetic import nsga3  # Optuna takes a second to load

    return nsga3(ask)


STRATEGY = Strategy(
    name="nsga3",
    title="genetic algorithm for fronts of three and more objectives",
    text=__doc__,
    source="Deb and Jain, An evolutionary many-objective algorithm, part I (2014); Optuna's NSGAIIISampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
