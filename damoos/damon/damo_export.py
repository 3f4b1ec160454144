"""kdamonds as the tree of damo's file, in the form that damo's parser reads back to exactly the same numbers.

damo's own output rounds (sizes to three decimals, rates to whole percent); bare integers in the field's unit, counts of
samples and of aggregations don't. Optional fields that older versions of damo lack are left out at their defaults.
"""

from __future__ import annotations

from typing import Any

from damoos.units import U64_MAX

from .access_units import age_text, nr_accesses_text
from .attrs import Intervals
from .filters import Filter, Probe
from .kdamonds import Context, Kdamonds, Target
from .quotas import MEMCG_METRICS, NODE_METRICS, QuotaGoal, Quotas, Watermarks
from .schemes import AccessPattern, Action, Scheme

Tree = dict[str, Any]


def to_damo(kdamonds: Kdamonds) -> Tree:
    """The tree to write as JSON or YAML. `max_nr_snapshots` goes where damo shows it, though damo never reads it."""
    return {
        "kdamonds": [
            {
                "refresh_ms": kdamond.refresh_ms,
                "contexts": [_context(context) for context in kdamond.contexts],
            }
            for kdamond in kdamonds.kdamonds
        ]
    }


def _context(context: Context) -> Tree:
    tree: Tree = {
        "ops": context.ops,
        "addr_unit": context.addr_unit,
        "targets": [_target(target) for target in context.targets],
        "intervals": _intervals(context.intervals),
        "nr_regions": {"min": context.nr_regions.min, "max": context.nr_regions.max},
    }
    if context.probes:
        tree["probes"] = [_probe(probe) for probe in context.probes]
    if context.pause:
        tree["pause"] = True
    tree["schemes"] = [_scheme(scheme) for scheme in context.schemes]
    return tree


def _target(target: Target) -> Tree:
    tree: Tree = {
        "pid": target.pid,
        "regions": [{"start": region.start, "end": region.end} for region in target.regions],
    }
    if target.obsolete:
        tree["obsolete"] = True
    return tree


def _intervals(intervals: Intervals) -> Tree:
    goal = intervals.intervals_goal
    return {
        "sample_us": intervals.sample_us,
        "aggr_us": intervals.aggr_us,
        "ops_update_us": intervals.ops_update_us,
        "intervals_goal": {
            "access_bp": goal.access_bp,
            "aggrs": goal.aggrs,
            "min_sample_us": goal.min_sample_us,
            "max_sample_us": goal.max_sample_us,
        },
    }


def _probe(probe: Probe) -> Tree:
    return {
        "filters": [
            {"filter_type": entry.type, "matching": entry.matching, "allow": entry.allow, "path": entry.path or None}
            for entry in probe.filters
        ],
        "weight": probe.weight,
    }


def _scheme(scheme: Scheme) -> Tree:
    tree: Tree = {"action": str(scheme.action)}
    if scheme.target_nid != -1 or scheme.action in (Action.MIGRATE_HOT, Action.MIGRATE_COLD):
        tree["target_nid"] = scheme.target_nid
    if scheme.dests:
        tree["dests"] = [{"id": dest.id, "weight": dest.weight} for dest in scheme.dests]
    tree["access_pattern"] = _access_pattern(scheme.access_pattern)
    tree["apply_interval_us"] = scheme.apply_interval_us
    # Always written: without quotas damo would stage a reset interval of "max".
    tree["quotas"] = _quotas(scheme.quotas)
    if scheme.watermarks != Watermarks():
        tree["watermarks"] = _watermarks(scheme.watermarks)
    # damo keeps both layers in one list; the kernel applies the core layer first.
    filters = [_filter(entry) for entry in (*scheme.core_filters, *scheme.ops_filters)]
    if filters:
        tree["filters"] = filters
    if scheme.max_nr_snapshots:
        tree["stats"] = {"max_nr_snapshots": scheme.max_nr_snapshots}
    return tree


def _access_pattern(pattern: AccessPattern) -> Tree:
    return {
        "sz_bytes": {
            "min": pattern.sz.min,
            "max": "max" if pattern.sz.max == U64_MAX else pattern.sz.max,
        },
        "nr_accesses": {
            "min": nr_accesses_text(pattern.nr_accesses.min),
            "max": nr_accesses_text(pattern.nr_accesses.max),
        },
        "age": {"min": age_text(pattern.age.min), "max": age_text(pattern.age.max)},
    }


def _quotas(quotas: Quotas) -> Tree:
    tree: Tree = {
        "time_ms": quotas.ms,
        "sz_bytes": quotas.bytes,
        "reset_interval_ms": quotas.reset_interval_ms,
    }
    if quotas.fail_charge_num or quotas.fail_charge_denom:
        tree |= {"fail_charge_num": quotas.fail_charge_num, "fail_charge_denom": quotas.fail_charge_denom}
    if quotas.goals:
        tree["goals"] = [_goal(goal) for goal in quotas.goals]
    if quotas.goals or quotas.goal_tuner != Quotas().goal_tuner:
        tree["goal_tuner"] = quotas.goal_tuner
    weights = quotas.weights
    tree["weights"] = {
        "sz_permil": weights.sz_permil,
        "nr_accesses_permil": weights.nr_accesses_permil,
        "age_permil": weights.age_permil,
    }
    return tree


def _goal(goal: QuotaGoal) -> Tree:
    tree: Tree = {"metric": goal.target_metric}
    if goal.nid or goal.target_metric in NODE_METRICS:
        tree["nid"] = goal.nid
    if goal.path or goal.target_metric in MEMCG_METRICS:
        tree["memcg_path"] = goal.path
    return tree | {"target_value": goal.target_value, "current_value": goal.current_value}


def _watermarks(watermarks: Watermarks) -> Tree:
    return {
        "metric": watermarks.metric,
        "interval_us": watermarks.interval_us,
        "high_permil": watermarks.high,
        "mid_permil": watermarks.mid,
        "low_permil": watermarks.low,
    }


def _filter(entry: Filter) -> Tree:
    tree: Tree = {"filter_type": entry.type, "matching": entry.matching, "allow": entry.allow}
    if entry.memcg_path or entry.type == "memcg":
        tree["memcg_path"] = entry.memcg_path
    if entry.addr_start or entry.addr_end or entry.type == "addr":
        tree["address_range"] = {"start": entry.addr_start, "end": entry.addr_end}
    if entry.damon_target_idx or entry.type == "target":
        tree["damon_target_idx"] = entry.damon_target_idx
    if entry.min or entry.max or entry.type == "hugepage_size":
        tree["hugepage_size"] = [entry.min, entry.max]
    return tree
