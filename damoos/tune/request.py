"""What a study is asked for, and what it says while it runs. Plain values: importing this loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from damoos.errors import InputError
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload

DEFAULT_TRIALS = 50
DEFAULT_FROM_BEST = 5

Phase = Literal["baseline", "watch", "search", "verify"]


@dataclass(frozen=True)
class StudyRequest:
    """A study as the command line asks for it; `damoos.tune.study.run_study` does it.

    `workload` and `env` are catalogue names or files, `study` the journal that is created or continued; with a
    `program`, that is what runs and `workload` only says in words what it is. `trials` is the total, those of earlier
    calls and the run that a strategy watches included; no trial begins either once these and the baseline have taken
    `max_workload_time_s` s of workload time (None: no such limit; the verification comes on top); `repeats` the runs a
    trial (None: by the backend's kind of time, see `damoos.tune.effort`). `objective` is "damoos", "metric:NAME" or
    "pareto:NAME,NAME"; it, `weight` (runtime's share, 0..1), `max_runtime_overhead_percent` and `constraints` ("NAME <=
    NUMBER") are the env's own where None. `start_from`: another study, folder or result.json, whose `from_best` best
    points come right after the default. `early_stop`: whether hopeless runs are ended while they run (None: wherever
    runs are not simulated). Raises InputError for numbers out of range.
    """

    workload: str
    study: Path
    env: str = "reclaim"
    backend: str = "sim:zram"
    timing: Literal["work", "time"] = "work"
    strategy: str = "tpe"
    trials: int = DEFAULT_TRIALS
    max_workload_time_s: float | None = None
    repeats: int | None = None
    seed: int = 0
    objective: str | None = None
    weight: float | None = None
    max_runtime_overhead_percent: float | None = None
    constraints: tuple[str, ...] | None = None
    command_line: str = ""
    program: CommandWorkload | AttachedWorkload | None = None
    start_from: Path | None = None
    from_best: int = DEFAULT_FROM_BEST
    early_stop: bool | None = None

    def __post_init__(self) -> None:
        for name, low in (("trials", 1), ("repeats", 1), ("seed", 0), ("from_best", 1)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError("too small", field=name, value=value, allowed=f"{low} and more")
        limit_s = self.max_workload_time_s
        if limit_s is not None and not (limit_s > 0 and math.isfinite(limit_s)):
            raise InputError("out of range", field="max_workload_time_s", value=limit_s, allowed="more than 0 s")


@dataclass(frozen=True)
class Progress:
    """How far a study is. `done` of `total` counts trials in phase "search", runs in the others.

    `best_score`: mean score of the best feasible trial so far. `workload_time_s`: seconds of workload time (simulated
    on the simulator) that this call has run so far, in `runs` runs; about `runs_left` are left in this phase. `note`:
    what went wrong and is tried again. `charged_s`: what the study has taken so far, s of workload time, earlier calls
    included; in phase "search" it ends at `max_workload_time_s`, if that isn't None.
    """

    phase: Phase
    done: int
    total: int
    best_score: float | None
    workload_time_s: float
    runs: int = 0
    runs_left: int = 0
    note: str = ""
    charged_s: float = 0.0
    max_workload_time_s: float | None = None
