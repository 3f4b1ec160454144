"""Bayesian optimisation with a random forest instead of a Gaussian process: it needs no smoothness, stands noise, and
did best in published comparisons on the knobs of database systems. The next point has the largest expected improvement
of the logarithm of the cost, among ten thousand random points and what a local search makes of the best of them; one
proposal in five is random. The first 5 trials are points of a Sobol sequence. What passes the runtime limit counts as
the lowest score so far less the excess, since SMAC knows no constraints. A second or two a proposal.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..space import Parameter, Space, Value
from . import sobol
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen, penalised

STARTUP_TRIALS = 5
"""Fewer than SMAC's ten a parameter, since real runs are dear."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """A point of the Sobol sequence at first, then what SMAC proposes for the unit cube."""
    done = [trial for trial in seen if trial.state != "running"]
    if len(done) < STARTUP_TRIALS:
        return sobol.propose(ask, seen)
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialInfo, TrialValue

    cube = _cube(ask.space)
    with tempfile.TemporaryDirectory() as folder, _alone():
        scenario = Scenario(
            cube,
            output_directory=Path(folder),
            deterministic=True,
            # One more than there are: it is asked for one point.
            n_trials=len(done) + 1,
            seed=ask.sampler_seed % 2**31,
        )
        search = HyperparameterOptimizationFacade(
            scenario,
            lambda configuration, seed: 0.0,
            initial_design=HyperparameterOptimizationFacade.get_initial_design(scenario, n_configs=0),
            logging_level=False,
        )
        for trial, score in zip(done, penalised(done).tolist(), strict=True):
            search.tell(TrialInfo(_configuration(ask.space, cube, trial), seed=0), TrialValue(-score), save=False)
        chosen = search.ask().config
    return fresh(ask, seen, [[_coordinate(parameter, chosen[parameter.name]) for parameter in ask.space.parameters]])


@contextmanager
def _alone() -> Iterator[None]:
    """Neither threads, which cost more than they gain here, nor messages and warnings."""
    import joblib

    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), joblib.parallel_config(backend="sequential"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _cube(space: Space) -> Any:
    # On the space itself whole numbers are steps to it; choices are numbered, whatever they are.
    from ConfigSpace import Categorical, ConfigurationSpace, Float

    cube = ConfigurationSpace()
    cube.add(
        [
            Categorical(parameter.name, [str(i) for i in range(len(parameter.choices))])
            if parameter.kind == "choice"
            else Float(parameter.name, (0.0, 1.0))
            for parameter in space.parameters
        ]
    )
    return cube


def _configuration(space: Space, cube: Any, trial: Seen) -> Any:
    from ConfigSpace import Configuration

    values: dict[str, float | str] = {}
    for parameter, coordinate in zip(space.parameters, space.encode(trial.values).tolist(), strict=True):
        chosen = min(int(coordinate * len(parameter.choices)), len(parameter.choices) - 1)
        values[parameter.name] = str(chosen) if parameter.kind == "choice" else coordinate
    return Configuration(cube, values=values)


def _coordinate(parameter: Parameter, value: Any) -> float:
    return (int(value) + 0.5) / len(parameter.choices) if parameter.kind == "choice" else float(value)


STRATEGY = Strategy(
    name="smac",
    title="Bayesian optimisation with random forests",
    text=__doc__,
    source="Lindauer et al., SMAC3 (JMLR 2022); the smac package's HyperparameterOptimizationFacade",
    make_sampler=sampler_of(propose),
    needs=(("smac", "smac"),),
)
