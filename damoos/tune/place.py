"""Where a parameter goes in the kdamonds, and in which unit the kernel wants it there.

A place is a path below the only context, such as `schemes[0].access_pattern.age.min`, or `samples_per_aggregation`,
which sets the aggregation interval to that many sampling intervals (so that sampling never exceeds aggregation).

People's quantities (time in µs, size in bytes, share in percent, count) become what the field holds. Age bounds are
counts of aggregation intervals and nr_accesses bounds counts of samples (Linux: struct damos_access_pattern), so they
depend on the intervals: lower bounds are rounded up and upper bounds down, which keeps what is matched inside what was
asked for.
"""

from __future__ import annotations

import dataclasses
import math
import re
from enum import Enum
from fractions import Fraction
from typing import Any, Literal, get_args, get_type_hints

from damoos.damon.attrs import Intervals
from damoos.damon.kdamonds import Context
from damoos.damon.schemes import ANYTHING, Scheme
from damoos.errors import ConfigError
from damoos.units import U32_MAX

Value = float | int | str | bool
Kind = Literal["time", "size", "percent", "count", "choice"]

SAMPLES_PER_AGGREGATION = "samples_per_aggregation"
SAMPLE_INTERVAL = "intervals.sample_us"

_MOST = 64
"""Entries of a list that a place may ask for."""
_STEP = re.compile(r"([a-z_]+)((?:\[\d+\])*)")
# Last words of a path, the quantity, how many of the kernel's units one of ours is.
_SCALES: tuple[tuple[str, Kind, Fraction], ...] = (
    ("_us", "time", Fraction(1)),
    ("_ms", "time", Fraction(1, 1000)),
    ("quotas.ms", "time", Fraction(1, 1000)),
    ("quotas.bytes", "size", Fraction(1)),
    ("sz.min", "size", Fraction(1)),
    ("sz.max", "size", Fraction(1)),
    ("_bp", "percent", Fraction(100)),
    ("_permil", "percent", Fraction(10)),
)


def kind_of(place: str) -> Kind:
    """The quantity that a number at `place` is, by the path alone; "count" is a number without a unit."""
    if place == SAMPLES_PER_AGGREGATION:
        return "count"
    if re.search(r"\bage\.(min|max)$", place):
        return "time"
    if re.search(r"\bnr_accesses\.(min|max)$", place):
        return "percent"
    for ending, kind, _ in _SCALES:
        if place.endswith(ending):
            return kind
    return "count"


def order_of(place: str) -> int:
    """Rank by which places must be set: intervals before what is counted in them."""
    if place == SAMPLES_PER_AGGREGATION:
        return 1
    return 0 if place.startswith("intervals.") else 2


def put(context: Context, place: str, value: Value) -> Context:
    """The context with `value` at `place`. Raises ConfigError if there is no such place."""
    if place == SAMPLES_PER_AGGREGATION:
        return _replaced(context, _steps("intervals.aggr_us"), context.intervals.sample_us * int(value), place)
    return _replaced(context, _steps(place), _to_kernel(context.intervals, place, value), place)


def grown(context: Context, place: str) -> Context:
    """The context with as many schemes, goals, filters and the like, with defaults, as the indices of `place` need.

    A new scheme matches every region, since the kernel's default pattern matches none. Raises ConfigError where there
    is no such list.
    """
    return _grown(context, _steps(place) if place != SAMPLES_PER_AGGREGATION else [], place)


def get(context: Context, place: str) -> Value:
    """What is at `place`, in the unit that `put` takes. Raises ConfigError if there is no such place."""
    if place == SAMPLES_PER_AGGREGATION:
        return _samples(context.intervals)
    node: Any = context
    for name in _steps(place):
        node = _child(node, name, place)
    return _from_kernel(context.intervals, place, node)


def _samples(intervals: Intervals) -> int:
    return max(intervals.aggr_us // max(intervals.sample_us, 1), 1)


def _factor(intervals: Intervals, place: str) -> Fraction:
    if re.search(r"\bage\.(min|max)$", place):
        return Fraction(1, max(intervals.aggr_us, 1))
    if re.search(r"\bnr_accesses\.(min|max)$", place):
        return Fraction(_samples(intervals), 100)
    return next((factor for ending, _, factor in _SCALES if place.endswith(ending)), Fraction(1))


def _to_kernel(intervals: Intervals, place: str, value: Value) -> Value:
    if isinstance(value, str | bool):
        return value
    # Through the shortest decimal, so that 3.7 % means 37/1000 and not the nearest binary fraction.
    exact = Fraction(repr(value)) * _factor(intervals, place)
    if place.endswith(".min"):
        whole = math.ceil(exact)
    elif place.endswith(".max"):
        whole = math.floor(exact)
    else:
        # 0 switches a limit off, so what is small must not become 0.
        whole = max(round(exact), 1) if exact > 0 else 0
    counted = re.search(r"\b(age|nr_accesses)\.(min|max)$", place)
    return min(whole, U32_MAX) if counted else whole


def _from_kernel(intervals: Intervals, place: str, value: Any) -> Value:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str | bool):
        return value
    exact = value / _factor(intervals, place)
    if kind_of(place) != "percent":
        return int(exact)
    near = float(exact)
    # A binary fraction on the wrong side of the exact one would be rounded to the neighbouring count.
    if place.endswith(".max") and Fraction(repr(near)) < exact:
        return math.nextafter(near, math.inf)
    if place.endswith(".min") and Fraction(repr(near)) > exact:
        return math.nextafter(near, -math.inf)
    return near


def _steps(place: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in place.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise ConfigError("not a path", value=place, allowed="words and indices such as schemes[0].action")
        steps += [match[1], *(int(index) for index in re.findall(r"\d+", match[2]))]
    return steps


def _child(node: Any, step: str | int, place: str) -> Any:
    if isinstance(step, int):
        if isinstance(node, tuple) and step < len(node):
            return node[step]
        raise ConfigError("no such place", value=place, allowed=f"an index below {len(node)}")
    fields = [f.name for f in dataclasses.fields(node)] if dataclasses.is_dataclass(node) else []
    if step not in fields:
        raise ConfigError("no such place", value=place, allowed=", ".join(fields) or "nothing below that")
    return getattr(node, step)


def _grown(node: Any, steps: list[str | int], place: str) -> Any:
    if not steps:
        return node
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        child = _grown(_child(node, step, place), rest, place)
        return (*node[:step], child, *node[step + 1 :])
    child = _child(node, step, place)
    if rest and isinstance(rest[0], int) and isinstance(child, tuple):
        if rest[0] >= _MOST:
            raise ConfigError("no such place", value=place, allowed=f"an index below {_MOST}")
        (kind, *_) = get_args(get_type_hints(type(node))[step])
        new = Scheme(access_pattern=ANYTHING) if kind is Scheme else kind()
        child += (new,) * (rest[0] + 1 - len(child))
    return dataclasses.replace(node, **{step: _grown(child, rest, place)})


def _replaced(node: Any, steps: list[str | int], value: Value, place: str) -> Any:
    if not steps:
        if dataclasses.is_dataclass(node) or isinstance(node, tuple):
            raise ConfigError("not a single value", value=place)
        if isinstance(node, Enum):
            return _word(node, value, place)
        if node is not None and type(node) is not type(value):
            raise ConfigError("wrong kind of value", field=place, value=value, allowed=f"one like {node!r}")
        return value
    step, rest = steps[0], steps[1:]
    child = _replaced(_child(node, step, place), rest, value, place)
    if isinstance(step, int):
        return (*node[:step], child, *node[step + 1 :])
    return dataclasses.replace(node, **{step: child})


def _word(old: Enum, value: Value, place: str) -> Enum:
    try:
        return type(old)(value)
    except ValueError:
        allowed = ", ".join(str(word.value) for word in type(old))
        raise ConfigError("unknown word", field=place, value=value, allowed=allowed) from None
