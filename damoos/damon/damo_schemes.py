"""Schemes from the tree of a damo file."""

from __future__ import annotations

from typing import Any

from damoos.errors import ConfigError
from damoos.units import U32_MAX, U64_MAX, parse_bool, parse_count, parse_size_bytes, parse_time_ms, parse_time_us

from .access_units import COUNT_UNITS, parse_age, parse_nr_accesses
from .attrs import Intervals
from .damo_fields import Table, basis_points, in_order, permil, table, text, word
from .filters import CORE_FILTER_TYPES, OPS_FILTER_TYPES, Filter
from .quotas import (
    GOAL_METRICS,
    GOAL_TUNERS,
    MEMCG_METRICS,
    NODE_METRICS,
    WATERMARK_METRICS,
    Dest,
    QuotaGoal,
    Quotas,
    Watermarks,
    Weights,
)
from .schemes import ANYTHING, AccessPattern, Action, Range, Scheme

_S32_MIN, _S32_MAX = -(2**31), 2**31 - 1
_STATS = ("nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots")
_TYPE_FIELDS = {
    "memcg": "memcg_path",
    "addr": "address_range",
    "target": "damon_target_idx",
    "hugepage_size": "hugepage_size",
}


def read_scheme(tree: Any, path: str, intervals: Intervals) -> Scheme:
    """One scheme; percent and times of its access pattern are converted with `intervals`. Raises InputError."""
    entry = table(
        tree,
        path,
        (),
        ("action", "target_nid", "dests", "access_pattern", "apply_interval_us", "quotas", "watermarks", "filters")
        + ("stats",),
    )
    filters = [_filter(item, where) for item, where in entry.items("filters")]
    stats = entry.table("stats", (), (*_STATS, "max_nr_snapshots")) if entry.has("stats") else Table({}, "")
    return Scheme(
        action=Action(entry.read_or("action", Action.STAT.value, word([action.value for action in Action]))),
        access_pattern=_access_pattern(entry, intervals) if entry.has("access_pattern") else ANYTHING,
        apply_interval_us=entry.read_or("apply_interval_us", 0, parse_time_us),
        target_nid=entry.read_or("target_nid", -1, parse_count, minimum=_S32_MIN, maximum=_S32_MAX),
        dests=tuple(_dest(item, where) for item, where in entry.items("dests")),
        quotas=_quotas(entry) if entry.has("quotas") else Quotas(),
        watermarks=_watermarks(entry) if entry.has("watermarks") else Watermarks(),
        core_filters=tuple(filter_ for filter_ in filters if filter_.type in CORE_FILTER_TYPES),
        ops_filters=tuple(filter_ for filter_ in filters if filter_.type in OPS_FILTER_TYPES),
        max_nr_snapshots=stats.read_or("max_nr_snapshots", 0, parse_count),
    )


def _access_pattern(scheme: Table, intervals: Intervals) -> AccessPattern:
    entry = scheme.table("access_pattern", ("sz_bytes", "nr_accesses", "age"))

    def samples(value: object, *, field: str) -> int:
        return parse_nr_accesses(value, intervals, field=field)

    def aggregations(value: object, *, field: str) -> int:
        return parse_age(value, intervals, field=field)

    ranges = []
    for key, parse in (("sz_bytes", parse_size_bytes), ("nr_accesses", samples), ("age", aggregations)):
        bounds = entry.table(key, ("min", "max"))
        units = {_unit(bound) for bound in bounds.values.values()} - {None}
        if len(units) > 1:
            raise ConfigError("min and max have different units", field=bounds.path, value=bounds.values)
        low, high = bounds.read("min", parse), bounds.read("max", parse)
        in_order(low, high, bounds.path)
        ranges.append(Range(low, high))
    return AccessPattern(*ranges)


def _unit(bound: object) -> str | None:
    if bound in ("min", "max"):
        return None
    return next((unit for unit in COUNT_UNITS if str(bound).endswith(unit)), "")


def _quotas(scheme: Table) -> Quotas:
    entry = scheme.table(
        "quotas",
        ("time_ms", "sz_bytes", "reset_interval_ms", "weights"),
        ("goals", "goal_tuner", "fail_charge_num", "fail_charge_denom", "effective_sz_bytes"),
    )
    weights = entry.table("weights", ("sz_permil", "nr_accesses_permil", "age_permil"))
    return Quotas(
        weights=Weights(
            sz_permil=weights.read("sz_permil", permil),
            nr_accesses_permil=weights.read("nr_accesses_permil", permil),
            age_permil=weights.read("age_permil", permil),
        ),
        ms=entry.read("time_ms", parse_time_ms),
        bytes=entry.read("sz_bytes", parse_size_bytes),
        reset_interval_ms=entry.read("reset_interval_ms", parse_time_ms),
        goals=tuple(_goal(item, where) for item, where in entry.items("goals")),
        goal_tuner=entry.read_or("goal_tuner", Quotas().goal_tuner, word(GOAL_TUNERS)),
        fail_charge_num=entry.read_or("fail_charge_num", 0, parse_count, maximum=U32_MAX),
        fail_charge_denom=entry.read_or("fail_charge_denom", 0, parse_count, maximum=U32_MAX),
    )


def _goal(tree: Any, path: str) -> QuotaGoal:
    entry = table(tree, path, ("metric", "target_value", "current_value"), ("nid", "memcg_path", "complement"))
    metric = entry.read("metric", word(GOAL_METRICS))
    if metric in NODE_METRICS:
        entry.need("nid", f"{metric} is of one node")
    if metric in MEMCG_METRICS:
        entry.need("memcg_path", f"{metric} is of one cgroup")
    entry.refuse("complement", False, "not in Linux 7.3")
    if metric == "some_mem_psi_us":
        target = entry.read("target_value", parse_time_us)
    elif metric.endswith("_bp") and metric != "node_eligible_mem_bp":
        target = entry.read("target_value", basis_points)
    else:
        target = entry.read("target_value", parse_count)
    return QuotaGoal(
        target_metric=metric,
        target_value=target,
        current_value=entry.read("current_value", parse_count),
        nid=entry.read_or("nid", 0, parse_count, minimum=_S32_MIN, maximum=_S32_MAX),
        path=entry.read_or("memcg_path", "", text),
    )


def _watermarks(scheme: Table) -> Watermarks:
    entry = scheme.table("watermarks", ("metric", "interval_us", "high_permil", "mid_permil", "low_permil"))
    return Watermarks(
        metric=entry.read("metric", word(WATERMARK_METRICS)),
        high=entry.read("high_permil", permil, maximum=U64_MAX),
        mid=entry.read("mid_permil", permil, maximum=U64_MAX),
        low=entry.read("low_permil", permil, maximum=U64_MAX),
        interval_us=entry.read("interval_us", parse_time_us),
    )


def _dest(tree: Any, path: str) -> Dest:
    entry = table(tree, path, ("id", "weight"))
    return Dest(entry.read("id", parse_count, maximum=U32_MAX), entry.read("weight", parse_count, maximum=U32_MAX))


def _filter(tree: Any, path: str) -> Filter:
    entry = table(
        tree,
        path,
        ("filter_type", "matching"),
        ("allow", "memcg_path", "address_range", "damon_target_idx", "hugepage_size", "probe_hits_wsum_range"),
    )
    kind = entry.read("filter_type", word(CORE_FILTER_TYPES + OPS_FILTER_TYPES))
    if kind in _TYPE_FIELDS:
        entry.need(_TYPE_FIELDS[kind], f"it says which {kind}")
    entry.refuse("probe_hits_wsum_range", None, "not in Linux 7.3")
    start, end = entry.read_or("address_range", (0, 0), _address_range)
    low, high = entry.read_or("hugepage_size", (0, 0), _size_range)
    if kind == "addr":
        in_order(start, end, f"{path}.address_range")
    if kind == "hugepage_size":
        in_order(low, high, f"{path}.hugepage_size")
    return Filter(
        type=kind,
        matching=entry.read("matching", parse_bool),
        allow=entry.read_or("allow", False, parse_bool),
        memcg_path=entry.read_or("memcg_path", "", text),
        addr_start=start,
        addr_end=end,
        min=low,
        max=high,
        damon_target_idx=entry.read_or("damon_target_idx", 0, parse_count, minimum=_S32_MIN, maximum=_S32_MAX),
    )


def _address_range(tree: Any, *, field: str) -> tuple[int, int]:
    entry = table(tree, field, ("start", "end"))
    return entry.read("start", parse_size_bytes), entry.read("end", parse_size_bytes)


def _size_range(value: Any, *, field: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError("not a pair", field=field, value=value, allowed="[min, max]")
    low, high = (parse_size_bytes(bound, field=f"{field}[{i}]") for i, bound in enumerate(value))
    return low, high
