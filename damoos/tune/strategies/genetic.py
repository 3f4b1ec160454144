"""Optuna's genetic samplers, made to propose the same whether a study was stopped or not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna import Study, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.samplers.nsgaii import BLXAlphaCrossover
from optuna.trial import FrozenTrial

from .base import Ask

POPULATION = 10


def nsga2(ask: Ask) -> samplers.NSGAIISampler:
    """Of NSGA-II, for one trial."""
    with _experimental():
        return NSGAIISampler(**_settings(ask))


def nsga3(ask: Ask) -> samplers.NSGAIIISampler:
    """Of NSGA-III, for one trial."""
    same = int(ask.study_rng().integers(2**31))
    with _experimental():
        chooser = samplers.NSGAIIISampler(population_size=POPULATION, seed=same)
        return NSGAIIISampler(chooser, **_settings(ask))


# The names are Optuna's: a trial says its generation under the name of the class.
class NSGAIISampler(samplers.NSGAIISampler):
    """Parents in the order of their trials. Optuna has them in that order only when it reads them back, so that what is
    proposed would depend on whether the process was started anew."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Who of the generations before lives on."""
        return _by_number(super().select_parent(study, generation))


class NSGAIIISampler(samplers.NSGAIIISampler):
    """As above; `chooser`, whose generator is the study's, chooses the parents: whichever trial of a generation has
    them chosen, the choice is the same."""

    def __init__(self, chooser: samplers.NSGAIIISampler, **settings: Any) -> None:
        super().__init__(**settings)
        self._chooser = chooser

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Who of the generations before lives on."""
        return _by_number(self._chooser.select_parent(study, generation))


@contextmanager
def _experimental() -> Iterator[None]:
    """Optuna says of public classes that their interface may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _by_number(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(trials, key=lambda trial: trial.number)


def _settings(ask: Ask) -> dict[str, Any]:
    return {
        "population_size": POPULATION,
        # Without blending and always crossing, copies of the parents would be run again.
        "crossover": BLXAlphaCrossover(),
        "crossover_prob": 1.0,
        "seed": ask.sampler_seed,
    }
