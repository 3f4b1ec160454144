"""The run without DAMON that an episode is measured against, and how it came along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Samples
from damoos.tune.objective import run_of
from damoos.tune.outcome import Run

from .draw import Task

STEP_S = 1.0
"""How often it is looked how far the baseline is, s of its own time."""
GRID = 256
"""Parts of the workload at whose borders the curves are kept."""
KEPT = 8192
"""Baselines that a process remembers, some 4 KiB each."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A run without DAMON. `time`, `memory`: float64 [GRID + 1], by the share of the workload that is done, 0 to 1 in
    equal steps: the share of the run's time that had passed by then, and of its memory's integral over time."""

    run: Run
    time: NDArray[np.float64]
    memory: NDArray[np.float64]


@lru_cache(maxsize=KEPT)
def baseline(task: Task) -> Baseline:
    """The baseline of a task, run once a process. Raises what `Backend.start` and its session raise."""
    with task.backend.start(task.workload, None, task.seed) as session:
        moments, integral = [(0.0, 0.0, 0.0)], Integral()
        while not session.done:
            integral.add(session.advance(STEP_S))
            moments.append((session.work_done_ms(), integral.t_s, integral.byte_s))
        run = replace(run_of(session.finish()), course=None)
    return _of(run, moments, task.workload.duration_ms)


def _of(run: Run, moments: Sequence[tuple[float, float, float]], duration_ms: float) -> Baseline:
    # What is not told until the end has gone evenly.
    told = np.array([m for m in moments if m[0] > 0 or m[1] == 0.0])
    done, time, memory = told[:-1].T if told[-1, 0] >= duration_ms else told.T
    total = np.array([[duration_ms, run.runtime_s, run.runtime_s * run.rss_mean_bytes]]).T
    shares = np.minimum(np.hstack([np.array([done, time, memory]), total]) / total, 1.0)
    grid = np.linspace(0.0, 1.0, GRID + 1)
    return Baseline(run, np.interp(grid, shares[0], shares[1]), np.interp(grid, shares[0], shares[2]))


class Integral:
    """Memory over time of one run: `byte_s` bytes times s until `t_s`, from the samples of its steps, between which it
    is taken to change evenly."""

    def __init__(self) -> None:
        self.t_s = self.byte_s = 0.0
        self._rss: float | None = None

    def add(self, samples: Samples) -> None:
        """Takes the samples since the last call into account."""
        if not samples.t_s.size:
            return
        first = float(samples.rss_bytes[0]) if self._rss is None else self._rss
        t = np.concatenate([[self.t_s], samples.t_s])
        rss = np.concatenate([[first], samples.rss_bytes])
        self.byte_s += float(np.trapezoid(rss, t))
        self.t_s, self._rss = float(t[-1]), float(rss[-1])
