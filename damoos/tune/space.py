"""The tunable parameters: a point in [0, 1]^d ↔ values with units ↔ kdamonds, by pure functions.

Values are kept in one unit a kind: time in whole µs, size in whole bytes, share in percent, count as an integer,
choice as the chosen word, number or flag. They lie on a grid that reads well (three digits of a time, whole pages,
hundredths of a percent), so that what a report shows is exactly what ran.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from damoos import units
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import ConfigError

from .outcome import ParameterInfo
from .place import SAMPLE_INTERVAL, SAMPLES_PER_AGGREGATION, Kind, Value, get, order_of, put

Values = Mapping[str, Value]
Point = Sequence[float] | NDArray[np.floating]
"""Coordinates in [0, 1], one a parameter."""
Scale = Literal["linear", "log"]

PAGE = 4096
UNIT_NAMES: dict[Kind, str] = {"time": "us", "size": "bytes", "percent": "percent", "count": "", "choice": ""}
_TIME_DIGITS = 3
_PERCENT_DECIMALS = 2


@dataclass(frozen=True)
class Condition:
    """Holds if the parameter `name` is active and has one of `values`."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """One tunable parameter. `low` ≤ `default` ≤ `high` in the kind's unit, or one of `choices`.

    `place`: where it goes, see `damoos.tune.place`. `since`: first Linux version that has the field ("" is any).
    `step`: only low, low + step, … are meant, on a linear scale, in place of the grid that reads well; high is one of
    them. `when`: the parameter counts only if this holds; otherwise the space's base kdamonds keep their value.
    Raises ConfigError if the numbers don't fit together.
    """

    name: str
    title: str
    place: str
    kind: Kind
    default: Value
    low: float = 0
    high: float = 0
    scale: Scale = "linear"
    choices: tuple[Value, ...] = ()
    since: str = ""
    when: Condition | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "choice":
            if len(self.choices) < 2 or self.default not in self.choices:
                raise ConfigError("not among the choices", field=self.name, value=self.default, allowed=self.range_text)
            return
        if not self.low < self.high:
            raise ConfigError("low must be below high", field=self.name, value=self.range_text)
        if self.scale == "log" and self.low <= 0:
            raise ConfigError("a log scale starts above 0", field=self.name, value=self.text(self.low))
        if self.step is not None:
            self._check_step(self.step)
        assert isinstance(self.default, int | float)
        if not self.low <= self.default <= self.high:
            raise ConfigError("out of range", field=self.name, value=self.text(self.default), allowed=self.range_text)
        if self.snap(self.default) != self.default:
            nearest = self.text(self.snap(self.default))
            raise ConfigError("too fine", field=self.name, value=self.text(self.default), allowed=f"{nearest}, for one")

    def snap(self, value: float) -> float | int:
        """The nearest value of the grid, inside the range."""
        if self.step is not None:
            near: float | int = self.low + round((value - self.low) / self.step) * self.step
        elif self.kind == "time":
            digits = _TIME_DIGITS - 1 - math.floor(math.log10(value)) if value >= 1 else 0
            near = round(round(value), min(digits, 0))
        elif self.kind == "size":
            near = round(value / PAGE) * PAGE
        elif self.kind == "percent":
            near = round(value, _PERCENT_DECIMALS)
        else:
            near = round(value)
        clipped = min(max(near, self.low), self.high)
        return float(clipped) if self.kind == "percent" else int(clipped)

    def at(self, coordinate: float) -> Value:
        """The value at a coordinate of [0, 1]; outside is clipped."""
        u = min(max(float(coordinate), 0.0), 1.0)
        if self.kind == "choice":
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        low, high = self._ends()
        exact = low + u * (high - low)
        return self.snap(math.exp(exact) if self.scale == "log" else exact)

    def coordinate(self, value: Value) -> float:
        """The coordinate in [0, 1] of a value; out of range is clipped. Raises ConfigError for an unknown choice."""
        if self.kind == "choice":
            if value not in self.choices:
                raise ConfigError("not among the choices", field=self.name, value=value, allowed=self.range_text)
            return (self.choices.index(value) + 0.5) / len(self.choices)
        assert isinstance(value, int | float)
        low, high = self._ends()
        inside = min(max(float(value), self.low), self.high)
        return ((math.log(inside) if self.scale == "log" else inside) - low) / (high - low)

    def text(self, value: Value) -> str:
        """The value with its unit, as `damoos.units` reads it back."""
        if self.kind == "time":
            return units.format_time_us(int(value))
        if self.kind == "size":
            return units.format_size_bytes(int(value))
        if self.kind == "percent":
            return units.format_percent(Fraction(repr(value)))
        return units.format_count(int(value)) if self.kind == "count" else str(value)

    @property
    def range_text(self) -> str:
        """The range, or the choices, with units."""
        if self.kind == "choice":
            return ", ".join(self.text(choice) for choice in self.choices)
        return f"{self.text(self.low)} to {self.text(self.high)}"

    def info(self) -> ParameterInfo:
        """The parameter as reports show it."""
        ranged = self.kind != "choice"
        return ParameterInfo(
            name=self.name,
            title=self.title,
            unit=UNIT_NAMES[self.kind],
            scale=self.scale if ranged else "choice",
            low=self.text(self.low) if ranged else "",
            high=self.text(self.high) if ranged else "",
            choices=tuple(self.text(choice) for choice in self.choices),
            default=self.text(self.default),
            where=self.place,
            since=self.since,
        )

    def _check_step(self, step: float) -> None:
        steps = (self.high - self.low) / step if step > 0 else 0.0
        whole = self.kind == "percent" or (step == int(step) and self.low == int(self.low))
        if self.scale == "log" or steps < 1 or abs(steps - round(steps)) > 1e-9 or not whole:
            allowed = "a linear scale, and a step that divides the range"
            raise ConfigError(
                "does not fit its step", field=self.name, value=f"{self.range_text}, {step:g}", allowed=allowed
            )

    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.scale == "log" else (self.low, self.high)


@dataclass(frozen=True)
class Space:
    """Parameters around fixed `base` kdamonds. Raises ConfigError for a parameter whose place or condition is wrong."""

    parameters: tuple[Parameter, ...]
    base: Kdamonds

    def __post_init__(self) -> None:
        known: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in known:
                raise ConfigError("is there twice", field=parameter.name)
            try:
                put(self.base.context, parameter.place, parameter.default)
                self._check_condition(parameter, known)
            except ConfigError as error:
                raise error.at(field=parameter.name) from None
            known[parameter.name] = parameter
        places = {p.place for p in self.parameters}
        if "intervals.aggr_us" in places and places & {SAMPLE_INTERVAL, SAMPLES_PER_AGGREGATION}:
            allowed = f"{SAMPLES_PER_AGGREGATION} instead of intervals.aggr_us"
            raise ConfigError("sampling could get longer than aggregation", field="parameters", allowed=allowed)

    @staticmethod
    def _check_condition(parameter: Parameter, before: Mapping[str, Parameter]) -> None:
        if parameter.when is None:
            return
        other = before.get(parameter.when.name)
        if other is None:
            allowed = ", ".join(before) or "none: it comes first"
            raise ConfigError("no parameter before it", field="when", value=parameter.when.name, allowed=allowed)
        for value in parameter.when.values:
            other.coordinate(value)

    @property
    def dimensions(self) -> int:
        """d of [0, 1]^d: one coordinate a parameter, active or not."""
        return len(self.parameters)

    def active(self, parameter: Parameter, values: Values) -> bool:
        """Whether `parameter` counts, given the values of those before it."""
        return parameter.when is None or values.get(parameter.when.name) in parameter.when.values

    def decode(self, point: Point) -> dict[str, Value]:
        """The values of the active parameters at a point of [0, 1]^d; coordinates outside are clipped."""
        values: dict[str, Value] = {}
        for parameter, coordinate in zip(self.parameters, point, strict=True):
            if self.active(parameter, values):
                values[parameter.name] = parameter.at(coordinate)
        return values

    def encode(self, values: Values) -> NDArray[np.float64]:
        """A point [d] that decodes to `values`; inactive parameters get their default's coordinate."""
        return np.array([p.coordinate(values.get(p.name, p.default)) for p in self.parameters])

    def defaults(self) -> dict[str, Value]:
        """The default of each active parameter."""
        return self.decode([p.coordinate(p.default) for p in self.parameters])

    def kdamonds(self, values: Values) -> Kdamonds:
        """The base with the active parameters set: intervals first, then what is counted in them."""
        context = self.base.context
        for parameter in self._in_order():
            if self.active(parameter, values):
                context = put(context, parameter.place, values[parameter.name])
        return self.base.with_context(context)

    def read(self, kdamonds: Kdamonds) -> dict[str, Value]:
        """The values of the active parameters in `kdamonds`, not snapped to the grid, so that for anything this space
        makes `kdamonds(read(k)) == k`."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            if self.active(parameter, values):
                values[parameter.name] = get(kdamonds.context, parameter.place)
        return values

    def texts(self, values: Values) -> dict[str, str]:
        """The values with their units."""
        return {p.name: p.text(values[p.name]) for p in self.parameters if p.name in values}

    def _in_order(self) -> list[Parameter]:
        sample_first = sorted(self.parameters, key=lambda p: p.place != SAMPLE_INTERVAL)
        return sorted(sample_first, key=lambda p: order_of(p.place))
