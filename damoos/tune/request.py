"""What a study is asked for, and what it says while it runs. Plain values: importing this loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from damoos.errors import InputError

DEFAULT_TRIALS = 50
DEFAULT_REPEATS = 3


@dataclass(frozen=True)
class StudyRequest:
    """A study as the command line asks for it; `damoos.tune.study.run_study` does it.

    `workload` and `env` are catalogue names or files, `study` the journal that is created or continued. `trials` is
    the total, those of earlier calls included; `repeats` the runs a trial. `objective` is "damoos", "metric:NAME" or
    "pareto:NAME,NAME"; it, `weight` (runtime's share, 0..1) and `max_runtime_overhead_percent` are the env's own where
    None. Raises InputError for numbers out of range.
    """

    workload: str
    study: Path
    env: str = "reclaim"
    backend: str = "sim:zram"
    timing: Literal["work", "time"] = "work"
    strategy: str = "tpe"
    trials: int = DEFAULT_TRIALS
    repeats: int = DEFAULT_REPEATS
    seed: int = 0
    objective: str | None = None
    weight: float | None = None
    max_runtime_overhead_percent: float | None = None
    command_line: str = ""

    def __post_init__(self) -> None:
        for name, low in (("trials", 1), ("repeats", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise InputError("too small", field=name, value=getattr(self, name), allowed=f"{low} and more")


@dataclass(frozen=True)
class Progress:
    """How far a study is. `done` of `total` counts trials in phase "search", runs in "baseline" and "verify".

    `best_score`: mean score of the best feasible trial so far. `workload_time_s`: seconds of workload time (simulated
    on the simulator) that this call has run so far.
    """

    phase: Literal["baseline", "search", "verify"]
    done: int
    total: int
    best_score: float | None
    workload_time_s: float
