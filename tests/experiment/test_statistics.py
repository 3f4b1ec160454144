"""Figures against their definitions, and against SciPy."""

import numpy as np
import pytest

from damoos.experiment.statistics import improvement, interquartile_mean, mean_of, share_above, stratified_bootstrap

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
