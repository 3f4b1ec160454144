"""Run by tests in a process of its own: what damo's own parser makes of a kdamonds file, as numbers.

    python damo_oracle.py DIRECTORY_OF_THE_DAMO_PACKAGE

Each line of input is a JSON string: the text of a file, or a path. Each line of output is a JSON object: `numbers`,
named as in damoos.damon, and `text`, what damo writes for it; or `error`.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])
import _damon
import _damon_args


def numbers(kdamond):
    return {"refresh_ms": kdamond.refresh_ms, "contexts": [context(c) for c in kdamond.contexts]}


def context(ctx):
    goal = ctx.intervals.intervals_goal
    return {
        "ops": ctx.ops,
        "addr_unit": ctx.addr_unit,
        "pause": ctx.pause,
        "intervals": {
            "sample_us": ctx.intervals.sample,
            "aggr_us": ctx.intervals.aggr,
            "ops_update_us": ctx.intervals.ops_update,
            "intervals_goal": {
                "access_bp": goal.access_bp,
                "aggrs": goal.aggrs,
                "min_sample_us": goal.min_sample_us,
                "max_sample_us": goal.max_sample_us,
            },
        },
        "nr_regions": {"min": ctx.nr_regions.minimum, "max": ctx.nr_regions.maximum},
        "probes": [
            {
                "weight": probe.weight,
                "filters": [
                    {"type": f.filter_type, "matching": f.matching, "allow": f.allow, "path": f.path or ""}
                    for f in probe.filters
                ],
            }
            for probe in ctx.probes
        ],
        "targets": [
            {
                "pid": target.pid,
                "regions": [{"start": region.start, "end": region.end} for region in target.regions],
                "obsolete": target.obsolete,
            }
            for target in ctx.targets
        ],
        "schemes": [scheme(s, ctx.intervals) for s in ctx.schemes],
    }


def scheme(damos, intervals):
    pattern = damos.access_pattern
    if pattern.nr_accesses_unit != "samples" or pattern.age_unit != "aggr_intervals":
        pattern = pattern.converted_for_units("samples", "aggr_intervals", intervals)
    quotas, marks = damos.quotas, damos.watermarks
    return {
        "action": damos.action,
        "access_pattern": {
            "sz": bounds(pattern.sz_bytes),
            "nr_accesses": bounds([bound.samples for bound in pattern.nr_acc_min_max]),
            "age": bounds([bound.aggr_intervals for bound in pattern.age_min_max]),
        },
        "apply_interval_us": damos.apply_interval_us,
        "target_nid": -1 if damos.target_nid is None else damos.target_nid,
        "dests": [{"id": dest.id, "weight": dest.weight} for dest in damos.dests],
        "quotas": {
            "ms": quotas.time_ms,
            "bytes": quotas.sz_bytes,
            "reset_interval_ms": quotas.reset_interval_ms,
            "weights": {
                "sz_permil": quotas.weight_sz_permil,
                "nr_accesses_permil": quotas.weight_nr_accesses_permil,
                "age_permil": quotas.weight_age_permil,
            },
            "goals": [
                {
                    "target_metric": goal.metric,
                    "target_value": goal.target_value,
                    "current_value": goal.current_value,
                    "nid": goal.nid or 0,
                    "path": goal.memcg_path or "",
                }
                for goal in quotas.goals
            ],
            "goal_tuner": quotas.goal_tuner,
            "fail_charge_num": quotas.fail_charge_num,
            "fail_charge_denom": quotas.fail_charge_denom,
        },
        "watermarks": {
            "metric": marks.metric,
            "interval_us": marks.interval_us,
            "high": marks.high_permil,
            "mid": marks.mid_permil,
            "low": marks.low_permil,
        },
        "filters": [filter_numbers(f) for f in damos.filters],
    }


def filter_numbers(damos_filter):
    addresses = damos_filter.address_range
    low, high = damos_filter.hugepage_size or (0, 0)
    return {
        "type": damos_filter.filter_type,
        "matching": damos_filter.matching,
        "allow": damos_filter.allow,
        "memcg_path": damos_filter.memcg_path or "",
        "addr_start": 0 if addresses is None else addresses.start,
        "addr_end": 0 if addresses is None else addresses.end,
        "min": low,
        "max": high,
        "damon_target_idx": damos_filter.damon_target_idx or 0,
    }


def bounds(pair):
    return {"min": pair[0], "max": pair[1]}


def answer(argument):
    read = _damon_args.kdamonds_from_yaml_arg if argument.endswith(".yaml") else _damon_args.kdamonds_from_json_arg
    kdamonds, error = read(argument)
    if error is not None:
        return {"error": repr(error)}
    text = json.dumps({"kdamonds": [k.to_kvpairs(False, False, params_only=True) for k in kdamonds]})
    return {"numbers": [numbers(k) for k in kdamonds], "text": text}


assert _damon.__file__.startswith(sys.argv[1])
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
