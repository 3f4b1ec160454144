"""Intervals and seeds against SciPy and counting."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from damoos.tune.seeds import Stream, run_seeds, sampler_seed
from damoos.tune.statistics import t_interval, t_quantile


@given(st.floats(0.51, 0.9995), st.integers(1, 200))
@settings(deadline=None)
def test_quantiles_are_scipys(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-6)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_intervals_are_scipys(numbers: list[float], confidence: float) -> None:
    found = t_interval(numbers, confidence)
    if max(numbers) - min(numbers) > 1e-6:
        expected = stats.ttest_1samp(numbers, 0).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)
    assert found.low <= found.mean <= found.high


def test_one_number_is_its_own_interval() -> None:
    found = t_interval([3.5])
    assert (found.low, found.mean, found.high) == (3.5, 3.5, 3.5)


@given(st.integers(0, 2**63), st.integers(1, 2000))
@settings(deadline=None, max_examples=20)
def test_no_seed_is_used_for_two_things(study: int, count: int) -> None:
    streams = [run_seeds(study, stream, count) for stream in (Stream.SEARCH, Stream.FINAL, Stream.VERIFY)]
    everything = [seed for seeds in streams for seed in seeds]
    assert len(set(everything)) == 3 * count
    assert all(0 <= seed < 2**32 for seed in everything)
    assert run_seeds(study, Stream.VERIFY, 2 * count)[:count] == streams[2]


def test_studies_and_trials_have_seeds_of_their_own() -> None:
    assert len({run_seeds(study, Stream.SEARCH, 1) for study in range(1000)}) == 1000
    assert len({sampler_seed(study, trial) for study in range(50) for trial in range(50)}) == 2500
