#!/usr/bin/env python3
"""The same points on the simulator and on a real kernel in QEMU: does the simulator score them alike?

    sim_vs_vm.py [--measure] [--backend vm:7.3] [--machine vm] [--write-doc docs/fidelity.md]

Twenty points of the env `reclaim` (its default, and a Latin hypercube with min_age up to 10 s) on three workloads with
fixed work: `hot-cold`, and `zigzag` and `stairs` at a quarter of their size and length. Scores are DAMOOS's,
-(0.5 · runtime overhead % + 0.5 · RSS overhead %), against runs without DAMON on the same side. What the kernel did is
in sim_vs_vm.json beside this file; --measure does what is missing there (half an hour for all), each run kept as soon
as it is done. The simulator's side takes seconds and is done each time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from fidelity import write_between_markers  # noqa: E402
from scipy.stats import qmc, spearmanr  # noqa: E402

from damoos.backend.base import Backend  # noqa: E402
from damoos.backend.registry import open_backend  # noqa: E402
from damoos.catalogue import find  # noqa: E402
from damoos.tune.objective import Objective, run_of  # noqa: E402
from damoos.tune.outcome import Run  # noqa: E402
from damoos.tune.preset import load_env  # noqa: E402
from damoos.tune.space import Space, Values  # noqa: E402
from damoos.workload import masim  # noqa: E402
from damoos.workload.masim import MasimWorkload  # noqa: E402
from damoos.workload.pace import Pace  # noqa: E402
from damoos.workload.touch import ACCESSES_PER_MS  # noqa: E402

ROWS = Path(__file__).with_suffix(".json")
BEGIN, END = "<!-- sim-vs-vm: begin -->", "<!-- sim-vs-vm: end -->"
POINTS, KERNEL_SEEDS, SIM_SEEDS = 20, (1, 2), tuple(range(1, 21))
LONGEST_AGE_US = 10_000_000
PACE = Pace(timing="work", accesses_per_ms=ACCESSES_PER_MS)
OBJECTIVE = Objective()


def workloads() -> dict[str, MasimWorkload]:
    """The three, small and short enough for a guest."""
    found = {"hot-cold": masim.load(find("workloads", "hot-cold"))}
    for name in ("zigzag", "stairs"):
        whole = masim.load(find("workloads", name))
        found[f"{name} / 4"] = dataclasses.replace(
            whole,
            name=f"{name}-quarter",
            regions=tuple(dataclasses.replace(r, sz=r.sz // 4) for r in whole.regions),
            phases=tuple(dataclasses.replace(p, ms=p.ms // 4) for p in whole.phases),
        )
    return found


def points(space: Space) -> list[Values]:
    """The default, then the hypercube: the same for all workloads and sides."""
    rows = qmc.LatinHypercube(len(space.parameters), rng=np.random.default_rng(0)).random(POINTS - 1)
    found = [space.defaults()]
    for row in rows:
        values = {}
        for parameter, u in zip(space.parameters, row, strict=True):
            top = parameter.coordinate(LONGEST_AGE_US) if parameter.name == "min_age" else 1.0
            values[parameter.name] = parameter.at(u * top)
        found.append(values)
    return found


class Rows:
    """The kernel's runs on disk: [workload][point, "none" or its number][seed] -> numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"runs": {}}

    def get(self, workload: str, point: str, seed: int) -> Run | None:
        found = self.tree["runs"].get(workload, {}).get(point, {}).get(str(seed))
        return None if found is None else Run(seed=seed, **found)

    def add(self, workload: str, point: str, run: Run) -> None:
        kept = {key: value for key, value in dataclasses.asdict(run).items() if key not in ("seed", "metric")}
        self.tree["runs"].setdefault(workload, {}).setdefault(point, {})[str(run.seed)] = kept
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(self.tree, file, indent=1, sort_keys=True)
        os.replace(file.name, self.path)


def measure(backend: Backend, rows: Rows, asked: dict[str, Any]) -> None:
    """Does the kernel's runs that are missing."""
    todo = [
        (name, point, seed)
        for seed in KERNEL_SEEDS
        for name in workloads()
        for point in asked
        if rows.get(name, point, seed) is None
    ]
    programs = workloads()
    with ThreadPoolExecutor(backend.slots) as pool:

        def run(task: tuple[str, str, int]) -> tuple[tuple[str, str, int], Run]:
            name, point, seed = task
            with backend.start(programs[name], asked[point], seed) as session:
                return task, run_of(session.finish())

        for number, (task, result) in enumerate(pool.map(run, todo), 1):
            rows.add(task[0], task[1], result)
            print(f"{number} of {len(todo)}: {task} {result.runtime_s:.2f} s", file=sys.stderr, flush=True)


def scores(runs: dict[str, list[Run]]) -> dict[str, np.ndarray]:
    """Score of each run of each point against the mean run without DAMON."""
    base = runs["none"]
    mean = dataclasses.replace(
        base[0],
        runtime_s=float(np.mean([r.runtime_s for r in base])),
        rss_mean_bytes=float(np.mean([r.rss_mean_bytes for r in base])),
    )
    return {
        point: np.array([OBJECTIVE.repeat(run, mean).score for run in found])
        for point, found in runs.items()
        if point != "none"
    }


def simulate(backend: Backend, program: MasimWorkload, asked: dict[str, Any]) -> dict[str, list[Run]]:
    found = {}
    for point, kdamonds in asked.items():
        found[point] = []
        for seed in SIM_SEEDS:
            with backend.start(program, kdamonds, seed) as session:
                found[point].append(run_of(session.finish()))
    return found


def report(rows: Rows, machine: str, space: Space, asked: dict[str, Any]) -> str:
    simulator = open_backend(f"sim:{machine}", pace=PACE)
    values = points(space)
    summary = [
        "| workload | Spearman | mean difference | largest difference | at |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    names = list(workloads())
    table = [
        "| point | " + " | ".join(f"{name}: kernel | simulator" for name in names) + " |",
        "| --- |" + " ---: | ---: |" * len(names),
    ]
    cells: dict[str, list[str]] = {point: [] for point in asked if point != "none"}
    nr_runs = 0
    for name, program in workloads().items():
        kernel_runs = {p: [r for s in KERNEL_SEEDS if (r := rows.get(name, p, s)) is not None] for p in asked}
        if not all(kernel_runs.values()):
            sys.exit(f"{rows.path.name} lacks runs of {name}: --measure does them")
        nr_runs += sum(map(len, kernel_runs.values()))
        kernel, sim = scores(kernel_runs), scores(simulate(simulator, program, asked))
        k = np.array([kernel[p].mean() for p in cells])
        s = np.array([sim[p].mean() for p in cells])
        worst = int(np.argmax(np.abs(k - s)))
        summary.append(
            f"| {name} | {spearmanr(k, s).statistic:.2f} | {np.abs(k - s).mean():.1f} | {abs(k - s)[worst]:.1f} "
            f"| point {worst}: {k[worst]:.1f} / {s[worst]:.1f} |"
        )
        for point in cells:
            spread = f" ± {np.ptp(kernel[point]) / 2:.1f}" if kernel[point].size > 1 else ""
            cells[point] += [f"{kernel[point].mean():.1f}{spread}", f"{sim[point].mean():.1f}"]
    for point, found in cells.items():
        texts = space.texts(values[int(point)])
        table.append(f"| {point}: {', '.join(texts.values())} | " + " | ".join(found) + " |")
    kinds = ", ".join(parameter.name for parameter in space.parameters)
    return "\n".join(
        [
            f"Linux {rows.tree['kernel']}, {nr_runs} runs in all; `sim:{machine}`, {len(SIM_SEEDS)} runs a point.",
            "",
            *summary,
            "",
            f"Score of each point, kernel (mean ± half the range of its runs) and simulator; a point is {kinds}:",
            "",
            *table,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--backend", default="vm:7.3")
    parser.add_argument("--machine", default="vm")
    parser.add_argument("--write-doc", type=Path)
    options = parser.parse_args()
    space = load_env("reclaim").space
    asked: dict[str, Any] = {"none": None} | {str(i): space.kdamonds(v) for i, v in enumerate(points(space))}
    rows = Rows(ROWS)
    if options.measure:
        backend = open_backend(options.backend, pace=PACE)
        try:
            rows.tree["kernel"] = backend.probe().kernel
            measure(backend, rows, asked)
        finally:
            backend.close()
    text = report(rows, options.machine, space, asked)
    print(text)
    if options.write_doc is not None:
        write_between_markers(options.write_doc, text, BEGIN, END)


if __name__ == "__main__":
    main()
