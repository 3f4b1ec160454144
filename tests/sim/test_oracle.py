"""The drawn sums against the plain method, which checks region by region and sample by sample.

28 comparisons of 60 seeds each. Means may differ by four standard errors (a significance of 6e-5) and three per mille
of systematic difference; distributions by a Kolmogorov-Smirnov significance of 1e-5. If the laws are the same, all 28
pass with a probability of 99.8 %.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme
from damoos.sim.backend import SimBackend
from damoos.sim.machine import load_machine
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

MIB = 1 << 20
PAGEOUT = Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(8, U32_MAX)))
KDAMONDS = Kdamonds.of(
    intervals=Intervals(5_000, 100_000, 1_000_000), nr_regions=NrRegions(10, 1_000), schemes=(PAGEOUT,)
)


def regions(count: int, mib: int) -> tuple[Region, ...]:
    return tuple(Region(f"r{i}", mib * MIB) for i in range(count))


HEAT = MasimWorkload(
    "heat",
    regions(6, 16),
    tuple(
        Phase(f"p{t}", 4000, tuple(Pattern(f"r{(i + 2 * t) % 6}", True, 1, 4**i) for i in range(6))) for t in range(2)
    ),
)
SWEEP = MasimWorkload("sweep", regions(1, 96), (Phase("p", 8000, (Pattern("r0", False, 4096, 1),)),))
TURNS = MasimWorkload(
    "turns", regions(2, 32), tuple(Phase(f"p{t}", 2000, (Pattern(f"r{t % 2}", False, 4096, 1),)) for t in range(4))
)
BATCHES = MasimWorkload(
    "batches",
    regions(3, 16),
    (Phase("p", 8000, tuple(Pattern(f"r{i}", False, 4096, (1, 5, 30)[i]) for i in range(3))),),
)
CASES = {
    "random access of graded heat, page-out": (HEAT, Pace("time", limit_per_ms=3_000, batch=16, prefault=True)),
    "slow sweep": (SWEEP, Pace("time", limit_per_ms=5, batch=1, prefault=True)),
    "turns with faults": (TURNS, Pace("work", prefault=True)),
    "long batches of three patterns": (BATCHES, Pace("time", prefault=True)),
}
MEASURES = ("runtime", "rss", "swap_out", "faults", "regions", "kdamond", "hot")
SEEDS = 60


def measure(workload: MasimWorkload, pace: Pace, exact: bool) -> np.ndarray:
    """[SEEDS, MEASURES]; `hot`: mean over aggregations of pages times nr_accesses."""
    machine = dataclasses.replace(load_machine("vm-lab"), sequential_per_ms=71_000.0)
    backend = SimBackend(machine, pace=pace, trace=True, exact=exact)
    rows = []
    for seed in range(SEEDS):
        r = backend.start(workload, KDAMONDS, seed + 1000 * exact).finish()
        assert r.trace is not None
        heat = (r.trace.pages * r.trace.nr_accesses).sum() / len(r.trace.t_ms)
        rows.append((r.runtime_s, r.rss_mean_bytes, r.swap_out_bytes, r.major_faults, r.nr_regions_mean,
                     r.kdamond_cpu_s, heat))  # fmt: skip
    return np.array(rows)


@pytest.mark.parametrize("case", CASES)
def test_same_distribution(case: str) -> None:
    workload, pace = CASES[case]
    fast, plain = measure(workload, pace, False), measure(workload, pace, True)
    for i, name in enumerate(MEASURES):
        a, b = fast[:, i], plain[:, i]
        scale = max(abs(b.mean()), 1e-9)
        if max(a.std(), b.std()) < 2e-4 * scale:
            assert a.mean() == pytest.approx(b.mean(), rel=2e-3), name
            continue
        error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / SEEDS)
        # three per mille of systematic difference is allowed: slow faulting is followed in long steps
        assert abs(a.mean() - b.mean()) < 4.0 * error + 3e-3 * scale, (name, a.mean(), b.mean(), error)
        # The exact significance fails where most values are the same.
        assert stats.ks_2samp(a, b, method="asymp").pvalue > 1e-5, name
