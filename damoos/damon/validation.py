"""What the kernel would refuse.

As of Linux 7.3: the limits of the sysfs files (unsigned 64 bit unless narrower), and the combinations that starting or
committing a kdamond answers with -EINVAL or, inside schemes, -ENOMEM. What depends on the machine is left to it:
whether a process, a cgroup or a node exists, and whether an exclusive user of DAMON runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from damoos.errors import KdamondsError
from damoos.units import U32_MAX, U64_MAX

from .access_units import samples_per_aggregation
from .attrs import Intervals, IntervalsGoal, NrRegions
from .filters import CORE_FILTER_TYPES, OPS_FILTER_TYPES, PROBE_FILTER_TYPES, Filter, Probe, ProbeFilter
from .kdamonds import OPS, AddressRange, Context, Kdamond, Kdamonds, Target
from .quotas import (
    GOAL_METRICS,
    GOAL_TUNERS,
    MEMCG_METRICS,
    WATERMARK_METRICS,
    Dest,
    QuotaGoal,
    Quotas,
    Watermarks,
    Weights,
)
from .schemes import AccessPattern, Action, Scheme

_S32 = (-(2**31), 2**31 - 1)
_U32 = (0, U32_MAX)
_U64 = (0, U64_MAX)
_PAGE = 4096
_MAX_PROBES = 4
_MIN_REGIONS = 3
_MAX_PROBE_SAMPLES = 255

_EINVAL = "-EINVAL"
_OWN_PARSER = {"pid", "ms", "bytes", "reset_interval_ms", "fail_charge_num", "fail_charge_denom"}
"""Files that answer whatever they can't read, too great numbers included, with -EINVAL."""

_LIMITS: dict[type, dict[str, tuple[int, int]]] = {
    Kdamond: {"refresh_ms": _U32},
    Context: {"addr_unit": (1, U64_MAX)},
    Intervals: dict.fromkeys(("sample_us", "aggr_us", "ops_update_us"), _U64),
    IntervalsGoal: dict.fromkeys(("access_bp", "aggrs", "min_sample_us", "max_sample_us"), _U64),
    NrRegions: {"min": (_MIN_REGIONS, U64_MAX), "max": _U64},
    Probe: {"weight": _U32},
    AddressRange: {"start": _U64, "end": _U64},
    Scheme: {"apply_interval_us": _U64, "target_nid": _S32, "max_nr_snapshots": _U64},
    Dest: {"id": _U32, "weight": _U32},
    Quotas: dict.fromkeys(("ms", "bytes", "reset_interval_ms"), _U64)
    | dict.fromkeys(("fail_charge_num", "fail_charge_denom"), _U32),
    Weights: dict.fromkeys(("sz_permil", "nr_accesses_permil", "age_permil"), _U32),
    QuotaGoal: {"target_value": _U64, "current_value": _U64, "nid": _S32},
    Watermarks: dict.fromkeys(("interval_us", "high", "mid", "low"), _U64),
    Filter: dict.fromkeys(("addr_start", "addr_end", "min", "max"), _U64) | {"damon_target_idx": _S32},
}
_KEYWORDS: dict[type, dict[str, tuple[str, ...]]] = {
    Context: {"ops": OPS},
    Scheme: {"action": tuple(Action)},
    Quotas: {"goal_tuner": GOAL_TUNERS},
    QuotaGoal: {"target_metric": GOAL_METRICS},
    Watermarks: {"metric": WATERMARK_METRICS},
    Filter: {"type": CORE_FILTER_TYPES + OPS_FILTER_TYPES},
    ProbeFilter: {"type": PROBE_FILTER_TYPES},
}


def validate(kdamonds: Kdamonds) -> None:
    """Raises KdamondsError for the first thing that Linux 7.3 would refuse, with the full path of its field and the
    kernel's errno."""
    for path, node in kdamonds.nodes():
        for name, (low, high) in _LIMITS.get(type(node), {}).items():
            _check_number(f"{path}.{name}", getattr(node, name), low, high)
        if isinstance(node, AccessPattern):
            _check_pattern(path, node)
        for name, words in _KEYWORDS.get(type(node), {}).items():
            if getattr(node, name) not in words:
                raise KdamondsError(
                    "unknown word", field=f"{path}.{name}", value=getattr(node, name), allowed=", ".join(words)
                ).answered(_EINVAL)
    # Combinations only once every number is one and in its range.
    for path, node in kdamonds.nodes():
        check = _CHECKS.get(type(node))
        if check is not None:
            try:
                check(path, node)
            except KdamondsError as error:
                # What is wrong inside a scheme comes out as if memory had run out.
                raise error.answered("-ENOMEM" if isinstance(node, Filter | QuotaGoal) else _EINVAL) from None


def _check_number(field: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise KdamondsError("not a whole number", field=field, value=value, allowed=f"{low} to {high}").answered(
            _EINVAL
        )
    if not low <= value <= high:
        own = field.rpartition(".")[2] in _OWN_PARSER
        raise KdamondsError("out of range", field=field, value=value, allowed=f"{low} to {high}").answered(
            "-ERANGE" if value > high and not own else _EINVAL
        )


def _check_kdamond(path: str, kdamond: Kdamond) -> None:
    if len(kdamond.contexts) != 1:
        raise KdamondsError("a kdamond has one context", field=f"{path}.contexts", value=len(kdamond.contexts))


def _check_context(path: str, context: Context) -> None:
    if context.ops == "paddr" and len(context.targets) > 1:
        raise KdamondsError(
            "physical memory is one target", field=f"{path}.targets", value=len(context.targets), allowed="0 or 1"
        )
    minimum = max(_PAGE // context.addr_unit, 1) if context.ops == "paddr" else _PAGE
    for i, target in enumerate(context.targets):
        _check_regions(f"{path}.targets[{i}]", target, minimum)
    for i, scheme in enumerate(context.schemes):
        _check_filter_layers(f"{path}.schemes[{i}]", scheme)
    _check_probes(path, context)


def _check_regions(path: str, target: Target, minimum: int) -> None:
    last = 0
    for i, region in enumerate(target.regions):
        where = f"{path}.regions[{i}]"
        if region.start >= region.end:
            raise KdamondsError("start is not below end", field=f"{where}.start", value=region.start)
        # The kernel widens regions to its smallest region size before it compares them.
        start = region.start // minimum * minimum
        if start < last:
            raise KdamondsError(
                "regions must be sorted and must not overlap",
                field=f"{where}.start",
                value=region.start,
                allowed=f"{last} or more",
            )
        last = -(-region.end // minimum) * minimum


def _check_filter_layers(path: str, scheme: Scheme) -> None:
    layers = (
        ("core_filters", scheme.core_filters, CORE_FILTER_TYPES),
        ("ops_filters", scheme.ops_filters, OPS_FILTER_TYPES),
    )
    for name, filters, types in layers:
        for i, entry in enumerate(filters):
            if entry.type not in types:
                raise KdamondsError(
                    "filter type of the other layer",
                    field=f"{path}.{name}[{i}].type",
                    value=entry.type,
                    allowed=", ".join(types),
                )


def _check_probes(path: str, context: Context) -> None:
    if len(context.probes) > _MAX_PROBES:
        raise KdamondsError(
            "too many probes", field=f"{path}.probes", value=len(context.probes), allowed=f"0 to {_MAX_PROBES}"
        )
    weights = sum(probe.weight for probe in context.probes)
    samples = samples_per_aggregation(context.intervals)
    if weights and samples > _MAX_PROBE_SAMPLES:
        raise KdamondsError(
            "too many samples per aggregation for weighted probes, which count in 8 bits",
            field=f"{path}.intervals.aggr_us",
            value=context.intervals.aggr_us,
            allowed=f"less than {_MAX_PROBE_SAMPLES + 1} times sample_us",
        )
    if weights * samples > U32_MAX:
        raise KdamondsError(
            "the weighted hits of one aggregation overflow",
            field=f"{path}.probes",
            value=weights * samples,
            allowed=f"sum of the weights times samples per aggregation up to {U32_MAX}",
        )


def _check_intervals(path: str, intervals: Intervals) -> None:
    if intervals.sample_us > intervals.aggr_us:
        raise KdamondsError(
            "longer than the aggregation interval",
            field=f"{path}.sample_us",
            value=intervals.sample_us,
            allowed=f"0 to {intervals.aggr_us} (aggr_us)",
        )
    goal = intervals.intervals_goal
    if goal.aggrs == 0:
        return
    if goal.min_sample_us > goal.max_sample_us:
        raise KdamondsError(
            "above max_sample_us",
            field=f"{path}.intervals_goal.min_sample_us",
            value=goal.min_sample_us,
            allowed=f"0 to {goal.max_sample_us}",
        )
    if not goal.min_sample_us <= intervals.sample_us <= goal.max_sample_us:
        raise KdamondsError(
            "outside of what the intervals goal may tune",
            field=f"{path}.sample_us",
            value=intervals.sample_us,
            allowed=f"{goal.min_sample_us} to {goal.max_sample_us}",
        )


def _check_nr_regions(path: str, bounds: NrRegions) -> None:
    if bounds.min > bounds.max:
        raise KdamondsError(
            "above max", field=f"{path}.min", value=bounds.min, allowed=f"{_MIN_REGIONS} to {bounds.max}"
        )


def _check_target(path: str, target: Target) -> None:
    if target.pid is not None:
        _check_number(f"{path}.pid", target.pid, 1, _S32[1])


def _check_pattern(path: str, pattern: AccessPattern) -> None:
    # Files of the kernel take 64 bits for all, but it keeps only the lower 32 of counts: 2^32 would become 0.
    for name, limits in (("sz", _U64), ("nr_accesses", _U32), ("age", _U32)):
        bounds = getattr(pattern, name)
        _check_number(f"{path}.{name}.min", bounds.min, *limits)
        _check_number(f"{path}.{name}.max", bounds.max, *limits)


def _check_goal(path: str, goal: QuotaGoal) -> None:
    if goal.target_metric in MEMCG_METRICS:
        _check_cgroup(f"{path}.path", goal.path)


def _check_filter(path: str, entry: Filter) -> None:
    if entry.type == "memcg":
        _check_cgroup(f"{path}.memcg_path", entry.memcg_path)
    for kind, low, high in (("addr", "addr_start", "addr_end"), ("hugepage_size", "min", "max")):
        if entry.type == kind and getattr(entry, low) > getattr(entry, high):
            raise KdamondsError(
                f"above {high}",
                field=f"{path}.{low}",
                value=getattr(entry, low),
                allowed=f"0 to {getattr(entry, high)}",
            )


def _check_probe_filter(path: str, entry: ProbeFilter) -> None:
    if entry.type == "memcg":
        _check_cgroup(f"{path}.path", entry.path)


def _check_cgroup(field: str, path: str) -> None:
    if not path.startswith("/"):
        raise KdamondsError("not a cgroup", field=field, value=path, allowed='a path from the cgroup mount: "/app"')


_CHECKS: dict[type, Callable[[str, Any], None]] = {
    Kdamond: _check_kdamond,
    Context: _check_context,
    Intervals: _check_intervals,
    NrRegions: _check_nr_regions,
    Target: _check_target,
    QuotaGoal: _check_goal,
    Filter: _check_filter,
    ProbeFilter: _check_probe_filter,
}
