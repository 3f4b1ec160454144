"""What ending hopeless runs early saves, and whether it ends any that had hope: `python benchmarks/early_stop.py`.

The same random points with and without `--early-stop`, on the simulator; workload time of the search alone. A trial is
stopped in error if, run to its end, it kept the limits and was among the best that go to the final.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from damoos.catalogue import markdown_table
from damoos.tune.outcome import Outcome
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
from damoos.tune.verify import ranking

WORKLOADS = ("bursts", "gc", "graded", "hot-cold", "kvstore", "phase-change", "stairs", "zigzag")
FINALISTS = 5
COLUMNS = ("workload", "runs a trial", "stopped: too slow", "no final", "in error", "time saved, %")


def study(folder: Path, workload: str, repeats: int, seed: int, trials: int, early: bool) -> Outcome:
    """One study on the simulator."""
    return run_study(
        StudyRequest(
            workload=workload,
            study=folder / f"{workload}-{repeats}-{seed}-{early}",
            strategy="random",
            repeats=repeats,
            seed=seed,
            trials=trials,
            early_stop=early,
        )
    )


def row(workload: str, repeats: int, seeds: Sequence[int], trials: int) -> tuple[str, ...]:
    """Both kinds of studies of the same points, sums over the seeds."""
    slow = beaten = wrong = 0
    spent_s = saved_s = 0.0
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            whole, early = (study(Path(name), workload, repeats, seed, trials, e) for e in (False, True))
            final = {trial.number for trial in ranking(whole.trials)[:FINALISTS]}
            stopped = [trial for trial in early.trials if trial.stopped is not None]
            slow += sum(trial.stopped is not None and trial.stopped.why == "too slow" for trial in stopped)
            beaten += sum(trial.stopped is not None and trial.stopped.why == "no final" for trial in stopped)
            wrong += sum(trial.number in final for trial in stopped)
            spent_s += sum(trial.workload_time_s for trial in whole.trials)
            saved_s += sum(trial.workload_time_s for trial in whole.trials)
            saved_s -= sum(trial.workload_time_s for trial in early.trials)
    return workload, str(repeats), str(slow), str(beaten), str(wrong), f"{100 * saved_s / spent_s:.0f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=40)
    asked = parser.parse_args()
    rows = [
        row(workload, repeats, range(asked.seeds), asked.trials)
        for repeats in (1, 3)
        for workload in asked.workloads.split(",")
    ]
    print(markdown_table(COLUMNS, rows))


if __name__ == "__main__":
    main()
