"""An evolutionary search for a front: the fittest of each generation, feasible before infeasible and spread along the
front, are crossed (BLX-α) and mutated. Generations of 10, where Optuna has 50: a study of this kind has some 50
trials. With one objective it is a plain genetic algorithm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Ask, Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    from .genetic import nsga2  # Optuna takes a second to load

    return nsga2(ask)


STRATEGY = Strategy(
    name="nsga2",
    title="genetic algorithm for Pareto fronts",
    text=__doc__,
    source="Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II (2002); Optuna's NSGAIISampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
