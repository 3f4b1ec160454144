"""Random draws against SciPy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy import stats

from damoos.sim import rng as compiled
from damoos.sim.jit import callable_kernel
from damoos.sim.rng import MONITOR, SPLIT, seed_streams

DRAWS = 20_000
below, binomial, hypergeometric, uniform = (
    callable_kernel(k)
    for k in (
        compiled.below,
        compiled.binomial,
        compiled.hypergeometric,
        compiled.uniform,
    )
)


@njit
def _binomials(rng, n, p, out):
    for i in range(out.size):
        out[i] = binomial(rng, 0, n, p)


@njit
def _hypergeometrics(rng, marked, total, drawn, out):
    for i in range(out.size):
        out[i] = hypergeometric(rng, 0, marked, total, drawn)


@njit
def _uniforms(rng, stream, out):
    for i in range(out.size):
        out[i] = uniform(rng, stream)


def chi_square(draws: np.ndarray, law) -> float:
    """p-value of the draws under a discrete law; values expected less than 20 times are put together."""
    values = np.arange(draws.min(), draws.max() + 1)
    expected = law.pmf(values) * len(draws)
    keep = expected >= 20
    seen = np.array([(draws == v).sum() for v in values[keep]] + [0])
    seen[-1] = len(draws) - seen.sum()
    want = np.append(expected[keep], len(draws) - expected[keep].sum())
    if want[-1] < 5:
        seen, want = seen[:-1], want[:-1] * seen[:-1].sum() / want[:-1].sum()
    return float(stats.chisquare(seen, want).pvalue)


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (20, 0.02),
        (20, 0.5),
        (20, 0.9),
        (100, 0.3),
        (5, 0.2),
        (10_000, 0.0004),
        (10_000, 0.5),
        (2_000, 0.006),
        (400, 0.09),
        (32_768, 0.03),
        (300, 0.97),
        (1_000_000, 0.01),
    ],
)
def test_binomial(n: int, p: float) -> None:
    out = np.zeros(DRAWS, np.int64)
    _binomials(seed_streams(11), n, p, out)
    law = stats.binom(n, p)
    assert abs(out.mean() - law.mean()) < 4.5 * law.std() / DRAWS**0.5
    if law.std() < 80:
        assert chi_square(out, law) > 1e-4
    else:
        assert (
            stats.kstest(
                out + np.random.default_rng(1).random(DRAWS) - 0.5, stats.norm(law.mean(), law.std()).cdf
            ).pvalue
            > 1e-4
        )


@pytest.mark.parametrize(("n", "p", "expected"), [(0, 0.5, 0), (7, 0.0, 0), (7, 1.0, 7), (-1, 0.5, 0)])
def test_binomial_at_the_borders(n: int, p: float, expected: int) -> None:
    assert binomial(seed_streams(1), 0, n, p) == expected


@pytest.mark.parametrize(
    ("marked", "total", "drawn"),
    [(5, 50, 10), (30, 100, 90), (400, 2_000, 700), (20_000, 32_768, 3_000), (1, 1_000, 3)],
)
def test_hypergeometric(marked: int, total: int, drawn: int) -> None:
    out = np.zeros(DRAWS, np.int64)
    _hypergeometrics(seed_streams(5), marked, total, drawn, out)
    law = stats.hypergeom(total, marked, drawn)
    assert out.min() >= max(0, drawn + marked - total) and out.max() <= min(marked, drawn)
    assert abs(out.mean() - law.mean()) < 4.5 * law.std() / DRAWS**0.5
    assert abs(out.std() / law.std() - 1) < 0.03


@pytest.mark.parametrize(
    ("marked", "total", "drawn", "expected"), [(0, 10, 5, 0), (10, 10, 5, 5), (3, 10, 10, 3), (3, 10, 0, 0)]
)
def test_hypergeometric_at_the_borders(marked: int, total: int, drawn: int, expected: int) -> None:
    assert hypergeometric(seed_streams(1), 0, marked, total, drawn) == expected


def test_uniform_is_uniform_and_streams_differ() -> None:
    rng = seed_streams(3)
    a, b = np.zeros(DRAWS), np.zeros(DRAWS)
    _uniforms(rng, MONITOR, a)
    _uniforms(rng, SPLIT, b)
    assert stats.kstest(a, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.03
    assert set(np.unique([below(rng, SPLIT, 9) for _ in range(500)])) == set(range(9))


def test_streams_depend_on_seed_and_environment_only() -> None:
    assert (seed_streams(4) == seed_streams(4)).all()
    assert (seed_streams(4) != seed_streams(5)).any()
    assert (seed_streams(4, 0) != seed_streams(4, 1)).any()
