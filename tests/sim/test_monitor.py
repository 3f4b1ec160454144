"""The law of access checks: the sum over a stretch of sampling intervals against SciPy's binomial distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from damoos.sim import monitor
from damoos.sim.handle import Handle
from damoos.sim.jit import callable_kernel
from damoos.sim.state import MAX_NR_ACCESSES, NR_SAMPLED, State

from .states import rows_of, state_of
from .test_rng import chi_square

check_accesses, check_each = callable_kernel(monitor.check_accesses), callable_kernel(monitor.check_each)
note_greatest = callable_kernel(monitor.note_greatest)

PAGES = 4096  # of the only workload region of the test states, which starts at page 0
REGIONS, ROUNDS = 64, 320


def touched(rows: list[tuple[int, int]], n: int, p: float) -> tuple[State, Handle, int]:
    """Regions of a state whose workload region has its pages touched with probability `p` in `n` intervals."""
    state, handle = state_of(rows)
    a = int(np.flatnonzero(state.area_start == 0)[0])
    state.hit_p[a], state.hit_n[a] = p, n
    return state, handle, a


def draws(state: State, handle: Handle, n: int) -> np.ndarray:
    seen = []
    for _ in range(ROUNDS):
        state.nr_accesses[:] = 0
        check_accesses(handle, n)
        seen += [r[2] for r in rows_of(state)]
    return np.array(seen)


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (1, 0.4),
        (20, 0.0005),
        (20, 0.05),
        (20, 0.5),
        (20, 0.97),
        (21, 0.2),
        (22, 0.7),
        (104, 0.3),
        (105, 0.3),
        (200, 0.04),
    ],
)
def test_counts_of_regions_inside_an_area_are_binomial(n: int, p: float) -> None:
    """At a significance of 1e-4 each."""
    size = PAGES // REGIONS
    state, handle, _ = touched([(i * size, i * size + size) for i in range(REGIONS)], n, p)
    counts = draws(state, handle, n)
    law = stats.binom(n, p)
    assert abs(counts.mean() - law.mean()) < 4.5 * law.std() / len(counts) ** 0.5
    assert chi_square(counts, law) > 1e-4


def test_counts_change_with_the_chance_from_stretch_to_stretch() -> None:
    size = PAGES // REGIONS
    state, handle, a = touched([(i * size, i * size + size) for i in range(REGIONS)], 20, 0.5)
    draws(state, handle, 20)
    for n, p in ((20, 0.2), (10, 0.2), (10, 0.7)):
        state.hit_p[a], state.hit_n[a] = p, n
        assert chi_square(draws(state, handle, n), stats.binom(n, p)) > 1e-4


@pytest.mark.parametrize("p", [0.1, 0.6, 1.0])
def test_a_region_across_an_area_s_border_sees_the_mean_over_its_pages(p: float) -> None:
    # A quarter of its pages lies in the workload's region, the rest behind it, where nothing is touched.
    state, handle, _ = touched([(PAGES - 100, PAGES + 300)], 20, p)
    counts = draws(state, handle, 20)
    assert abs(counts.mean() - 20 * p / 4) < 4.5 * stats.binom(20, p / 4).std() / ROUNDS**0.5


def test_certain_and_impossible_checks_draw_nothing() -> None:
    for p, count in ((0.0, 0), (1.0, 20)):
        state, handle, _ = touched([(0, 1000), (1000, PAGES), (PAGES, PAGES + 50)], 20, p)
        before = state.rng.copy()
        check_accesses(handle, 20)
        note_greatest(handle)
        assert [r[2] for r in rows_of(state)] == [count, count, 0]
        assert (state.rng == before).all()
        assert state.n[MAX_NR_ACCESSES] == count and state.n[NR_SAMPLED] == 60


def test_both_methods_agree_in_the_mean() -> None:
    size = PAGES // REGIONS
    rows = [(i * size, i * size + size) for i in range(REGIONS)]
    state, handle, _ = touched(rows, 1, 0.3)
    for _ in range(ROUNDS):
        check_each(handle)
    plain = np.array([r[2] for r in rows_of(state)])
    assert abs(plain.mean() - ROUNDS * 0.3) < 4.5 * (ROUNDS * 0.21 / REGIONS) ** 0.5
