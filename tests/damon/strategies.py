"""Hypothesis strategies for kdamonds that Linux 7.3 accepts, every field included."""

from __future__ import annotations

from hypothesis import strategies as st

from damoos.damon.access_units import samples_per_aggregation
from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.filters import (
    CORE_FILTER_TYPES,
    OPS_FILTER_TYPES,
    PROBE_FILTER_TYPES,
    Filter,
    Probe,
    ProbeFilter,
)
from damoos.damon.kdamonds import OPS, AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import (
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
from damoos.damon.schemes import AccessPattern, Action, Range, Scheme
from damoos.units import U32_MAX, U64_MAX


def _numbers(top: int, bottom: int = 0) -> st.SearchStrategy[int]:
    """Zero and the top often, numbers that people write often, and anything else."""
    small = st.integers(max(bottom, 0), 10_000)
    return st.one_of(st.sampled_from((max(bottom, 0), top)), small, st.integers(bottom, top))


u32, u64 = _numbers(U32_MAX), _numbers(U64_MAX)
s32 = _numbers(2**31 - 1, -(2**31))
cgroups = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8).map("/{}".format)


def ranges(top: int) -> st.SearchStrategy[Range]:
    numbers = _numbers(top)
    return st.tuples(numbers, numbers).map(lambda pair: Range(min(pair), max(pair)))


patterns = st.builds(AccessPattern, sz=ranges(U64_MAX), nr_accesses=ranges(U32_MAX), age=ranges(U32_MAX))
weights = st.builds(Weights, sz_permil=u32, nr_accesses_permil=u32, age_permil=u32)
watermarks = st.builds(
    Watermarks, metric=st.sampled_from(WATERMARK_METRICS), interval_us=u64, high=u64, mid=u64, low=u64
)
dests = st.builds(Dest, id=u32, weight=u32)


@st.composite
def goals(draw: st.DrawFn) -> QuotaGoal:
    metric = draw(st.sampled_from(GOAL_METRICS))
    path = draw(cgroups) if metric in MEMCG_METRICS else ""
    return QuotaGoal(metric, target_value=draw(u64), current_value=draw(u64), nid=draw(s32), path=path)


quotas = st.builds(
    Quotas,
    ms=u64,
    bytes=u64,
    reset_interval_ms=u64,
    weights=weights,
    goals=st.lists(goals(), max_size=3).map(tuple),
    goal_tuner=st.sampled_from(GOAL_TUNERS),
    fail_charge_num=u32,
    fail_charge_denom=u32,
)


@st.composite
def filters(draw: st.DrawFn, types: tuple[str, ...]) -> Filter:
    """A filter; now and then with fields that do not count for its type, which the kernel keeps all the same."""
    kind = draw(st.sampled_from(types))
    others = draw(st.booleans())
    addresses, sizes = draw(ranges(U64_MAX)), draw(ranges(U64_MAX))
    return Filter(
        type=kind,
        matching=draw(st.booleans()),
        allow=draw(st.booleans()),
        memcg_path=draw(cgroups) if others or kind == "memcg" else "",
        addr_start=addresses.min if others or kind == "addr" else 0,
        addr_end=addresses.max if others or kind == "addr" else 0,
        min=sizes.min if others or kind == "hugepage_size" else 0,
        max=sizes.max if others or kind == "hugepage_size" else 0,
        damon_target_idx=draw(s32) if others or kind == "target" else 0,
    )


schemes = st.builds(
    Scheme,
    action=st.sampled_from(Action),
    access_pattern=patterns,
    apply_interval_us=u64,
    target_nid=s32,
    dests=st.lists(dests, max_size=2).map(tuple),
    quotas=st.one_of(st.just(Quotas()), quotas),
    watermarks=st.one_of(st.just(Watermarks()), watermarks),
    core_filters=st.lists(filters(CORE_FILTER_TYPES), max_size=2).map(tuple),
    ops_filters=st.lists(filters(OPS_FILTER_TYPES), max_size=2).map(tuple),
    max_nr_snapshots=u64,
)


@st.composite
def intervals(draw: st.DrawFn) -> Intervals:
    sample, aggr = sorted((draw(u64), draw(u64)))
    low, high = sorted((draw(u64), draw(u64)))
    aggrs = draw(st.one_of(st.just(0), u64))
    if aggrs:
        low, high = min(low, sample), max(high, sample)
    goal = IntervalsGoal(access_bp=draw(u64), aggrs=aggrs, min_sample_us=low, max_sample_us=high)
    return Intervals(sample, aggr, draw(u64), goal)


@st.composite
def probes(draw: st.DrawFn, weighted: bool) -> Probe:
    entries = []
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(PROBE_FILTER_TYPES))
        path = draw(cgroups) if kind == "memcg" else ""
        entries.append(ProbeFilter(kind, draw(st.booleans()), draw(st.booleans()), path))
    return Probe(draw(st.integers(0, 1000)) if weighted else 0, tuple(entries))


@st.composite
def targets(draw: st.DrawFn) -> Target:
    pages = sorted(draw(st.sets(st.integers(0, U64_MAX // 4096), max_size=6)))
    regions = tuple(AddressRange(start * 4096, end * 4096) for start, end in zip(pages[::2], pages[1::2], strict=False))
    return Target(draw(st.one_of(st.none(), st.integers(1, 2**31 - 1))), regions, draw(st.booleans()))


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    ops = draw(st.sampled_from(OPS))
    at = draw(intervals())
    weighted = samples_per_aggregation(at) <= 255
    return Context(
        ops=ops,
        addr_unit=2 ** draw(st.integers(0, 13)),
        pause=draw(st.booleans()),
        intervals=at,
        nr_regions=NrRegions(*sorted((draw(_numbers(U64_MAX, 3)), draw(_numbers(U64_MAX, 3))))),
        probes=tuple(draw(st.lists(probes(weighted), max_size=4))),
        targets=tuple(draw(st.lists(targets(), max_size=1 if ops == "paddr" else 2))),
        schemes=tuple(draw(st.lists(schemes, max_size=2))),
    )


kdamonds = st.builds(
    Kdamonds,
    st.lists(st.builds(Kdamond, st.tuples(contexts()), refresh_ms=u32), max_size=2).map(tuple),
)
