"""Parameters as DAMOOS 2021 saw them: plain numbers on a linear scale, whatever the space says of their scale."""

from __future__ import annotations

from collections.abc import Mapping

from ..space import Parameter, Space, Value

AGE = "access_pattern.age.min"
SIZE = "access_pattern.sz.min"

_UNITS: dict[str, float] = {"time": 1e6, "size": 1024.0}


def at_share(parameter: Parameter, share: float) -> Value:
    """The value at that share (0 to 1) of the range's length."""
    return parameter.snap(parameter.low + min(max(share, 0.0), 1.0) * (parameter.high - parameter.low))


def share_of(parameter: Parameter, value: Value) -> float:
    """The share of the range's length at which the value is."""
    assert isinstance(value, int | float)
    return (value - parameter.low) / (parameter.high - parameter.low)


def in_units(parameter: Parameter, share: float) -> float:
    """The number that a person writes: seconds, KiB, percent or a count."""
    return (parameter.low + share * (parameter.high - parameter.low)) / _UNITS.get(parameter.kind, 1.0)


def the_one(space: Space) -> Parameter:
    """The parameter that is tuned where only one is: the age above which a scheme acts, else the first."""
    return next((p for p in space.parameters if p.place.endswith(AGE)), space.parameters[0])


def is_line(space: Space, parameter: Parameter, values: Mapping[str, Value]) -> bool:
    """Whether all the other parameters have their defaults."""
    defaults = space.defaults()
    return all(values.get(name) == value for name, value in defaults.items() if name != parameter.name)


def replaced(space: Space, parameter: Parameter, value: Value) -> dict[str, Value]:
    """The defaults with that one value."""
    return space.defaults() | {parameter.name: value}
