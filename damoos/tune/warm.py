"""A warm start: the best points of another study, as the first ones of this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from damoos.errors import ConfigError, InputError

from .outcome import Outcome
from .outputs import read_outcome
from .preset import Env
from .space import Parameter, Value
from .verify import ranking

OPTION = "--from"


@dataclass(frozen=True)
class Start:
    """Points to begin with, best first, and where they come from, in words; `key` tells one start from another."""

    points: tuple[dict[str, Value], ...]
    text: str

    @property
    def key(self) -> str:
        """Number of points and their digest."""
        digest = hashlib.sha256(repr([sorted(point.items()) for point in self.points]).encode()).hexdigest()
        return f"{len(self.points)} points ({digest[:12]})"


def read_start(source: Path, best: int, env: Env) -> Start:
    """The `best` feasible points of the study in `source` (its folder or result.json), by its ranking, all different
    and none the default of `env`, where that comes first anyway.

    Raises InputError if there is no feasible one, or naming a parameter that `env` doesn't have or has otherwise.
    """
    there = read_outcome(source)
    points: list[dict[str, Value]] = []
    ranked = ranking(there.trials)
    if not ranked:
        raise InputError("has no feasible trial", field=OPTION, value=str(source))
    if any(trial.steered for trial in ranked):
        problem = "was steered while it ran, so its points are not what scored"
        raise InputError(problem, field=OPTION, value=f"{source} (strategy {there.strategy})", allowed="other studies")
    for trial in ranked:
        point = _point(there, env, trial.params)
        if point not in (*points, env.space.defaults()):
            points.append(point)
        if len(points) == best:
            break
    return Start(tuple(points), f"best of {source} ({there.workload.name} on {there.backend}, {there.time_kind} time)")


def _point(there: Outcome, env: Env, params: dict[str, float | int | str | bool]) -> dict[str, Value]:
    infos = {info.name: info for info in there.env.parameters}
    known = {parameter.name: parameter for parameter in env.space.parameters}
    both = f"env {there.env.name} there, {env.name} here"
    for name in params:
        if name not in known:
            raise InputError(f"parameter {name} is only in the other study's env", field=OPTION, value=both)
    point: dict[str, Value] = {}
    for name, parameter in known.items():
        if not env.space.active(parameter, point):
            continue
        if name not in params:
            raise InputError(f"parameter {name} is only in this study's env", field=OPTION, value=both)
        if name in infos and (infos[name].where, infos[name].unit) != (parameter.place, parameter.info().unit):
            raise InputError(f"parameter {name} is something else in the other study's env", field=OPTION, value=both)
        point[name] = _value(parameter, params[name], both)
    for name in params:
        if name not in point:
            raise InputError(f"parameter {name} counts only in the other study's env", field=OPTION, value=both)
    return point


def _value(parameter: Parameter, value: Value, both: str) -> Value:
    if parameter.kind == "choice":
        try:
            parameter.coordinate(value)
        except ConfigError as error:
            raise InputError(
                f"parameter {parameter.name} ({both}) is not among the choices",
                field=OPTION,
                value=value,
                allowed=error.allowed,
            ) from None
        return value
    assert isinstance(value, int | float)
    if not parameter.low <= value <= parameter.high:
        raise InputError(
            f"parameter {parameter.name} ({both}) is out of range",
            field=OPTION,
            value=parameter.text(value),
            allowed=parameter.range_text,
        )
    return parameter.snap(value)
