"""kdamonds as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from damoos.units import (
    U32_MAX,
    U64_MAX,
    format_bp,
    format_count,
    format_permil,
    format_size_bytes,
    format_time_ms,
    format_time_us,
)

from .access_units import samples_per_aggregation
from .attrs import Intervals
from .filters import Filter, Probe
from .kdamonds import Context, Kdamonds, Target
from .quotas import MEMCG_METRICS, NODE_METRICS, QuotaGoal, Quotas
from .schemes import AccessPattern, Action, Range, Scheme

_LABEL = 12


def describe(kdamonds: Kdamonds) -> str:
    """Several lines that say what is monitored and what each scheme does, with units; no final newline.

    What is at its default and has no effect is left out.
    """
    lines: list[str] = []
    for number, kdamond in enumerate(kdamonds.kdamonds):
        refresh = f", statistics every {format_time_ms(kdamond.refresh_ms)}" if kdamond.refresh_ms else ""
        lines.append(f"kdamond {number}{refresh}")
        for context in kdamond.contexts:
            lines += ["  " + line for line in _context(context)]
    return "\n".join(lines)


def _context(context: Context) -> Iterator[str]:
    unit = f", {format_size_bytes(context.addr_unit)} per address" if context.addr_unit != 1 else ""
    yield _line("monitors", f"{context.ops}{unit}{', paused' if context.pause else ''}")
    for number, target in enumerate(context.targets):
        yield _line(f"target {number}", _target(target, context.ops))
    at = context.intervals
    yield _line(
        "intervals",
        f"sample {format_time_us(at.sample_us)}, aggregate {format_time_us(at.aggr_us)}, "
        f"update {format_time_us(at.ops_update_us)}",
    )
    goal = at.intervals_goal
    if goal.aggrs:
        yield _line(
            "tuned to",
            f"{format_bp(goal.access_bp)} accesses in {format_count(goal.aggrs)} aggregations, "
            f"sample {format_time_us(goal.min_sample_us)} to {format_time_us(goal.max_sample_us)}",
        )
    yield _line("regions", f"{format_count(context.nr_regions.min)} to {format_count(context.nr_regions.max)}")
    for number, probe in enumerate(context.probes):
        yield _line(f"probe {number}", _probe(probe))
    for number, scheme in enumerate(context.schemes):
        first, *rest = _scheme(scheme, at, context.addr_unit)
        yield f"scheme {number}: {first}"
        yield from rest


def _target(target: Target, ops: str) -> str:
    if ops == "paddr":
        who = "physical memory"
    else:
        who = "process not set" if target.pid is None else f"process {target.pid}"
    regions = ", ".join(f"{region.start:#x}-{region.end:#x}" for region in target.regions)
    return who + (f" in {regions}" if regions else "") + (", obsolete" if target.obsolete else "")


def _probe(probe: Probe) -> str:
    filters = ", ".join(_verdict(entry.allow, entry.matching, entry.type, entry.path) for entry in probe.filters)
    return f"{filters or 'every page'}, weight {format_count(probe.weight)}"


def _scheme(scheme: Scheme, intervals: Intervals, addr_unit: int) -> Iterator[str]:
    every = format_time_us(scheme.apply_interval_us) if scheme.apply_interval_us else "aggregation"
    yield f"{scheme.action}{_destination(scheme)} every {every}"
    yield from (f"  {line}" for line in _pattern(scheme.access_pattern, intervals, addr_unit))
    yield from (f"  {line}" for line in _quotas(scheme.quotas))
    marks = scheme.watermarks
    if marks.metric != "none":
        yield "  " + _line(
            "watermarks",
            f"{marks.metric} high {format_permil(marks.high)}, mid {format_permil(marks.mid)}, "
            f"low {format_permil(marks.low)}, checked every {format_time_us(marks.interval_us)}",
        )
    for entry in (*scheme.core_filters, *scheme.ops_filters):
        yield "  " + _line("filter", _verdict(entry.allow, entry.matching, entry.type, _argument(entry)))
    if scheme.max_nr_snapshots:
        yield "  " + _line("stops after", f"{format_count(scheme.max_nr_snapshots)} snapshots")


def _destination(scheme: Scheme) -> str:
    if scheme.action not in (Action.MIGRATE_HOT, Action.MIGRATE_COLD):
        return ""
    if not scheme.dests:
        return f" to node {scheme.target_nid}"
    return " to " + ", ".join(f"node {dest.id} (weight {dest.weight})" for dest in scheme.dests)


def _pattern(pattern: AccessPattern, intervals: Intervals, addr_unit: int) -> Iterator[str]:
    yield _line("size", _range(pattern.sz, lambda n: format_size_bytes(n * addr_unit), U64_MAX))
    most = samples_per_aggregation(intervals)
    yield _line(
        "accesses",
        f"{_range(pattern.nr_accesses, format_count, U32_MAX)} of {format_count(most)} samples"
        f" ({_range(pattern.nr_accesses, lambda n: f'{100 * n / most:.3g} %', U32_MAX)})",
    )
    yield _line(
        "age",
        f"{_range(pattern.age, format_count, U32_MAX)} aggregations"
        f" ({_range(pattern.age, lambda n: format_time_us(n * intervals.aggr_us), U32_MAX)})",
    )


def _quotas(quotas: Quotas) -> Iterator[str]:
    limits = []
    if quotas.ms:
        limits.append(format_time_ms(quotas.ms))
    if quotas.bytes:
        limits.append(format_size_bytes(quotas.bytes))
    if not limits and not quotas.goals:
        return
    per = format_time_ms(quotas.reset_interval_ms) if quotas.reset_interval_ms else "application"
    yield _line("quota", f"{' and '.join(limits) or 'tuned'} per {per}")
    weights = quotas.weights
    yield _line(
        "priority",
        f"size {format_permil(weights.sz_permil)}, accesses {format_permil(weights.nr_accesses_permil)}, "
        f"age {format_permil(weights.age_permil)}",
    )
    for goal in quotas.goals:
        yield _line("goal", _goal(goal))
    if quotas.goals:
        yield _line("tuner", quotas.goal_tuner)
    if quotas.fail_charge_denom:
        yield _line("failures", f"charged {quotas.fail_charge_num}/{quotas.fail_charge_denom}")


def _goal(goal: QuotaGoal) -> str:
    where = f" of node {goal.nid}" if goal.target_metric in NODE_METRICS else ""
    if goal.target_metric in MEMCG_METRICS:
        where += f" and {goal.path}"
    if goal.target_metric.endswith("_bp"):
        target = format_bp(goal.target_value)
    elif goal.target_metric.endswith("_us"):
        target = format_time_us(goal.target_value)
    else:
        target = f"{format_count(goal.target_value)}, now {format_count(goal.current_value)}"
    return f"{goal.target_metric}{where} {target}"


def _argument(entry: Filter) -> str:
    match entry.type:
        case "memcg":
            return entry.memcg_path
        case "addr":
            return f"{entry.addr_start:#x}-{entry.addr_end:#x}"
        case "target":
            return str(entry.damon_target_idx)
        case "hugepage_size":
            return f"{format_size_bytes(entry.min)} to {format_size_bytes(entry.max)}"
    return ""


def _verdict(allow: bool, matching: bool, kind: str, argument: str) -> str:
    words = ["allow" if allow else "reject", "" if matching else "all but", kind, argument]
    return " ".join(word for word in words if word)


def _range(bounds: Range, text: Callable[[int], str], top: int) -> str:
    low, high = ("max" if bound == top else text(bound) for bound in (bounds.min, bounds.max))
    return low if low == high else f"{low} to {high}"


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"
