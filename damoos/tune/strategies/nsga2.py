"""An evolutionary search for a front: the fittest of each generation, feasible before infeasible and spread along the
front, are crossed (BLX-α) and mutated. Generations of 10, where Optuna has 50: a study of this kind has some 50
trials. With one objective it is a plain genetic algorithm.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.samplers.nsgaii import BLXAlphaCrossover
from optuna.samplers.nsgaii._elite_population_selection_strategy import NSGAIIElitePopulationSelectionStrategy
from optuna.trial import FrozenTrial

from .base import Ask, Strategy

POPULATION = 10

Select = Callable[[Study, list[FrozenTrial]], list[FrozenTrial]]


def by_number(select: Select) -> Select:
    """The same selection in the order of the trials. Optuna has it in that order only when it reads it back, so that
    what is proposed would depend on whether the process was started anew."""
    return lambda study, population: sorted(select(study, population), key=lambda trial: trial.number)


def settings(ask: Ask, select: Select) -> dict[str, Any]:
    """What Optuna's samplers of this family are made with; `select` is who of a generation lives on."""
    return {
        "population_size": POPULATION,
        # Without blending and always crossing, copies of the parents would be run again.
        "crossover": BLXAlphaCrossover(),
        "crossover_prob": 1.0,
        "seed": ask.sampler_seed,
        "elite_population_selection_strategy": by_number(select),
    }


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    elite = NSGAIIElitePopulationSelectionStrategy(population_size=POPULATION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return NSGAIISampler(**settings(ask, elite))


STRATEGY = Strategy(
    name="nsga2",
    title="genetic algorithm for Pareto fronts",
    text=__doc__,
    source="Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II (2002); Optuna's NSGAIISampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
