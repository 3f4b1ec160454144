"""Which kernel a configuration needs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from damoos.damon.attrs import Intervals, IntervalsGoal
from damoos.damon.features import FIRST_KERNEL, kernel_version, missing_on, needed_kernel
from damoos.damon.filters import CORE_FILTER_TYPES, OPS_FILTER_TYPES, Filter, Probe
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, OPS, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import GOAL_METRICS, GOAL_TUNERS, Dest, QuotaGoal, Quotas
from damoos.damon.schemes import Action, Scheme
from damoos.errors import InputError

from .strategies import kdamonds

CONTEXT = "kdamonds[0].contexts[0]"
SCHEME = f"{CONTEXT}.schemes[0]"


def with_context(**changes: Any) -> Kdamonds:
    return Kdamonds().with_context(dataclasses.replace(Context(), **changes))


def with_scheme(**changes: Any) -> Kdamonds:
    return with_context(schemes=(Scheme(**changes),))


@pytest.mark.parametrize(
    ("value", "path", "since"),
    [
        (Kdamonds((Kdamond(refresh_ms=100),)), "kdamonds[0].refresh_ms", "6.17"),
        (with_context(ops="fvaddr"), f"{CONTEXT}.ops", "5.19"),
        (with_context(addr_unit=4096), f"{CONTEXT}.addr_unit", "6.18"),
        (with_context(pause=True), f"{CONTEXT}.pause", "7.2"),
        (with_context(intervals=Intervals.of(goal=IntervalsGoal.of())), f"{CONTEXT}.intervals.intervals_goal", "6.15"),
        (with_context(probes=(Probe(),)), f"{CONTEXT}.probes", "7.2"),
        (with_context(probes=(Probe(weight=1),)), f"{CONTEXT}.probes[0].weight", "7.3"),
        (with_context(targets=(Target(obsolete=True),)), f"{CONTEXT}.targets[0].obsolete", "6.19"),
        (with_scheme(action=Action.COLLAPSE), f"{SCHEME}.action", "7.2"),
        (with_scheme(action=Action.MIGRATE_HOT), f"{SCHEME}.action", "6.11"),
        (with_scheme(target_nid=0), f"{SCHEME}.target_nid", "6.11"),
        (with_scheme(dests=(Dest(),)), f"{SCHEME}.dests", "6.17"),
        (with_scheme(apply_interval_us=1), f"{SCHEME}.apply_interval_us", "6.7"),
        (with_scheme(max_nr_snapshots=1), f"{SCHEME}.max_nr_snapshots", "7.0"),
        (with_scheme(ops_filters=(Filter("anon"),)), f"{SCHEME}.ops_filters[0]", "6.3"),
        (with_scheme(core_filters=(Filter("addr"),)), f"{SCHEME}.core_filters[0].type", "6.6"),
        (with_scheme(ops_filters=(Filter("anon", allow=True),)), f"{SCHEME}.ops_filters[0].allow", "6.14"),
        (with_scheme(quotas=Quotas(goals=(QuotaGoal(),))), f"{SCHEME}.quotas.goals", "6.8"),
        (
            with_scheme(quotas=Quotas(goals=(QuotaGoal("active_mem_bp"),))),
            f"{SCHEME}.quotas.goals[0].target_metric",
            "7.0",
        ),
        (with_scheme(quotas=Quotas(goal_tuner="temporal")), f"{SCHEME}.quotas.goal_tuner", "7.1"),
        (with_scheme(quotas=Quotas(fail_charge_denom=1)), f"{SCHEME}.quotas.fail_charge_denom", "7.2"),
    ],
)
def test_each_feature_has_its_first_kernel(value: Kdamonds, path: str, since: str) -> None:
    major, minor = kernel_version(since)
    before = f"{major}.{minor - 1}" if minor else f"{major - 1}.99"
    assert (path, since) in missing_on(value, before)
    assert missing_on(value, since) == []
    assert needed_kernel(value) == since


def test_the_documented_example_runs_on_every_kernel_with_the_interface() -> None:
    value = Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
    assert needed_kernel(value) == "5.18"
    assert missing_on(value, "5.17") == [("kdamonds[0].contexts", "5.18")]


def test_releases_of_distributions_are_understood() -> None:
    assert kernel_version("6.12.117+deb13-cloud-amd64") == (6, 12)
    assert missing_on(with_context(pause=True), "7.10-rc1") == []
    for bad in ("", "linux", "6", "v6.12"):
        with pytest.raises(InputError, match="not a kernel version"):
            kernel_version(bad)


def test_every_keyed_word_exists() -> None:
    words = {
        "ops": OPS,
        "action": tuple(Action),
        "filters.type": CORE_FILTER_TYPES + OPS_FILTER_TYPES,
        "goals.target_metric": GOAL_METRICS,
        "goal_tuner": GOAL_TUNERS,
    }
    for feature in FIRST_KERNEL:
        field, equals, word = feature.partition("=")
        assert not equals or word in words[field]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(kdamonds)
def test_newer_kernels_lack_less(value: Kdamonds) -> None:
    missing = [set(missing_on(value, kernel)) for kernel in ("5.17", "6.6", "6.12", "7.0", "7.3")]
    assert missing == sorted(missing, key=len, reverse=True)
    assert missing[-1] == set()
    assert missing_on(value, needed_kernel(value)) == []
