"""The same configurations are refused as by Linux 7.3, each with the path of the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.filters import Filter, Probe, ProbeFilter
from damoos.damon.kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import Dest, QuotaGoal, Quotas, Watermarks, Weights
from damoos.damon.schemes import AccessPattern, Range, Scheme
from damoos.damon.validation import validate
from damoos.errors import KdamondsError
from damoos.units import U32_MAX, U64_MAX

from .strategies import kdamonds

CONTEXT = "kdamonds[0].contexts[0]"
SCHEME = f"{CONTEXT}.schemes[0]"


def refusal(value: Kdamonds) -> tuple[str, str]:
    with pytest.raises(KdamondsError) as caught:
        validate(value)
    assert caught.value.field is not None
    assert caught.value.exit_code == 2
    return caught.value.field, str(caught.value)


def with_context(**changes: Any) -> Kdamonds:
    return Kdamonds().with_context(dataclasses.replace(Context(), **changes))


def with_scheme(**changes: Any) -> Kdamonds:
    return with_context(schemes=(Scheme(**changes),))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(kdamonds)
def test_valid_ones_pass(value: Kdamonds) -> None:
    validate(value)


@pytest.mark.parametrize(
    "value",
    [
        # Accepted by a real kernel, however odd.
        with_context(intervals=Intervals(0, 0, 0)),
        with_context(intervals=Intervals(100_000, 100_000)),
        with_context(intervals=Intervals(ops_update_us=50_000)),
        with_context(intervals=Intervals(intervals_goal=IntervalsGoal(access_bp=10_001, min_sample_us=9, aggrs=0))),
        with_context(nr_regions=NrRegions(3, 3)),
        with_context(targets=()),
        with_context(targets=(Target(obsolete=True),)),
        with_context(targets=(Target(regions=(AddressRange(4097, 409_601),)),)),
        with_scheme(access_pattern=AccessPattern(sz=Range(8192, 4096))),
        with_scheme(watermarks=Watermarks("free_mem_rate", 100_000, 100, 500, 1001)),
        with_scheme(quotas=Quotas(bytes=4096, weights=Weights(sz_permil=1001), fail_charge_num=1)),
        with_scheme(quotas=Quotas(goals=(QuotaGoal("node_mem_used_bp", 100, nid=99),))),
        with_scheme(core_filters=(Filter("target", damon_target_idx=7),)),
        with_scheme(target_nid=-7),
        with_scheme(),
    ],
)
def test_what_the_kernel_accepts_is_accepted(value: Kdamonds) -> None:
    validate(value)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        (Kdamonds((Kdamond(()),)), "kdamonds[0].contexts", "one context, got 0"),
        (Kdamonds((Kdamond(refresh_ms=2**32),)), "kdamonds[0].refresh_ms", "allowed: 0 to 4294967295"),
        (with_context(ops="vadd"), f"{CONTEXT}.ops", "unknown word, got 'vadd'; allowed: vaddr, fvaddr, paddr"),
        (with_context(addr_unit=0), f"{CONTEXT}.addr_unit", "out of range, got 0"),
        (with_context(intervals=Intervals(200_000)), f"{CONTEXT}.intervals.sample_us", "allowed: 0 to 100000"),
        (with_context(intervals=Intervals(2.5)), f"{CONTEXT}.intervals.sample_us", "not a whole number, got 2.5"),  # type: ignore[arg-type]
        (with_context(intervals=Intervals(-5)), f"{CONTEXT}.intervals.sample_us", "out of range, got -5"),
        (with_context(intervals=Intervals(1, 2, U64_MAX + 1)), f"{CONTEXT}.intervals.ops_update_us", "out of range"),
        (
            with_context(intervals=Intervals(intervals_goal=IntervalsGoal(400, 3, 10_000, 5_000))),
            f"{CONTEXT}.intervals.intervals_goal.min_sample_us",
            "above max_sample_us",
        ),
        (
            with_context(intervals=Intervals(intervals_goal=IntervalsGoal(400, 3, 10_000, 1_000_000))),
            f"{CONTEXT}.intervals.sample_us",
            "allowed: 10000 to 1000000",
        ),
        (with_context(nr_regions=NrRegions(2, 10)), f"{CONTEXT}.nr_regions.min", "out of range, got 2; allowed: 3"),
        (with_context(nr_regions=NrRegions(100, 50)), f"{CONTEXT}.nr_regions.min", "above max, got 100"),
        (with_context(targets=(Target(0),)), f"{CONTEXT}.targets[0].pid", "out of range, got 0; allowed: 1 to"),
        (with_context(ops="paddr", targets=(Target(), Target())), f"{CONTEXT}.targets", "one target, got 2"),
        (with_context(probes=(Probe(),) * 5), f"{CONTEXT}.probes", "too many probes, got 5; allowed: 0 to 4"),
        (
            with_context(probes=(Probe(filters=(ProbeFilter("young"),)),)),
            f"{CONTEXT}.probes[0].filters[0].type",
            "allowed: anon, memcg",
        ),
        (
            with_context(probes=(Probe(weight=1),), intervals=Intervals(1_000, 256_000)),
            f"{CONTEXT}.intervals.aggr_us",
            "allowed: less than 256 times sample_us",
        ),
        (with_context(probes=(Probe(U32_MAX), Probe(1))), f"{CONTEXT}.probes", "overflow"),
        (with_scheme(action="page_out"), f"{SCHEME}.action", "allowed: willneed, cold, pageout"),
        (
            with_scheme(access_pattern=AccessPattern(age=Range(0, 2**32))),
            f"{SCHEME}.access_pattern.age.max",
            "allowed: 0 to 4294967295",
        ),
        (with_scheme(dests=(Dest(0, -1),)), f"{SCHEME}.dests[0].weight", "out of range, got -1"),
        (with_scheme(quotas=Quotas(ms=True)), f"{SCHEME}.quotas.ms", "not a whole number"),
        (
            with_context(schemes=(Scheme(), Scheme(quotas=Quotas(weights=Weights(age_permil=2**32))))),
            f"{CONTEXT}.schemes[1].quotas.weights.age_permil",
            "got 4294967296; allowed: 0 to 4294967295",
        ),
        (with_scheme(quotas=Quotas(goal_tuner="foo")), f"{SCHEME}.quotas.goal_tuner", "allowed: consist, temporal"),
        (
            with_scheme(quotas=Quotas(goals=(QuotaGoal("full_mem_psi_us", 1),))),
            f"{SCHEME}.quotas.goals[0].target_metric",
            "some_mem_psi_us",
        ),
        (
            with_scheme(quotas=Quotas(goals=(QuotaGoal("node_memcg_used_bp", 1),))),
            f"{SCHEME}.quotas.goals[0].path",
            "not a cgroup",
        ),
        (with_scheme(watermarks=Watermarks("foo")), f"{SCHEME}.watermarks.metric", "allowed: none, free_mem_rate"),
        (with_scheme(core_filters=(Filter("anon"),)), f"{SCHEME}.core_filters[0].type", "other layer"),
        (with_scheme(ops_filters=(Filter("addr"),)), f"{SCHEME}.ops_filters[0].type", "other layer"),
        (
            with_scheme(core_filters=(Filter("addr", addr_start=8192, addr_end=4096),)),
            f"{SCHEME}.core_filters[0].addr_start",
            "above addr_end, got 8192; allowed: 0 to 4096",
        ),
        (
            with_scheme(ops_filters=(Filter("hugepage_size", min=4096, max=1024),)),
            f"{SCHEME}.ops_filters[0].min",
            "above max",
        ),
        (with_scheme(ops_filters=(Filter("memcg"),)), f"{SCHEME}.ops_filters[0].memcg_path", "not a cgroup"),
    ],
)
def test_what_the_kernel_refuses_is_refused(value: Kdamonds, field: str, reason: str) -> None:
    refused, message = refusal(value)
    assert refused == field
    assert reason in message


@pytest.mark.parametrize(
    ("regions", "bad"),
    [
        ([(40_960, 4_096)], 0),
        ([(40_960, 40_960)], 0),
        ([(4_096, 409_600), (40_960, 819_200)], 1),
        ([(81_920, 819_200), (4_096, 40_960)], 1),
        # Apart, but not once the kernel has widened them to whole pages.
        ([(10, 20), (20, 30)], 1),
    ],
)
def test_regions_are_sorted_and_apart(regions: list[tuple[int, int]], bad: int) -> None:
    target = Target(regions=tuple(AddressRange(*pair) for pair in regions))
    field, _ = refusal(with_context(targets=(target,)))
    assert field == f"{CONTEXT}.targets[0].regions[{bad}].start"


def test_addresses_of_physical_memory_are_widened_by_address_unit() -> None:
    target = Target(regions=(AddressRange(0, 3), AddressRange(4, 5)))
    validate(with_context(ops="paddr", addr_unit=4096, targets=(target,)))
    refusal(with_context(ops="paddr", addr_unit=512, targets=(target,)))


@pytest.mark.parametrize(
    ("value", "errno"),
    [
        (with_context(intervals=Intervals(200_000, 100_000)), "-EINVAL"),
        (with_context(intervals=Intervals(1, 2**64)), "-ERANGE"),
        (with_context(schemes=(Scheme(quotas=Quotas(ms=2**64)),)), "-EINVAL"),
        (with_context(schemes=(Scheme(core_filters=(Filter("addr", addr_start=2, addr_end=1),)),)), "-ENOMEM"),
    ],
)
def test_the_answer_of_the_kernel_is_named(value: Kdamonds, errno: str) -> None:
    with pytest.raises(KdamondsError, match=rf"\(Linux: {errno}\)$") as caught:
        validate(value)
    placed = caught.value.at(file="x.json", line=3)
    assert isinstance(placed, KdamondsError) and placed.errno == errno and str(placed).startswith("x.json:3: ")
