"""How fast adaptive regions find a hot block: bands of an independent model of the algorithm (Linux 6.18's rules)."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.backend.result import Trace
from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

MIB = 1 << 20
SEEDS = 30


def trace_of(hot_mib: int, minimum: int, seed: int) -> Trace:
    """1 GiB of which `hot_mib` are always accessed, 5 ms / 100 ms, `minimum`..1000 regions."""
    workload = MasimWorkload(
        "block",
        (Region("before", 512 * MIB), Region("hot", hot_mib * MIB), Region("after", (512 - hot_mib) * MIB)),
        (Phase("run", 12_000, (Pattern("hot", False, 4096, 1),)),),
    )
    kdamonds = Kdamonds.of(intervals=Intervals(5_000, 100_000, 1_000_000), nr_regions=NrRegions(minimum, 1_000))
    backend = open_backend("sim:nvme-swap", trace=True, pace=Pace("time", prefault=True))
    trace = backend.start(workload, kdamonds, seed).finish().trace
    assert trace is not None
    return trace


def found_after(trace: Trace) -> int:
    """Aggregations until at least 80 % of the block is in regions with half of the accesses and more, and 80 % of those
    regions is the block."""
    _, first, pages = next(area for area in trace.areas if area[0] == "hot")
    for i in range(len(trace.t_ms)):
        rows = slice(trace.offset[i], trace.offset[i + 1])
        start, size = trace.start_page[rows], trace.pages[rows]
        accessed = (trace.nr_accesses[rows] >= 10) & (size > 64)  # the program's own few pages are hot, too
        inside = np.clip(np.minimum(start + size, first + pages) - np.maximum(start, first), 0, None)
        if inside[accessed].sum() >= 0.8 * pages and inside[accessed].sum() >= 0.8 * size[accessed].sum():
            return i + 1
    return len(trace.t_ms) + 1


@pytest.mark.parametrize(
    ("hot_mib", "minimum", "median", "ninetieth"),
    [(256, 10, 2, 3), (64, 10, 4, 6), (16, 10, 5, 7), (64, 100, 1, 1)],
)
def test_a_hot_block_is_found_as_fast_as_the_model_says(
    hot_mib: int, minimum: int, median: int, ninetieth: int
) -> None:
    found = [found_after(trace_of(hot_mib, minimum, seed)) for seed in range(SEEDS)]
    assert abs(np.median(found) - median) <= 1.5
    assert np.quantile(found, 0.9) <= ninetieth + 3


def test_a_found_block_takes_few_regions() -> None:
    counts = [np.diff(trace_of(64, 10, seed).offset)[60:].mean() for seed in range(SEEDS)]
    # 11 in the model, and those that the program's own hot pages get
    assert 11 <= np.mean(counts) <= 22
