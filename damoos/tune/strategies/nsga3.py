"""As nsga2, but the front is spread by reference directions instead of by distance, which holds up better with three
and more objectives. Generations of 10.
"""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.samplers._nsgaiii._elite_population_selection_strategy import NSGAIIIElitePopulationSelectionStrategy

from .base import Ask, Strategy
from .nsga2 import POPULATION, settings


def make_sampler(ask: Ask) -> BaseSampler:
    """The sampler for one trial."""
    # Whichever trial of a generation chooses its parents, the choice is the same.
    same = LazyRandomState(int(ask.study_rng().integers(2**31)))
    elite = NSGAIIIElitePopulationSelectionStrategy(population_size=POPULATION, rng=same)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return NSGAIIISampler(**settings(ask, elite))


STRATEGY = Strategy(
    name="nsga3",
    title="genetic algorithm for fronts of three and more objectives",
    text=__doc__,
    source="Deb and Jain, An evolutionary many-objective algorithm, part I (2014); Optuna's NSGAIIISampler",
    make_sampler=make_sampler,
    several_objectives=True,
)
