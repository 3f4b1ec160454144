"""Points, values and kdamonds: both ways, in people's units and the kernel's."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos import units
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.schemes import Action
from damoos.damon.validation import validate
from damoos.errors import ConfigError
from damoos.tune.preset import load_env
from damoos.tune.space import Condition, Parameter, Space

from .spaces import ACTION, AGE, FLOOR, MIXED, QUOTA, RATE, SAMPLE, SAMPLES, SCHEME, points

PARSERS: dict[str, Callable[[str], Any]] = {
    "time": units.parse_time_us,
    "size": units.parse_size_bytes,
    "percent": lambda text: float(units.parse_percent(text)),
    "count": units.parse_count,
    "choice": str,
}


@given(points(MIXED))
@settings(deadline=None)
def test_values_survive_the_way_to_a_point_and_back(point: list[float]) -> None:
    values = MIXED.decode(point)
    assert MIXED.decode(MIXED.encode(values)) == values


@given(points(MIXED))
@settings(deadline=None)
def test_kdamonds_survive_the_way_to_values_and_back(point: list[float]) -> None:
    kdamonds = MIXED.kdamonds(MIXED.decode(point))
    assert MIXED.kdamonds(MIXED.read(kdamonds)) == kdamonds


@given(points(MIXED))
@settings(deadline=None)
def test_the_kernel_takes_every_point(point: list[float]) -> None:
    kdamonds = MIXED.kdamonds(MIXED.decode(point))
    validate(kdamonds)
    intervals = kdamonds.context.intervals
    assert intervals.sample_us <= intervals.aggr_us


@given(points(MIXED))
@settings(deadline=None)
def test_bounds_are_rounded_inward_with_the_intervals_of_the_same_point(point: list[float]) -> None:
    values = MIXED.decode(point)
    context = MIXED.kdamonds(values).context
    pattern, aggr_us = context.schemes[0].access_pattern, context.intervals.aggr_us
    assert aggr_us == values["sample"] * values["samples"]  # type: ignore[operator]
    assert pattern.age.min == math.ceil(values["min_age"] / aggr_us)  # type: ignore[operator]
    share = 100 / values["samples"]  # type: ignore[operator]
    assert pattern.nr_accesses.max * share <= values["max_rate"] + 1e-9 < (pattern.nr_accesses.max + 1) * share + 1e-6
    assert (pattern.nr_accesses.min - 1) * share - 1e-6 < values["min_rate"] <= pattern.nr_accesses.min * share + 1e-9


@given(points(MIXED))
@settings(deadline=None)
def test_texts_read_back_to_the_same_values(point: list[float]) -> None:
    values = MIXED.decode(point)
    texts = MIXED.texts(values)
    kinds = {parameter.name: parameter.kind for parameter in MIXED.parameters}
    assert {name: PARSERS[kinds[name]](text) for name, text in texts.items()} == values


@pytest.mark.parametrize("parameter", [AGE, RATE, SAMPLE, SAMPLES, QUOTA], ids=lambda p: p.name)
def test_ends_and_middle(parameter: Parameter) -> None:
    assert (parameter.at(0.0), parameter.at(1.0)) == (parameter.low, parameter.high)
    assert (parameter.at(-7), parameter.at(7)) == (parameter.low, parameter.high)
    middle = parameter.at(0.5)
    assert isinstance(middle, int | float)
    expected = (
        math.sqrt(parameter.low * parameter.high) if parameter.scale == "log" else (parameter.low + parameter.high) / 2
    )
    # within the coarseness of the grid: three digits of a time, whole pages, whole counts
    assert middle == pytest.approx(expected, rel=0.03)


def test_choices_share_the_line_equally() -> None:
    chosen = [ACTION.at(u) for u in np.linspace(0, 1, 300)]
    assert [chosen.count(c) for c in ACTION.choices] == [100, 100, 100]


def test_a_parameter_counts_only_under_its_condition() -> None:
    base = Kdamonds.of(schemes=[SCHEME])
    space = Space((ACTION, QUOTA), base)
    paging, cold = space.decode([0.0, 0.2]), space.decode([0.5, 0.2])
    assert set(paging) == {"action", "quota"} and set(cold) == {"action"}
    assert space.kdamonds(paging).context.schemes[0].quotas.bytes == paging["quota"]
    assert space.kdamonds(cold).context.schemes[0].quotas == SCHEME.quotas
    assert space.kdamonds(cold).context.schemes[0].action is Action.COLD
    assert space.read(space.kdamonds(cold)) == cold
    # Where the inactive one's coordinate is makes no difference.
    assert space.decode([0.5, 0.9]) == cold


def test_conditions_chain() -> None:
    third = dataclasses.replace(FLOOR, when=Condition("quota", (QUOTA.default,)))
    space = Space((ACTION, QUOTA, third), Kdamonds.of(schemes=[SCHEME]))
    at_default = QUOTA.coordinate(QUOTA.default)
    assert "min_rate" in space.decode([0.0, at_default, 0.5])
    assert "min_rate" not in space.decode([0.0, 1.0, 0.5])
    assert "min_rate" not in space.decode([0.5, at_default, 0.5])


def test_reclaims_default_is_the_documented_example_at_kernel_defaults() -> None:
    space = load_env("reclaim").space
    assert space.kdamonds(space.defaults()) == Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])


@given(st.integers(1, 10**9))
def test_snapping_is_idempotent_and_close(value: int) -> None:
    wide = dataclasses.replace(AGE, low=1, high=10**10, default=1)
    snapped = wide.snap(value)
    assert wide.snap(snapped) == snapped
    assert abs(snapped - value) <= 0.005 * value + 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": 60_000_000}, "low must be below high"),
        ({"low": 0}, "log scale starts above 0"),
        ({"default": 70_000_000}, "out of range"),
        ({"default": 5_000_001}, "too fine"),
        ({"place": "schemes[1].access_pattern.age.min"}, "an index below 1"),
        ({"place": "schemes[0].age.min"}, "access_pattern"),
        ({"place": "schemes[0].access_pattern.age"}, "not a single value"),
        ({"when": Condition("nothing", (1,))}, "no parameter before it"),
    ],
)
def test_what_can_not_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="min_age") as caught:
        Space((dataclasses.replace(AGE, **changes),), Kdamonds.of(schemes=[SCHEME]))
    assert message in str(caught.value)


def test_sampling_can_not_get_longer_than_aggregation() -> None:
    aggregation = Parameter("aggr", "x", "intervals.aggr_us", "time", 100_000, 5_000, 10**6)
    with pytest.raises(ConfigError, match="samples_per_aggregation"):
        Space((SAMPLE, aggregation), Kdamonds.of())


def test_an_unknown_word_is_refused_when_the_space_is_made() -> None:
    with pytest.raises(ConfigError, match="pageout"):
        Space(
            (dataclasses.replace(ACTION, choices=("page_out", "cold"), default="page_out"),),
            Kdamonds.of(schemes=[SCHEME]),
        )
