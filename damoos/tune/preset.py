"""Env presets, `envs/*.toml`: which parameters are tuned around which fixed kdamonds, and for which objective.

    title = "…"
    description = "…"

    [base]                                      # place = value; schemes start matching every region; goals[0] and such
                                                # make the entries that they name
    "schemes[0].action" = "pageout"

    [parameters.min_age]                        # in the order in which they are shown
    title = "…"
    place = "schemes[0].access_pattern.age.min" # see damoos.tune.place
    low = "100 ms"
    high = "60 s"
    default = "5 s"
    scale = "log"                               # or "linear"; instead of low, high and scale: choices = […]
    since = "6.15"                              # optional: the first Linux version that has the field
    when = { other = ["a", "b"] }               # optional: counts only if `other` has one of these values

    [objective]                                 # optional
    kind = "damoos"                             # or "metric:NAME", "pareto:NAME,NAME"
    weight = 0.5
    max_runtime_overhead = "10 %"
    constraints = ["kdamond-cpu <= 1"]          # of damoos.tune.metrics, in their units

`extends = "NAME"` lays the file over another one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from damoos import units
from damoos.backend.feed import Feed
from damoos.catalogue import check_keys, find, line_of, read_extended
from damoos.damon.features import kernel_version
from damoos.damon.kdamonds import Context, Kdamonds
from damoos.errors import ConfigError, InputError

from .metrics import parse_constraint
from .objective import DEFAULT_LIMIT_PERCENT, DEFAULT_WEIGHT, Objective, parse_objective
from .outcome import EnvInfo
from .place import Kind, Value, get, grown, kind_of, order_of, put
from .space import Condition, Parameter, Space
from .steering import Steering

_FILE_KEYS = ("title", "description", "base", "parameters", "objective", "feed", "extends")
_PARAMETER_KEYS = ("title", "place", "low", "high", "default", "scale", "choices", "since", "when")
_FEED_KEYS = ("signal", "every", "scheme", "goal")
_OBJECTIVE_KEYS = ("kind", "weight", "max_runtime_overhead", "constraints")


@dataclass(frozen=True)
class Env:
    """A preset: a space of parameters and an objective. `sha256` is of its content, what it extends included.
    `steering`: of a strategy that steers the runs; no preset has one by itself."""

    name: str
    title: str
    description: str
    path: str
    sha256: str
    space: Space
    objective: Objective = field(default_factory=Objective)
    feed: Feed | None = None
    steering: Steering | None = None

    def info(self) -> EnvInfo:
        """The preset as reports show it."""
        return EnvInfo(self.name, self.title, self.path, self.sha256, tuple(p.info() for p in self.space.parameters))


def load_env(name_or_path: str | Path) -> Env:
    """The preset of that catalogue name or file. Raises ConfigError with file, line, field, value, what is allowed."""
    path = find("envs", name_or_path)
    table = read_extended("envs", path)
    check_keys(table, _FILE_KEYS, path)
    try:
        base = _base(_table(table, "base"))
        entries = _tables(table, "parameters").items()
        parameters = tuple(_parameter(path, base.context, name, entry) for name, entry in entries)
        if not parameters:
            raise ConfigError("has no parameters", field="parameters", allowed="one table [parameters.NAME] each")
        return Env(
            name=path.stem,
            title=_text(table, "title"),
            description=" ".join(_text(table, "description").split()),
            path=str(name_or_path),
            sha256=hashlib.sha256(repr(sorted(table.items())).encode()).hexdigest(),
            space=_space(parameters, base),
            objective=_objective(path, _table(table, "objective")),
            feed=_feed(path, _table(table, "feed"), base) if "feed" in table else None,
        )
    except InputError as error:
        raise error.at(file=path, line=_line(path, error.field)) from None


def _line(path: Path, where: str | None) -> int | None:
    # The innermost key of a field such as parameters.min_age.low that the file has; its table else.
    if not where:
        return None
    table, _, key = where.rpartition(".")
    return line_of(path, key, table or None) or _line(path, table)


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigError("not a table", field=key, value=found)
    return found


def _tables(table: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    found = _table(table, key)
    for name, entry in found.items():
        if not isinstance(entry, dict):
            raise ConfigError("not a table", field=f"{key}.{name}", value=entry)
    return found


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError("missing" if value is None else "not a text", field=key, value=value, allowed="a text")
    return value


def _parameter(path: Path, base: Context, name: str, entry: dict[str, Any]) -> Parameter:
    where = f"parameters.{name}"
    check_keys(entry, _PARAMETER_KEYS, path, where)
    try:
        place = _text(entry, "place")
        get(base, place)
        kind: Kind = "choice" if "choices" in entry else kind_of(place)
        needed = ("choices", "default") if kind == "choice" else ("low", "high", "default")
        for key in needed:
            if key not in entry:
                raise ConfigError("missing", field=key)
        if kind == "choice" and {"low", "high", "scale"} & set(entry):
            raise ConfigError("choices have no range", field="choices", allowed="choices, or low, high and scale")
        if kind == "choice" and not isinstance(entry["choices"], list):
            raise ConfigError("not a list", field="choices", value=entry["choices"])
        scale = entry.get("scale", "linear")
        if scale not in ("linear", "log"):
            raise ConfigError("unknown scale", field="scale", value=scale, allowed="linear, log")
        return Parameter(
            name=name,
            title=_text(entry, "title"),
            place=place,
            kind=kind,
            default=_quantity(kind, entry["default"], "default"),
            low=0 if kind == "choice" else float(_quantity(kind, entry["low"], "low")),
            high=0 if kind == "choice" else float(_quantity(kind, entry["high"], "high")),
            scale=scale,
            choices=tuple(entry.get("choices", ())),
            since=_since(entry.get("since", "")),
            when=_condition(entry.get("when")),
        )
    except InputError as error:
        named = error.field is not None and error.field != name
        raise type(error)(
            error.problem, field=f"{where}.{error.field}" if named else where, value=error.value, allowed=error.allowed
        ) from None


def _since(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError("not a text", field="since", value=value, allowed='a version such as "6.15"')
    if value:
        try:
            kernel_version(value)
        except InputError as error:
            raise ConfigError(error.problem, field="since", value=value, allowed=error.allowed) from None
    return value


def _condition(table: Any) -> Condition | None:
    if table is None:
        return None
    if not isinstance(table, dict) or len(table) != 1 or not all(isinstance(v, list) for v in table.values()):
        raise ConfigError("not a condition", field="when", value=table, allowed="{ PARAMETER = [VALUE, …] }")
    ((name, values),) = table.items()
    return Condition(name, tuple(values))


def _quantity(kind: Kind, value: Any, where: str) -> Value:
    if kind == "time":
        return units.parse_time_us(value, field=where)
    if kind == "size":
        return units.parse_size_bytes(value, field=where)
    if kind == "percent":
        return float(units.parse_percent(value, field=where))
    if kind == "count":
        return units.parse_count(value, field=where)
    if not isinstance(value, str | int | float | bool):
        raise ConfigError("not a word, number or flag", field=where, value=value)
    return value


def _feed(path: Path, table: dict[str, Any], base: Kdamonds) -> Feed:
    check_keys(table, _FEED_KEYS, path, "feed")
    try:
        scheme, goal = (units.parse_count(table.get(key, 0), field=key) for key in ("scheme", "goal"))
        every_us = units.parse_time_us(table.get("every", "1 s"), field="every")
        feed = Feed(_text(table, "signal"), every_us / 1e6, scheme, goal)
    except InputError as error:
        raise ConfigError(
            error.problem, field=f"feed.{error.field}", value=error.value, allowed=error.allowed
        ) from None
    if feed.goal_of(base) is None:
        raise ConfigError("no goal of metric user_input there", field="feed", allowed="one in [base]")
    return feed


def _space(parameters: tuple[Parameter, ...], base: Kdamonds) -> Space:
    try:
        return Space(parameters, base)
    except ConfigError as error:
        if error.field == "parameters":
            raise
        raise error.at(field="parameters") from None


def _base(table: dict[str, Any]) -> Kdamonds:
    context = Kdamonds.of().context
    for place in sorted(table, key=order_of):
        try:
            value = table[place]
            context = grown(context, place)
            kind: Kind = "choice" if isinstance(value, bool) or _is_word(place, value) else kind_of(place)
            context = put(context, place, _quantity(kind, value, place))
        except InputError as error:
            raise ConfigError(error.problem, field="base", value={place: table[place]}, allowed=error.allowed) from None
    return Kdamonds.of().with_context(context)


def _is_word(place: str, value: Any) -> bool:
    return isinstance(value, str) and kind_of(place) == "count" and not re.match(r"[\d,]+$|min$|max$", value)


def _objective(path: Path, table: dict[str, Any]) -> Objective:
    check_keys(table, _OBJECTIVE_KEYS, path, "objective")
    kind, weight = table.get("kind", "damoos"), table.get("weight", DEFAULT_WEIGHT)
    if not isinstance(kind, str):
        raise ConfigError("not a text", field="objective.kind", value=kind)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ConfigError("not a number", field="objective.weight", value=weight, allowed="0 to 1")
    limit = table.get("max_runtime_overhead", f"{DEFAULT_LIMIT_PERCENT:g} %")
    percent = units.parse_percent(limit, field="objective.max_runtime_overhead")
    constraints = table.get("constraints", [])
    if not isinstance(constraints, list) or not all(isinstance(text, str) for text in constraints):
        raise ConfigError(
            "not a list of texts", field="objective.constraints", value=constraints, allowed='["NAME <= NUMBER"]'
        )
    return parse_objective(kind, float(weight), float(percent), tuple(parse_constraint(text) for text in constraints))
