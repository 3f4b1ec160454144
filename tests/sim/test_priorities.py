"""Scores of regions and the least score under a quota, by the vectors of the formulas."""

from __future__ import annotations

import pytest

from damoos.damon.filters import Filter
from damoos.damon.quotas import Quotas, Weights
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.sim import priorities
from damoos.sim.jit import callable_kernel
from damoos.sim.tables import Q_ESZ, Q_MIN_SCORE, S_SCORE, SCORE_COLD, SCORE_SAME

from .states import state_of

hot_score = callable_kernel(priorities.hot_score)
set_min_score = callable_kernel(priorities.set_min_score)
PAGE = 4096


@pytest.mark.parametrize(
    ("nr", "age", "weights", "hot"),
    [
        (0, 0, (1, 1), 24),
        (0, 10, (1, 1), 23),
        (0, 1200, (1, 1), 18),
        (0, 36000, (1, 1), 14),
        (0, 1200, (0, 1), 38),
        (0, 36000, (0, 1), 30),
        (20, 0, (1, 1), 74),
        (20, 1200, (1, 1), 79),
        (10, 1200, (1, 1), 54),
        (1, 1200, (1, 1), 31),
        (10, 100, (1, 0), 49),
        (5, 20, (3, 7), 43),
        (7, 77, (0, 0), 0),
    ],
)
def test_score(nr: int, age: int, weights: tuple[int, int], hot: int) -> None:
    assert hot_score(nr, age, 20, 100_000, *weights) == hot


def test_a_rate_below_a_hundredth_scores_as_idle() -> None:
    assert hot_score(1, 1200, 200, 100_000, 1, 1) == hot_score(0, 1200, 200, 100_000, 1, 1)


def pageout(*filters: Filter) -> Scheme:
    return Scheme(
        Action.PAGEOUT,
        ANYTHING,
        quotas=Quotas(bytes=1, weights=Weights(nr_accesses_permil=1, age_permil=0)),
        core_filters=filters,
    )


@pytest.mark.parametrize(
    ("esz", "expected"), [(5 * PAGE, 80), (10 * PAGE, 80), (11 * PAGE, 60), (40 * PAGE, 60), (200 * PAGE, 0)]
)
def test_the_least_score_is_that_from_which_on_regions_fill_the_quota(esz: int, expected: int) -> None:
    # Their cold scores are 80, 60, 20.
    state, handle = state_of([(0, 10, 20), (10, 40, 40), (40, 140, 80)], samples=100, schemes=[pageout()])
    state.quota[0, Q_ESZ] = esz
    set_min_score(handle, 0)
    assert state.quota[0, Q_MIN_SCORE] == expected


@pytest.mark.parametrize(("kernel", "expected"), [("7.3", 60), ("7.0", 80)])
def test_what_core_filters_reject_does_not_count_since_7_1(kernel: str, expected: int) -> None:
    keep = Filter("addr", matching=True, allow=False, addr_start=0, addr_end=5 * PAGE)
    regions = [(0, 10, 20), (10, 40, 40)]
    state, handle = state_of(regions, samples=100, schemes=[pageout(keep)], kernel=kernel)
    state.quota[0, Q_ESZ] = 6 * PAGE
    set_min_score(handle, 0)
    assert state.quota[0, Q_MIN_SCORE] == expected


def test_only_actions_with_a_direction_are_prioritised_and_only_by_weights() -> None:
    stat = Scheme(Action.STAT, ANYTHING, quotas=Quotas(bytes=1, weights=Weights(0, 1, 1)))
    plain = Scheme(Action.PAGEOUT, ANYTHING, quotas=Quotas(bytes=1))
    state, _ = state_of([], schemes=[pageout(), stat, plain])
    assert state.scheme[:, S_SCORE].tolist() == [SCORE_COLD, SCORE_SAME, SCORE_SAME]
