"""The run without DAMON that an episode is measured against, and how it came along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Result, Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.sim.backend import SimBackend
from damoos.sim.fleet import Fleet
from damoos.sim.session import SimSession
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


def baseline(task: Task) -> Baseline:
    """The baseline of a task, run once a process. Raises what `Backend.start` and its session raise."""
    return baselines([task])[0]


def baselines(tasks: Sequence[Task], threads: int | None = None) -> list[Baseline]:
    """The baselines of tasks, in their order; simulated ones run side by side, in that many threads at most."""
    # Hashing a task takes all of its workload into account: once each.
    known = [_kept.get(task) for task in tasks]
    missing = list(dict.fromkeys(task for task, base in zip(tasks, known, strict=True) if base is None))
    simulated = [task for task in missing if isinstance(task.backend, SimBackend)]
    new = dict(zip(simulated, _together(simulated, threads), strict=True))
    new.update((task, _alone(task)) for task in missing if not isinstance(task.backend, SimBackend))
    _kept.update(new)
    while len(_kept) > KEPT:
        _kept.pop(next(iter(_kept)))
    return [new[task] if base is None else base for task, base in zip(tasks, known, strict=True)]


_kept: dict[Task, Baseline] = {}
_Moment = tuple[float, float, float]
"""Nominal ms of work that are done, s since the start, bytes times s so far."""


def _alone(task: Task) -> Baseline:
    with task.backend.start(task.workload, None, task.seed) as session:
        moments, integral = [(0.0, 0.0, 0.0)], Integral()
        while not session.done:
            integral.add(session.advance(STEP_S))
            moments.append((session.work_done_ms(), integral.t_s, integral.byte_s))
        return _of(session.finish(), moments, task.workload.duration_ms)


def _together(tasks: Sequence[Task], threads: int | None) -> list[Baseline]:
    if not tasks:
        return []
    sessions = [task.backend.start(task.workload, None, task.seed) for task in tasks]
    simulated = [session for session in sessions if isinstance(session, SimSession)]
    moments: list[list[_Moment]] = [[(0.0, 0.0, 0.0)] for _ in tasks]
    # Nothing is committed.
    with Fleet(simulated, (), lambda _: Kdamonds(), rate_edges=(), idle_edges_s=(0.0,), threads=threads) as fleet:
        going = np.ones(len(tasks), bool)
        while going.any():
            looks = fleet.advance(STEP_S)
            seen = zip(looks.work_done_ms.tolist(), looks.t_s.tolist(), looks.byte_s.tolist(), strict=True)
            for i, moment in enumerate(seen):
                if going[i]:
                    moments[i].append(moment)
            going = ~looks.done
        results = [session.finish() for session in simulated]
    durations = [task.workload.duration_ms for task in tasks]
    return [_of(*of) for of in zip(results, moments, durations, strict=True)]


def _of(result: Result, moments: Sequence[_Moment], duration_ms: float) -> Baseline:
    run = run_of(result)
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
