"""kdamonds from the tree of a damo file, strictly.

damo itself ignores unknown keys and accepts unknown words, minima above maxima and negative sizes; here each is an
error with its field. What is left out is what damo takes for it (5 ms, 100 ms, 1 s; every region), with one exception:
without `quotas` damo sets a reset interval of 2^64 - 1 ms, which has no effect until a limit is added; here it is 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from damoos.errors import ConfigError, InputError
from damoos.units import U32_MAX, parse_bool, parse_count, parse_size_bytes, parse_time_ms, parse_time_us

from .attrs import Intervals, IntervalsGoal, NrRegions
from .damo_fields import Table, basis_points, table, text, word
from .damo_schemes import read_scheme
from .filters import PROBE_FILTER_TYPES, Probe, ProbeFilter
from .kdamonds import OPS, AddressRange, Context, Kdamond, Kdamonds, Target
from .validation import validate

_DAMO_INTERVALS = Intervals(ops_update_us=1_000_000)
_PID_MAX = 2**31 - 1


def from_damo(tree: Any, file: str | Path | None = None) -> Kdamonds:
    """The kdamonds of a damo file's tree, valid for Linux 7.3.

    What only shows a status (`state`, `pid`, counters, effective quotas) is skipped. Raises InputError with `file` and
    the field's path for what is misspelt, out of range, not in Linux 7.3, or would be refused by it.
    """
    try:
        if isinstance(tree, list):
            raise ConfigError('a bare list of kdamonds, as `damo report damon` prints it; needs {"kdamonds": [...]}')
        entries = table(tree, "", ("kdamonds",)).items("kdamonds")
        kdamonds = Kdamonds(tuple(_kdamond(item, where) for item, where in entries))
        validate(kdamonds)
    except InputError as error:
        raise error.at(file=file) from None
    return kdamonds


def _kdamond(tree: Any, path: str) -> Kdamond:
    entry = table(tree, path, ("contexts",), ("refresh_ms", "state", "pid"))
    return Kdamond(
        contexts=tuple(_context(item, where) for item, where in entry.items("contexts")),
        refresh_ms=entry.read_or("refresh_ms", 0, parse_time_ms, maximum=U32_MAX),
    )


def _context(tree: Any, path: str) -> Context:
    entry = table(
        tree,
        path,
        ("ops", "targets"),
        ("addr_unit", "pause", "intervals", "nr_regions", "probes", "sample_control", "schemes"),
    )
    _refuse_sample_control(entry)
    intervals = _intervals(entry) if entry.has("intervals") else _DAMO_INTERVALS
    return Context(
        ops=entry.read("ops", word(OPS)),
        addr_unit=entry.read_or("addr_unit", 1, parse_size_bytes),
        pause=entry.read_or("pause", False, parse_bool),
        intervals=intervals,
        nr_regions=_nr_regions(entry) if entry.has("nr_regions") else NrRegions(),
        probes=tuple(_probe(item, where) for item, where in entry.items("probes")),
        targets=tuple(_target(item, where) for item, where in entry.items("targets")),
        schemes=tuple(read_scheme(item, where, intervals) for item, where in entry.items("schemes")),
    )


def _refuse_sample_control(context: Table) -> None:
    # damo writes its default into every file; anything else asks for a kernel feature that is not upstream.
    default = {"primitives_enabled": {"page_table": True, "page_fault": False}, "sample_filters": []}
    context.refuse("sample_control", default, "not in Linux 7.3")


def _intervals(context: Table) -> Intervals:
    entry = context.table("intervals", ("sample_us", "aggr_us", "ops_update_us"), ("intervals_goal",))
    return Intervals(
        sample_us=entry.read("sample_us", parse_time_us),
        aggr_us=entry.read("aggr_us", parse_time_us),
        ops_update_us=entry.read("ops_update_us", parse_time_us),
        intervals_goal=_intervals_goal(entry) if entry.has("intervals_goal") else IntervalsGoal(),
    )


def _intervals_goal(intervals: Table) -> IntervalsGoal:
    entry = intervals.table("intervals_goal", ("access_bp", "aggrs", "min_sample_us", "max_sample_us"))
    return IntervalsGoal(
        access_bp=entry.read("access_bp", basis_points),
        aggrs=entry.read("aggrs", parse_count),
        min_sample_us=entry.read("min_sample_us", parse_time_us),
        max_sample_us=entry.read("max_sample_us", parse_time_us),
    )


def _nr_regions(context: Table) -> NrRegions:
    entry = context.table("nr_regions", ("min", "max"))
    return NrRegions(entry.read("min", parse_count), entry.read("max", parse_count))


def _target(tree: Any, path: str) -> Target:
    entry = table(tree, path, ("pid", "regions"), ("obsolete",))
    return Target(
        pid=entry.read_or("pid", None, parse_count, minimum=1, maximum=_PID_MAX),
        regions=tuple(_region(item, where) for item, where in entry.items("regions")),
        obsolete=entry.read_or("obsolete", False, parse_bool),
    )


def _region(tree: Any, path: str) -> AddressRange:
    entry = table(tree, path, ("start", "end"))
    return AddressRange(entry.read("start", parse_size_bytes), entry.read("end", parse_size_bytes))


def _probe(tree: Any, path: str) -> Probe:
    entry = table(tree, path, ("filters",), ("weight", "preps"))
    entry.refuse("preps", [], "not in Linux 7.3")
    return Probe(
        weight=entry.read_or("weight", 0, parse_count, maximum=U32_MAX),
        filters=tuple(_probe_filter(item, where) for item, where in entry.items("filters")),
    )


def _probe_filter(tree: Any, path: str) -> ProbeFilter:
    entry = table(tree, path, ("filter_type", "matching", "allow", "path"), ("range_min", "range_max"))
    for key in ("range_min", "range_max"):
        entry.refuse(key, None, "not in Linux 7.3")
    kind = entry.read("filter_type", word(PROBE_FILTER_TYPES))
    if kind == "memcg":
        entry.need("path", "it says which cgroup")
    return ProbeFilter(
        type=kind,
        matching=entry.read("matching", parse_bool),
        allow=entry.read("allow", parse_bool),
        path=entry.read_or("path", "", text),
    )
