"""The `damon` block of a recording: the parameters that were written, everything else being the kernel's default.

    {"operations": "vaddr", "intervals_us": {"sample": 5000, "aggr": 100000, "update": 60000000},
     "nr_regions": [10, 1000], "schemes": [{"action": "pageout", "access_pattern": {"sz": [4096, MAX], ...}}]}

Below a scheme the names are those of `damoos.damon`, ranges are `[min, max]`, weights have no `_permil` and both filter
lists of a scheme are one list `filters`.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.filters import CORE_FILTER_TYPES, Filter
from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.quotas import Weights
from damoos.damon.schemes import Range, Scheme
from damoos.errors import ConfigError

_OWN_KEYS = ("operations", "intervals_us", "intervals_goal", "nr_regions", "schemes", "refresh_ms")
_UNITS_DROPPED: dict[type, str] = {Weights: "_permil"}


def damon_block(kdamonds: Kdamonds) -> dict[str, Any]:
    """The `damon` block that says what `kdamonds` asks for; targets are left out: the workload is the target.

    Raises KdamondsError unless `kdamonds` has exactly one context, all that a recording has room for.
    """
    context = kdamonds.context
    intervals = context.intervals
    block: dict[str, Any] = {
        "operations": context.ops,
        "intervals_us": {
            "sample": intervals.sample_us,
            "aggr": intervals.aggr_us,
            "update": intervals.ops_update_us,
        },
        "nr_regions": [context.nr_regions.min, context.nr_regions.max],
        "schemes": [_scheme_block(scheme) for scheme in context.schemes],
    }
    if intervals.intervals_goal != IntervalsGoal():
        block["intervals_goal"] = dataclasses.asdict(intervals.intervals_goal)
    (kdamond,) = (kdamond for kdamond in kdamonds.kdamonds if kdamond.contexts)
    if kdamond.refresh_ms:
        block["refresh_ms"] = kdamond.refresh_ms
    for name in _other_context_fields():
        if getattr(context, name) != getattr(Context(), name):
            block[name] = _plain(getattr(context, name))
    return block


def kdamonds_of(block: dict[str, Any], *, file: str | None = None) -> Kdamonds:
    """The kdamonds of a recording's `damon` block. Raises ConfigError with `file` and field for what can't be read."""
    try:
        return Kdamonds((Kdamond((_context(block),), refresh_ms=block.get("refresh_ms", 0)),))
    except ConfigError as error:
        raise error.at(file=file, field="damon") from None


def _context(block: dict[str, Any]) -> Context:
    others = _other_context_fields()
    _refuse_unknown(block, (*_OWN_KEYS, *others))
    us = block.get("intervals_us", {})
    _refuse_unknown(us, ("sample", "aggr", "update"), "intervals_us")
    default = Intervals()
    hints = get_type_hints(Context)
    return Context(
        ops=block.get("operations", "vaddr"),
        intervals=Intervals(
            sample_us=us.get("sample", default.sample_us),
            aggr_us=us.get("aggr", default.aggr_us),
            ops_update_us=us.get("update", default.ops_update_us),
            intervals_goal=_value(IntervalsGoal, block.get("intervals_goal", {}), "intervals_goal"),
        ),
        nr_regions=NrRegions(*block.get("nr_regions", dataclasses.astuple(NrRegions()))),
        schemes=tuple(_scheme(tree, f"schemes[{i}]") for i, tree in enumerate(block.get("schemes", ()))),
        **{name: _value(hints[name], block[name], name) for name in others if name in block},
    )


def _other_context_fields() -> tuple[str, ...]:
    handled = {"ops", "intervals", "nr_regions", "schemes", "targets"}
    return tuple(f.name for f in dataclasses.fields(Context) if f.name not in handled)


def _scheme_block(scheme: Scheme) -> dict[str, Any]:
    block = {"action": scheme.action.value, "access_pattern": _plain(scheme.access_pattern, keep_defaults=True)}
    block |= {k: v for k, v in _plain(scheme).items() if k not in (*block, "core_filters", "ops_filters")}
    filters = [_plain(f) | {"type": f.type} for f in (*scheme.core_filters, *scheme.ops_filters)]
    return block | ({"filters": filters} if filters else {})


def _scheme(tree: dict[str, Any], where: str) -> Scheme:
    filters = [_value(Filter, f, f"{where}.filters[{i}]") for i, f in enumerate(tree.get("filters", ()))]
    scheme: Scheme = _value(Scheme, {k: v for k, v in tree.items() if k != "filters"}, where)
    return dataclasses.replace(
        scheme,
        core_filters=tuple(f for f in filters if f.type in CORE_FILTER_TYPES),
        ops_filters=tuple(f for f in filters if f.type not in CORE_FILTER_TYPES),
    )


def _plain(value: Any, *, keep_defaults: bool = False) -> Any:
    if isinstance(value, Range):
        return [value.min, value.max]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool):
        return "Y" if value else "N"
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    kind: type = type(value)
    default = kind()
    suffix = _UNITS_DROPPED.get(kind, "")
    return {
        f.name.removesuffix(suffix): _plain(getattr(value, f.name), keep_defaults=keep_defaults)
        for f in dataclasses.fields(value)
        if keep_defaults or getattr(value, f.name) != getattr(default, f.name)
    }


def _value(kind: Any, tree: Any, where: str) -> Any:
    if kind is Range:
        return Range(*tree)
    if kind is bool:
        return tree == "Y"
    if isinstance(kind, type) and issubclass(kind, Enum):
        allowed = [member.value for member in kind]
        if tree not in allowed:
            raise ConfigError("unknown value", field=where, value=tree, allowed=", ".join(allowed))
        return kind(tree)
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(tree))
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        if type(tree) is not kind:
            raise ConfigError(f"not {kind.__name__}", field=where, value=tree)
        return tree
    hints = get_type_hints(kind)
    suffix = _UNITS_DROPPED.get(kind, "")
    names = {f.name.removesuffix(suffix): f.name for f in dataclasses.fields(kind)}
    _refuse_unknown(tree, tuple(names), where)
    return kind(**{names[key]: _value(hints[names[key]], item, f"{where}.{key}") for key, item in tree.items()})


def _refuse_unknown(tree: dict[str, Any], allowed: tuple[str, ...], where: str | None = None) -> None:
    for key in tree:
        if key not in allowed:
            field = f"{where}.{key}" if where else key
            raise ConfigError("unknown key of a recording's damon block", field=field, allowed=", ".join(allowed))
