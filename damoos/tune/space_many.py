"""Many points of a space decoded at once, to what `Space.decode` makes of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .space import PAGE, Parameter, Space, Value

Floats = NDArray[np.float64]

_CLOSE = 1e-6
"""Of what is that close to where rounding turns, `Parameter.at` decides: exponentials differ in their last bits."""


def decode_many(space: Space, points: Floats) -> Floats:
    """The values, float64 [n, d], at points [n, d] of [0, 1]^d, in the units of `damoos.tune.space`.

    A choice is its number among the choices; a parameter that is not active is NaN. Coordinates outside are clipped.
    """
    return Decoder(space, np.zeros(space.dimensions), range(space.dimensions))(points)


class Decoder:
    """`decode_many` of points that differ from `point` [d] in the coordinates `columns` only, which are all that is
    worked out anew each time."""

    def __init__(self, space: Space, point: Floats, columns: Sequence[int]) -> None:
        at = np.clip(np.asarray(point, np.float64), 0.0, 1.0)
        self._row = np.array([_at(p, at[i : i + 1])[0] for i, p in enumerate(space.parameters)])
        self._varying = [(i, space.parameters[i]) for i in columns]
        column = {parameter.name: i for i, parameter in enumerate(space.parameters)}
        self._conditions = []
        for i, parameter in enumerate(space.parameters):
            if parameter.when is not None:
                other = column[parameter.when.name]
                wanted = [_number(space.parameters[other], value) for value in parameter.when.values]
                self._conditions.append((i, other, wanted))

    def __call__(self, coordinates: Floats) -> Floats:
        """The values, float64 [n, d], at the points with `coordinates` [n, len(columns)]."""
        coordinates = np.clip(np.asarray(coordinates, np.float64), 0.0, 1.0)
        values = np.empty((len(coordinates), self._row.size))
        values[:] = self._row
        for (i, parameter), u in zip(self._varying, coordinates.T, strict=True):
            values[:, i] = _at(parameter, u)
        for i, other, wanted in self._conditions:
            values[~np.isin(values[:, other], wanted), i] = np.nan
        return values


def values_of(space: Space, row: Floats) -> dict[str, Value]:
    """The values that a row of `decode_many` stands for, as `Space.decode` gives them."""
    numbers = zip(space.parameters, row.tolist(), strict=True)
    return {parameter.name: _value(parameter, number) for parameter, number in numbers if not math.isnan(number)}


def _value(parameter: Parameter, number: float) -> Value:
    if parameter.kind == "choice":
        return parameter.choices[int(number)]
    return number if parameter.kind == "percent" else int(number)


def _number(parameter: Parameter, value: Value) -> float:
    return float(parameter.choices.index(value) if parameter.kind == "choice" else value)


def _at(parameter: Parameter, u: Floats) -> Floats:
    if parameter.kind == "choice":
        count = len(parameter.choices)
        return np.minimum(np.floor(u * count), count - 1.0)
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "log":
        low, high = math.log(low), math.log(high)
        exact = np.exp(low + u * (high - low))
    else:
        exact = low + u * (high - low)
    near, turning = _snapped(parameter, exact)
    values = np.clip(near, parameter.low, parameter.high)
    for i in np.flatnonzero(turning):
        values[i] = parameter.at(float(u[i]))
    return values


def _snapped(parameter: Parameter, exact: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """As `Parameter.snap`; and whether the last bits of `exact` may decide."""
    if parameter.step is not None:
        steps = (exact - parameter.low) / parameter.step
        return parameter.low + np.rint(steps) * parameter.step, _turns(steps)
    if parameter.kind == "percent":
        return np.rint(exact * 100.0) / 100.0, _turns(exact * 100.0)
    if parameter.kind == "size":
        return np.rint(exact / PAGE) * PAGE, _turns(exact / PAGE)
    if parameter.kind != "time":
        return np.rint(exact), _turns(exact)
    size = np.log10(np.maximum(exact, 1.0))
    unit = 10.0 ** np.maximum(np.floor(size) - 2.0, 0.0)
    return np.rint(np.rint(exact) / unit) * unit, _turns(exact) | _turns(size + 0.5)


def _turns(x: Floats) -> NDArray[np.bool_]:
    return np.abs(x - np.floor(x) - 0.5) < _CLOSE
