#!/usr/bin/env python3
"""How fast the simulator is, figure by figure, as ratios of the project's goals.

    sim_speed.py [--json] [--seconds N] [--rounds N]

mixed: eight equal ranges of random access, 0 to 5,000 accesses per page and second, that change places every 7.5 s;
about 40 regions. saturated: every page is accessed in half of all sampling intervals, which keeps about 700 regions
apart. Both 1 GiB, 5 ms/100 ms, 10..1000 regions, with a page-out scheme of 3 s, on one core.

large memory: mixed, only watched, with 1 TiB at the same accesses per page (paging 1 TiB out would keep kdamond busy
for minutes). linear: what a region costs in saturated with at most
10,000 regions, over the same with at most 1,000. batch: runs of mixed side by side, a simulated second a step, on all
CPUs of this process. start: from the start of Python to the end of a first run, with and without a cache of compiled
code. memory: what a run with 1,000 regions keeps. Figures are medians over rounds; goals are no tests, and another
load on the machine spoils all but the last.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from damoos.damon.attrs import Intervals, NrRegions  # noqa: E402
from damoos.damon.kdamonds import Kdamonds  # noqa: E402
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme  # noqa: E402
from damoos.sim.backend import SimBackend  # noqa: E402
from damoos.sim.batch import SimBatch  # noqa: E402
from damoos.sim.machine import load_machine  # noqa: E402
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region  # noqa: E402
from damoos.workload.pace import Pace  # noqa: E402

GIB = 1 << 30
HEAT = (0, 20, 500, 5_000, 50_000, 139_000, 1_000_000, 5_000_000)  # accesses per 1,000 pages and second
ROTATE_MS = 7_500
KDAMONDS = Kdamonds.of(
    intervals=Intervals(5_000, 100_000, 1_000_000),
    nr_regions=NrRegions(10, 1_000),
    schemes=(Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(30, U32_MAX))),),
)
WATCHING = KDAMONDS.with_context(dataclasses.replace(KDAMONDS.context, schemes=()))


class Speed(NamedTuple):
    """Of one case: simulated seconds per second, and regions after merging."""

    s_per_s: float
    regions: float


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure and its goal; `more`: whether more is better."""

    name: str
    value: float
    unit: str
    goal: float
    more: bool

    @property
    def ratio(self) -> float:
        """How well the goal is met: 1 and more, it is."""
        return self.value / self.goal if self.more else self.goal / self.value


def mixed(total_bytes: int, seconds: int) -> tuple[MasimWorkload, float, int]:
    """The workload, its accesses per ms, and per choice of a pattern."""
    count = len(HEAT)
    size = total_bytes // count
    regions = tuple(Region(f"r{i}", size) for i in range(count))
    phases = tuple(
        Phase(
            f"turn {t}",
            ROTATE_MS,
            tuple(
                Pattern(f"r{i}", True, 1, HEAT[(i * 3 + t) % count]) for i in range(count) if HEAT[(i * 3 + t) % count]
            ),
        )
        for t in range(seconds * 1000 // ROTATE_MS)
    )
    return MasimWorkload("mixed", regions, phases), sum(HEAT) / 1000 * (size / 4096) / 1000, 64


def saturated(total_bytes: int, seconds: int) -> tuple[MasimWorkload, float, int]:
    """As `mixed`: a page is missed in a sampling interval with probability 1/2, and no memory is hot, since batches are
    so long that the program's own pages are hardly touched; a hot page anywhere would keep the regions few."""
    workload = MasimWorkload(
        "saturated", (Region("all", total_bytes),), (Phase("run", seconds * 1000, (Pattern("all", True, 1, 1),)),)
    )
    return workload, total_bytes / 4096 * 0.6931 / 5.05, 1 << 34


def simulator(per_ms: float, batch: int) -> SimBackend:
    machine = dataclasses.replace(load_machine("zram"), random_per_ms=per_ms, batch_us=0.0)
    return SimBackend(machine, pace=Pace("time", batch=batch, prefault=True))


def measure(case: tuple[MasimWorkload, float, int], rounds: int, kdamonds: Kdamonds = KDAMONDS) -> Speed:
    """Medians over rounds: simulated seconds per second of CPU time, regions after merging."""
    workload, per_ms, batch = case
    backend = simulator(per_ms, batch)
    speeds, regions = [], []
    for seed in range(rounds + 1):
        begun = time.process_time()
        result = backend.start(workload, kdamonds, seed).finish()
        if seed:  # the first round warms caches up
            speeds.append(result.runtime_s / (time.process_time() - begun))
            regions.append(result.nr_regions_mean)
    return Speed(statistics.median(speeds), statistics.median(regions))


def with_most(most: int) -> Kdamonds:
    context = dataclasses.replace(KDAMONDS.context, nr_regions=NrRegions(10, most))
    return KDAMONDS.with_context(context)


def steps_per_s(runs: int, steps: int) -> float:
    """Session-steps of a simulated second per second, median over the steps."""
    workload, per_ms, batch = mixed(GIB, 60 + 8 * (steps // 7))
    backend = simulator(per_ms, batch)
    took = []
    with SimBatch([backend.start(workload, KDAMONDS, seed) for seed in range(runs)]) as together:
        for _ in range(steps):
            begun = time.perf_counter()
            together.advance(1.0)
            took.append(time.perf_counter() - begun)
    return runs / statistics.median(took[2:])


def start_s(cache: str) -> float:
    """Seconds of a Python of its own from start to end that simulates one run."""
    code = (
        "from damoos.backend.registry import open_backend; from damoos.workload.masim import *;"
        "from damoos.damon.kdamonds import Kdamonds;"
        "w = MasimWorkload('w', (Region('a', 1 << 24),), (Phase('p', 1000, (Pattern('a', True, 1, 1),)),));"
        "open_backend('sim:zram').start(w, Kdamonds.of(), 1).finish()"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "DAMOOS_CACHE": cache})
    return time.perf_counter() - begun


def figures(seconds: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = start_s(cache), statistics.median(start_s(cache) for _ in range(3))
    fast, dense = measure(mixed(GIB, seconds), rounds), measure(saturated(GIB, seconds), rounds)
    small, huge = (measure(mixed(size * GIB, seconds), rounds, WATCHING) for size in (1, 1024))
    denser = measure(saturated(64 * GIB, seconds // 4), 3, with_most(10_000))
    as_dense = measure(saturated(64 * GIB, seconds), rounds)
    workload, per_ms, batch = saturated(GIB, 1)
    state = simulator(per_ms, batch).start(workload, KDAMONDS, 1).state
    return [
        Figure(f"mixed ({fast.regions:.0f} regions)", fast.s_per_s, "simulated s per s", 60_000, True),
        Figure(f"saturated ({dense.regions:.0f} regions)", dense.s_per_s, "simulated s per s", 7_000, True),
        Figure("large memory: 1 TiB over 1 GiB", small.s_per_s / huge.s_per_s, "times the cost", 1.1, False),
        Figure(
            f"linear: {denser.regions:,.0f} over {as_dense.regions:.0f} regions",
            as_dense.s_per_s * as_dense.regions / (denser.s_per_s * denser.regions),
            "times the cost of a region",
            1.1,
            False,
        ),
        Figure("batch: 256 runs", steps_per_s(256, 40), "steps per s", 100_000, True),
        Figure("start, warm", warm, "s", 1.0, False),
        Figure("start, cold", cold, "s", 12.0, False),
        Figure("memory", state.plan.n_bytes / 2**20, "MiB", 2.0, False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=60, help="simulated seconds of a run (default 60)")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    found = figures(args.seconds, args.rounds)
    if args.json:
        print(json.dumps([dataclasses.asdict(f) | {"ratio": f.ratio} for f in found], indent=1))
        return
    print(f"{'figure':40} {'value':>10} {'goal':>9} {'ratio':>6}")
    for f in found:
        value, goal = (f"{x:,.0f}" if x >= 1000 else f"{x:.2f}" for x in (f.value, f.goal))
        print(f"{f.name:40} {value:>10} {goal:>9} {f.ratio:6.2f}  {f.unit}")
    print("a goal is met from ratio 1 on")


if __name__ == "__main__":
    main()
