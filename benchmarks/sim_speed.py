#!/usr/bin/env python3
"""How many seconds the simulator simulates in a second, on one core.

    sim_speed.py [--json] [--seconds N] [--rounds N]

mixed: eight equal ranges of random access, 0 to 5,000 accesses per page and second, that change places every 7.5 s;
about 40 regions. saturated: every page is accessed in half of all sampling intervals, which keeps about 700 regions
apart. Both 1 GiB, 5 ms/100 ms, 10..1000 regions, with a page-out scheme of 3 s; then the same with 64 GiB of memory at
the same accesses per page. Figures are medians over rounds; floors are the project's goals, not tests.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from damoos.damon.attrs import Intervals, NrRegions  # noqa: E402
from damoos.damon.kdamonds import Kdamonds  # noqa: E402
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme  # noqa: E402
from damoos.sim.backend import SimBackend  # noqa: E402
from damoos.sim.machine import load_machine  # noqa: E402
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region  # noqa: E402
from damoos.workload.pace import Pace  # noqa: E402

GIB = 1 << 30
HEAT = (0, 20, 500, 5_000, 50_000, 139_000, 1_000_000, 5_000_000)  # accesses per 1,000 pages and second
ROTATE_MS = 7_500
FLOORS = {"mixed": 20_000, "saturated": 2_000}
MAX_RATIO_64G = 1.2
KDAMONDS = Kdamonds.of(
    intervals=Intervals(5_000, 100_000, 1_000_000),
    nr_regions=NrRegions(10, 1_000),
    schemes=(Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(30, U32_MAX))),),
)


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


def measure(workload: MasimWorkload, per_ms: float, batch: int, rounds: int) -> dict[str, float]:
    """Simulated seconds per second (median over rounds), regions after merging (mean)."""
    machine = dataclasses.replace(load_machine("zram"), random_per_ms=per_ms, batch_us=0.0)
    backend = SimBackend(machine, pace=Pace("time", batch=batch, prefault=True))
    speeds, regions = [], []
    for seed in range(rounds + 1):
        begun = time.process_time()
        result = backend.start(workload, KDAMONDS, seed).finish()
        if seed:  # the first round warms caches up
            speeds.append(result.runtime_s / (time.process_time() - begun))
            regions.append(result.nr_regions_mean)
    return {"simulated_s_per_s": statistics.median(speeds), "nr_regions": statistics.mean(regions)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=60, help="simulated seconds of a run (default 60)")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    begun = time.process_time()
    measure(*mixed(GIB // 16, ROTATE_MS * 2 // 1000), 1)
    out: dict[str, dict[str, float]] = {"first run": {"s": time.process_time() - begun}}
    for name, build in (("mixed", mixed), ("saturated", saturated)):
        small = measure(*build(GIB, args.seconds), args.rounds)
        large = measure(*build(64 * GIB, args.seconds), args.rounds)
        small["floor"] = FLOORS[name]
        small["over_floor"] = small["simulated_s_per_s"] / FLOORS[name]
        small["slower_at_64_gib"] = small["simulated_s_per_s"] / large["simulated_s_per_s"]
        out[name] = small
    if args.json:
        print(json.dumps(out, indent=1))
        return
    print(f"compilation or loading, and a first run: {out['first run']['s']:.1f} s")
    print(f"{'case':10} {'regions':>8} {'simulated s per s':>18} {'floor':>7} {'ratio':>6} {'64 GiB slower by':>17}")
    for name in FLOORS:
        row = out[name]
        print(
            f"{name:10} {row['nr_regions']:8.0f} {row['simulated_s_per_s']:18,.0f} {row['floor']:7,.0f} "
            f"{row['over_floor']:6.2f} {row['slower_at_64_gib']:16.2f}x"
        )
    print(f"goals: ratio at least 1, 64 GiB at most {MAX_RATIO_64G} times slower")


if __name__ == "__main__":
    main()
