"""Figures against their definitions, and against SciPy."""

import numpy as np
import pytest

from damoos.experiment.statistics import (
    improvement,
    interquartile_mean,
    mean_of,
    profile,
    share_above,
    stratified_bootstrap,
)

stats = pytest.importorskip("scipy.stats")
RNG = np.random.default_rng(5)
OURS, THEIRS = RNG.normal(1.0, 1.0, (6, 12)), RNG.normal(0.5, 1.0, (6, 9)).round(1)


def test_the_interquartile_mean_is_scipys_trimmed_mean() -> None:
    assert interquartile_mean(OURS) == pytest.approx(stats.trim_mean(OURS, 0.25, axis=None))
    stacked = np.stack([OURS, 2.0 * OURS])
    assert interquartile_mean(stacked) == pytest.approx([interquartile_mean(OURS), 2.0 * interquartile_mean(OURS)])


def test_the_probability_of_improvement_is_mann_whitneys_u() -> None:
    ours = OURS.round(1)
    pairs = [stats.mannwhitneyu(a, b).statistic / (12 * 9) for a, b in zip(ours, THEIRS, strict=True)]
    assert improvement(ours, THEIRS) == pytest.approx(np.mean(pairs))
    assert improvement(ours, ours) == pytest.approx(0.5)


def test_shares_are_counted() -> None:
    assert share_above(np.array([[0.95, 0.9], [1.0, 0.0]]), 0.95) == 0.5


def test_the_interval_holds_what_it_should() -> None:
    inside = 0
    for seed in range(100):
        low, high = stratified_bootstrap(mean_of, RNG.normal([[0.0], [1.0]], 1.0, (2, 40)), seed=seed)
        inside += low <= 0.5 <= high
    assert 88 <= inside <= 100


def test_the_interval_of_a_comparison_draws_both_sides() -> None:
    low, high = stratified_bootstrap(improvement, OURS, THEIRS)
    assert low < improvement(OURS, THEIRS) < high
    assert stratified_bootstrap(improvement, OURS, THEIRS) == (low, high)


def test_a_profile_is_the_share_above_each_threshold() -> None:
    shares, low, high = profile(OURS, (-1.0, 0.5, 1.0))
    survival = 1.0 - stats.ecdf(OURS.ravel()).cdf.evaluate([-1.0, 0.5, 1.0])
    assert shares == pytest.approx(survival)
    assert (low <= shares).all() and (shares <= high).all() and (low < high).tolist() == [False, True, True]
    # One bootstrap for all thresholds: that of the share alone.
    assert (low[1], high[1]) == stratified_bootstrap(mean_of, (OURS > 0.5).astype(float))


def test_the_bootstrap_draws_seeds_within_tasks() -> None:
    # Without spread within a task nothing is left to draw, however far tasks are apart.
    assert stratified_bootstrap(mean_of, np.array([[1.0, 1.0], [9.0, 9.0]])) == (5.0, 5.0)
    paired = stratified_bootstrap(mean_of, OURS)
    drawn = np.random.default_rng(0).integers(12, size=(2_000, 6, 12))
    means = np.array([np.mean([OURS[t, seeds[t]] for t in range(6)]) for seeds in drawn])
    assert paired == pytest.approx(np.quantile(means, [0.025, 0.975]))
