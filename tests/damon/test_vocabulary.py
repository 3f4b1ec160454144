"""Building kdamonds from human units, changing them, describing them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damoos.damon.access_units import age_text, nr_accesses_text, parse_age, parse_nr_accesses
from damoos.damon.attrs import Intervals, IntervalsGoal
from damoos.damon.describe import describe
from damoos.damon.filters import Filter, Probe, ProbeFilter
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import Dest, QuotaGoal, Quotas, Watermarks, Weights
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Range, Scheme
from damoos.errors import KdamondsError, UnitError
from damoos.units import U32_MAX, U64_MAX

from .strategies import kdamonds

DEFAULT = Intervals()


@pytest.mark.parametrize(
    ("value", "samples"),
    [("5 %", 1), ("4 %", 0), (5, 1), (3.7, 0), ("100%", 20), ("4 samples", 4), ("1,000 samples", 1000)]
    + [("min", 0), ("max", U32_MAX), ("18,446,744,073,709,551,615 %", U32_MAX)],
)
def test_access_rates_at_the_default_intervals(value: object, samples: int) -> None:
    assert parse_nr_accesses(value, DEFAULT) == samples


@pytest.mark.parametrize(
    ("value", "age"),
    [("5 s", 50), ("99 ms", 0), (100_000, 1), ("50 aggr_intervals", 50), ("min", 0), ("max", U32_MAX)]
    + [("10,000,000 d", U32_MAX)],
)
def test_ages_at_the_default_intervals(value: object, age: int) -> None:
    assert parse_age(value, DEFAULT) == age


def test_intervals_of_zero_count_as_a_microsecond() -> None:
    assert parse_age(7, Intervals(0, 0)) == 7
    assert parse_nr_accesses("100 %", Intervals(0, 5_000)) == 5_000


@pytest.mark.parametrize("value", ["-1 %", "5 hz", "5 aggr_intervals", "-1 samples", "4294967296 samples", None, True])
def test_refused_access_rates_name_the_forms(value: object) -> None:
    with pytest.raises(UnitError, match=r"^nr_accesses\.min: .*allowed: "):
        parse_nr_accesses(value, DEFAULT, field="nr_accesses.min")


@given(st.integers(0, U32_MAX))
def test_counts_are_exact_at_any_intervals(count: int) -> None:
    for intervals in (DEFAULT, Intervals(7_000, 23_456)):
        assert parse_nr_accesses(nr_accesses_text(count), intervals) == count
        assert parse_age(age_text(count), intervals) == count


def test_human_units() -> None:
    assert Intervals.of("5 ms", "100 ms", "1 s") == Intervals(5_000, 100_000, 1_000_000)
    assert Intervals.of() == Intervals()
    assert IntervalsGoal.of() == IntervalsGoal(400, 3, 5_000, 10_000_000)
    assert AccessPattern.of() == ANYTHING
    assert Quotas.of("10 ms", "128 MiB", "1 s") == Quotas(10, 2**27, 1_000)
    assert Weights.of(age="97.5 %") == Weights(age_permil=975)
    assert Watermarks.of("5 s", "50 %", 400, "20 %") == Watermarks("free_mem_rate", 5_000_000, 500, 400, 200)
    slow = Intervals.of("100 ms", "2 s")
    assert AccessPattern.of(intervals=slow, age=("30 s", "max")).age == Range(15, U32_MAX)
    with pytest.raises(UnitError, match="aggr_us: not a time"):
        Intervals.of(aggr="fast")


def test_the_documented_pageout_example() -> None:
    assert DOCUMENTED_PAGEOUT.action is Action.PAGEOUT
    pattern = DOCUMENTED_PAGEOUT.access_pattern
    assert (pattern.sz, pattern.nr_accesses, pattern.age) == (Range(4096, U64_MAX), Range(0, 0), Range(50, U32_MAX))


def test_schemes_are_replaced_in_the_only_context() -> None:
    value = Kdamonds.of(intervals=Intervals(1_000, 20_000), ops="paddr")
    changed = value.with_schemes([DOCUMENTED_PAGEOUT])
    assert changed.context.schemes == (DOCUMENTED_PAGEOUT,)
    assert changed.with_schemes(()) == value
    assert value.context.schemes == ()


@pytest.mark.parametrize("value", [Kdamonds(()), Kdamonds((Kdamond(()),)), Kdamonds((Kdamond(), Kdamond()))])
def test_the_only_context_must_be_the_only_one(value: Kdamonds) -> None:
    with pytest.raises(KdamondsError, match="exactly one context"):
        _ = value.context
    with pytest.raises(KdamondsError, match="exactly one context"):
        value.with_schemes(())


FULL = Kdamonds(
    (
        Kdamond(
            refresh_ms=100,
            contexts=(
                Context(
                    ops="paddr",
                    addr_unit=4096,
                    intervals=Intervals.of(goal=IntervalsGoal.of()),
                    targets=(Target(regions=(AddressRange(0x1000, 0x2000),)),),
                    probes=(Probe(5, (ProbeFilter("memcg", True, True, "/app"),)),),
                    schemes=(
                        Scheme(
                            Action.MIGRATE_COLD,
                            AccessPattern(Range(1, U64_MAX), Range(0, 2), Range(50, U32_MAX)),
                            apply_interval_us=1_000_000,
                            dests=(Dest(1, 60), Dest(2, 40)),
                            quotas=Quotas.of(
                                "10 ms",
                                "128 MiB",
                                "1 s",
                                weights=Weights.of(nr_accesses="2.5 %", age="97.5 %"),
                                goals=(QuotaGoal("node_mem_free_bp", 5, nid=1), QuotaGoal("some_mem_psi_us", 1_500)),
                            ),
                            watermarks=Watermarks.of("5 s", "50 %", "40 %", "20 %"),
                            ops_filters=(Filter("anon", matching=True), Filter("memcg", memcg_path="/app")),
                            max_nr_snapshots=9,
                        ),
                    ),
                ),
            ),
        ),
    )
)


def test_the_description_has_units() -> None:
    assert (
        describe(FULL)
        == """\
kdamond 0, statistics every 100 ms
  monitors    paddr, 4 KiB per address
  target 0    physical memory in 0x1000-0x2000
  intervals   sample 5 ms, aggregate 100 ms, update 1 m
  tuned to    4 % accesses in 3 aggregations, sample 5 ms to 10 s
  regions     10 to 1,000
  probe 0     allow memcg /app, weight 5
  scheme 0: migrate_cold to node 1 (weight 60), node 2 (weight 40) every 1 s
    size        4 KiB to max
    accesses    0 to 2 of 20 samples (0 % to 10 %)
    age         50 to max aggregations (5 s to max)
    quota       10 ms and 128 MiB per 1 s
    priority    size 0 %, accesses 2.5 %, age 97.5 %
    goal        node_mem_free_bp of node 1 0.05 %
    goal        some_mem_psi_us 1.5 ms
    tuner       consist
    watermarks  free_mem_rate high 50 %, mid 40 %, low 20 %, checked every 5 s
    filter      reject anon
    filter      reject all but memcg /app
    stops after 9 snapshots"""
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(kdamonds)
def test_everything_can_be_described(value: Kdamonds) -> None:
    text = describe(value)
    assert text.count("scheme ") >= sum(len(c.schemes) for k in value.kdamonds for c in k.contexts)
