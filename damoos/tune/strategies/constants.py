"""Schemes that are known from elsewhere, as points of a space."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..place import Value
from ..space import Parameter, Space
from .base import Propose

Constants = Mapping[str, Mapping[str, Value]]
"""By the scheme's action ("" for what is no scheme's), by the place below the scheme: a value in its kind's unit."""

_SCHEME = re.compile(r"schemes\[(\d+)\]\.(.+)")


def point_of(space: Space, constants: Constants) -> dict[str, Value]:
    """The constants where the space has a parameter for them, inside its ranges; the defaults elsewhere."""
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.active(parameter, values):
            values[parameter.name] = _value(space, parameter, values, constants)
    return values


def always(constants: Constants) -> Propose:
    """Proposes that one point, whatever was tried."""
    return lambda ask, seen: point_of(ask.space, constants)


def _value(space: Space, parameter: Parameter, values: Mapping[str, Value], constants: Constants) -> Value:
    scheme = _SCHEME.fullmatch(parameter.place)
    action, below = "", parameter.place
    if scheme is not None:
        action, below = _action(space, int(scheme[1]), values), scheme[2]
    value = constants.get(action, {}).get(below)
    if value is None:
        return parameter.default
    if parameter.kind == "choice":
        return value if value in parameter.choices else parameter.default
    return parameter.at(parameter.coordinate(value))


def _action(space: Space, index: int, values: Mapping[str, Value]) -> str:
    chosen = next((p.name for p in space.parameters if p.place == f"schemes[{index}].action"), None)
    return (
        str(values[chosen])
        if chosen is not None and chosen in values
        else space.base.context.schemes[index].action.value
    )
