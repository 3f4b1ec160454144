from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.workload.access import PAGE, expected_heat, heat_between
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import MASIM_BATCH

from .oracle import touched_share

MIB = 2**20
BATCHES = 12  # in a window of 100 ms
RATE = BATCHES * MASIM_BATCH / 100

RUNS = {
    "random, far larger than a window's accesses": ([8192], [Pattern("r0", True, 0, 1)]),
    "random beside a hot region": ([4, 2048], [Pattern("r0", False, 4096, 20), Pattern("r1", True, 0, 1)]),
    "a seldom sweep of everything": ([4, 64], [Pattern("r0", False, 4096, 12), Pattern("r1", False, 4096, 1)]),
    "sweeps that pass a third each": ([4, 1536], [Pattern("r0", False, 4096, 3), Pattern("r1", False, 4096, 1)]),
    "one page in four": ([64], [Pattern("r0", False, 4 * PAGE, 1)]),
    "a slow sweep": ([512], [Pattern("r0", False, 64, 1)]),
    "two patterns on one region": ([1024], [Pattern("r0", True, 0, 1), Pattern("r0", False, 256, 3)]),
}


@pytest.mark.parametrize("run", RUNS)
def test_agrees_with_doing_it(run: str) -> None:
    """The formulas against single accesses: mean share of pages touched in a window."""
    sizes, patterns = RUNS[run]
    regions = tuple(Region(f"r{i}", mib * MIB) for i, mib in enumerate(sizes))
    phase = Phase("run", 60_000, tuple(patterns))
    windows = 80 if run.startswith("a seldom") else 25
    done = touched_share(phase, {r.name: r.sz for r in regions}, BATCHES, windows, np.random.default_rng(1))
    edges = np.cumsum([0.0, *(float(r.sz) for r in regions)])
    heat = heat_between(MasimWorkload("w", regions, (phase,)), RATE, np.array([0.0, 60_000.0]), edges)
    assert heat[0] == pytest.approx([done[r.name] for r in regions], rel=0.2, abs=0.01)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 100_000), st.integers(0, 1000)), max_size=4),
    st.floats(1, 1e6),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_is_a_probability(patterns: list[tuple[bool, int, int]], rate: float, times: int, places: int) -> None:
    phase = Phase("run", 10_000, tuple(Pattern("a", *p) for p in patterns))
    workload = MasimWorkload("w", (Region("a", 3 * MIB), Region("b", 100)), (phase, Phase("idle", 5_000, ())))
    heat = expected_heat(workload, rate, times, places)
    assert heat.shape == (times, places)
    assert (heat >= -1e-12).all() and (heat <= 1 + 1e-12).all()


def test_phases_and_regions_are_where_they_should_be() -> None:
    regions = (Region("a", 2 * MIB), Region("b", 2 * MIB))
    phases = tuple(Phase(name, 1000, (Pattern(name, False, 4096, 1),)) for name in ("a", "b", "a"))
    heat = expected_heat(MasimWorkload("w", regions, phases), 60_000, 6, 4)
    a, b = [1, 1, 0, 0], [0, 0, 1, 1]
    assert heat.tolist() == [a, a, b, b, a, a]


def test_bins_that_cross_a_border_hold_means() -> None:
    regions = (Region("a", MIB), Region("b", 3 * MIB))
    phases = (Phase("on", 1000, (Pattern("a", False, 4096, 1),)), Phase("off", 3000, ()))
    assert expected_heat(MasimWorkload("w", regions, phases), 60_000, 1, 1) == pytest.approx(1 / 16)


def test_a_slow_sweep_is_seen_on_its_way() -> None:
    """One pass in 10 s: each tenth of the time touches its tenth of the memory, and no other."""
    size = 100 * MIB
    rate = size / 64 / 10_000
    phase = Phase("run", 10_000, (Pattern("a", False, 64, 1),))
    heat = expected_heat(MasimWorkload("w", (Region("a", size),), (phase,)), rate, 10, 10)
    assert heat == pytest.approx(np.eye(10) * 0.1)  # each page in one of the ten windows of its second


def test_a_probability_of_zero_accesses_nothing() -> None:
    phase = Phase("idle", 1000, (Pattern("a", False, 4096, 0),))
    assert not expected_heat(MasimWorkload("w", (Region("a", MIB),), (phase,)), 60_000, 3, 3).any()
