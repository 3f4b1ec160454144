"""How far the kernel's own tuners and hand-made settings get beside a search, workload by workload, simulated.

    python benchmarks/kernel_tuners.py [--trials N] [--seeds K] [--backend NAME] [--write-doc FILE]

Each strategy has N trials of one run on the env `reclaim`. Shown is what its best point is worth: the mean score of
runs with other seeds, -20 if together they break the limit of 20 % of runtime; 0 is no scheme. Means over K seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from fidelity import write_between_markers

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.experiment.course import run_course
from damoos.experiment.env_task import EnvTask
from damoos.tune.preset import load_env
from damoos.tune.program import find_workload
from damoos.tune.strategies import find_strategy

WORKLOADS = ("zigzag", "stairs", "hot-cold", "comb", "build", "kvstore", "graded", "bursts", "gc", "leak")
STRATEGIES = (
    *("documented", "agentenv", "agentenv-first", "refault-control"),
    *("kernel-psi", "kernel-psi-temporal", "kernel-score", "kernel-memory", "kernel-intervals"),
    *("tpe", "border"),
)
BEGIN, END = "<!-- tuners: begin -->", "<!-- tuners: end -->"


def reached(strategy: str, workload: str, backend: Backend, seed: int, trials: int) -> float:
    """What the best point of one course is worth."""
    task = EnvTask(workload, load_env("reclaim"), find_workload(workload), backend)
    # The baseline counts as a run.
    return list(run_course(task, find_strategy(strategy), seed, trials + 1))[-1].reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backend", default="sim:zram")
    parser.add_argument("--write-doc", type=Path)
    given = parser.parse_args()
    backend = open_backend(given.backend)
    lines = [f"| strategy | {' | '.join(WORKLOADS)} |", "| --- |" + " ---: |" * len(WORKLOADS)]
    for strategy in STRATEGIES:
        worths = [
            np.mean([reached(strategy, workload, backend, seed, given.trials) for seed in range(given.seeds)])
            for workload in WORKLOADS
        ]
        lines.append(f"| `{strategy}` | {' | '.join(f'{worth:.1f}' for worth in worths)} |")
        print(lines[-1], flush=True)
    if given.write_doc is not None:
        write_between_markers(given.write_doc, "\n".join(lines), BEGIN, END)


if __name__ == "__main__":
    main()
