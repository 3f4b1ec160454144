"""Whether short runs first pay: `python benchmarks/short_runs.py`, two tables, simulated.

The first one: how well the score of the beginning of a workload, or of one run of the whole, ranks random points
(Spearman's correlation with the mean of six whole runs), and what is lost if only the best third of them goes on. The
second one: what strategies find in the same workload time, trials as often as the default has it.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Workload
from damoos.backend.registry import open_backend
from damoos.catalogue import markdown_table
from damoos.tune.fidelity import part_of
from damoos.tune.objective import mean
from damoos.tune.preset import load_env
from damoos.tune.program import find_workload
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
from damoos.tune.trial import Bench, evaluate
from damoos.workload.masim import MasimWorkload

WORKLOADS = ("build", "comb", "gc", "graded", "hot-cold", "kvstore", "leak", "phase-change", "stairs", "zigzag")
Choice = tuple[str, dict[str, object]]
STRATEGIES: tuple[Choice, ...] = (
    ("halving", {}),
    ("hyperband", {}),
    ("tpe", {}),
    ("tpe", {"early_stop": True}),
    ("tpe", {"repeats": 1}),
    ("random", {}),
    ("border", {}),
    ("portfolio", {}),
)
RUNS = (20, 60)
"""Workload time of a search, in runs of the workload."""
POINTS = 50
VIOLATION = -20.0


def shortened(workload: Workload, share: float) -> Workload:
    """The workload with all its phases cut to that share, for comparison with its beginning."""
    assert isinstance(workload, MasimWorkload)
    phases = tuple(dataclasses.replace(phase, ms=max(int(phase.ms * share), 1)) for phase in workload.phases)
    return dataclasses.replace(workload, phases=phases)


def ranks(name: str) -> tuple[str, ...]:
    """A row of the first table."""
    env, backend, workload = load_env("reclaim"), open_backend("sim:zram"), find_workload(name)
    rng = np.random.default_rng(0)
    points = [env.space.decode(rng.random(env.space.dimensions)) for _ in range(POINTS)]

    def scores(part: Workload, seeds: Sequence[int]) -> NDArray[np.float64]:
        bench = Bench.of(backend, part)
        base, found = bench.runs(None, seeds), []
        for values in points:
            trial = evaluate(bench.runs, env.space, env.objective, 0, values, base)
            excess = env.objective.excess_percent(trial.repeats)
            found.append(VIOLATION - excess if excess > 0 or trial.score is None else trial.score)
        return np.array(found)

    whole = scores(workload, range(100, 106))
    cells = []
    cut: Callable[[Workload, float], Workload]
    for cut, share in ((part_of, 1 / 9), (part_of, 1 / 3), (shortened, 1 / 9), (shortened, 1 / 3), (part_of, 1.0)):
        found = scores(cut(workload, share), (7,))
        third = np.argsort(-found, kind="stable")[: POINTS // 3]
        order = [np.argsort(np.argsort(column)) for column in (found, whole)]
        cells.append(f"{np.corrcoef(*order)[0, 1]:.2f} ({whole.max() - whole[third].max():.1f})")
    return name, *cells


def found_in(workload: str, strategy: str, options: dict[str, object], runs: int, seed: int) -> float:
    """What one study finds in the time of `runs` runs."""
    info = find_workload(workload)
    assert isinstance(info, MasimWorkload)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_study(
            StudyRequest(
                workload=workload,
                study=Path(folder) / "study",
                strategy=strategy,
                trials=1000,
                max_workload_time_s=runs * info.duration_ms / 1000,
                seed=seed,
                **options,  # type: ignore[arg-type]
            )
        )
    checked = outcome.verification
    if checked is None or not checked.helps:
        return 0.0
    return max(scheme.score.mean for scheme in checked.schemes if scheme.feasible)


def compared(workloads: Sequence[str], seeds: int, strategies: Sequence[Choice]) -> list[tuple[str, ...]]:
    """The second table: score / best that any of its studies found of the workload, in percent, means."""
    found = {
        (name, which, runs): [found_in(name, strategy, options, runs, seed) for seed in range(seeds)]
        for name in workloads
        for which, (strategy, options) in enumerate(strategies)
        for runs in RUNS
    }
    best = {name: max(max(scores) for key, scores in found.items() if key[0] == name) for name in workloads}
    rows = []
    for which, (strategy, options) in enumerate(strategies):
        text = ", ".join(f"{key.replace('_', '-')} {value}" for key, value in options.items())
        cells = []
        for runs in RUNS:
            shares = [score / best[name] for name in workloads for score in found[name, which, runs]]
            least = min(mean(found[name, which, runs]) / best[name] for name in workloads)
            cells += [f"{100 * mean(shares):.0f}", f"{100 * least:.0f}"]
        rows.append((f"`{strategy}`{f', {text}' if text else ''}", *cells))
    return rows


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="the second table alone, with one run a trial")
    asked = parser.parse_args()
    names = asked.workloads.split(",")
    head = ("strategy", *(text for runs in RUNS for text in (f"{runs} runs' time", "worst workload")))
    if asked.once:
        once = [(name, {**options, "repeats": 1}) for name, options in STRATEGIES if "repeats" not in options]
        print(markdown_table(head, compared(names, asked.seeds, once[:4])))
        return
    columns = ("workload", "first 1/9", "first 1/3", "phases cut to 1/9", "phases cut to 1/3", "whole, one run")
    print(markdown_table(columns, [ranks(name) for name in names]))
    print(markdown_table(head, compared(names, asked.seeds, STRATEGIES)))


if __name__ == "__main__":
    main()
