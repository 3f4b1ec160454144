"""Trials in the unit cube, for Optuna's samplers that fit a model: on the space itself whole numbers are steps to them,
of which microseconds and bytes have millions, and parameters that don't count are holes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from ..asktell import CONSTRAINT, new_study
from ..space import Parameter, Point, Space, Value
from .seen import Seen


def cube_study(space: Space, trials: Iterable[tuple[Seen, Sequence[float], float]], objectives: int = 1) -> Study:
    """A study of points in the cube: each trial with the scores and the excess that it is to count with."""
    study = new_study(objectives)
    distributions = _distributions(space)
    for trial, scores, excess in trials:
        study.add_trial(
            create_trial(
                params=_params(space, space.encode(trial.values)),
                distributions=distributions,
                values=list(scores),
                constraints={CONSTRAINT: excess},
            )
        )
    return study


def ask_point(space: Space, study: Study) -> Point:
    """What the sampler of the study proposes, a point in the cube."""
    chosen = study.ask(_distributions(space)).params
    return [
        parameter.coordinate(chosen[parameter.name]) if parameter.kind == "choice" else chosen[parameter.name]
        for parameter in space.parameters
    ]


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {parameter.name: _distribution(parameter) for parameter in space.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    return CategoricalDistribution(parameter.choices) if parameter.kind == "choice" else FloatDistribution(0.0, 1.0)


def _params(space: Space, point: Point) -> dict[str, Value]:
    return {
        parameter.name: parameter.at(u) if parameter.kind == "choice" else float(u)
        for parameter, u in zip(space.parameters, point, strict=True)
    }
