"""One point evaluated: repeats against the baseline of the same seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from damoos.backend.base import Backend
from damoos.backend.result import Result
from damoos.damon.damo_format import to_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, KdamondsError
from damoos.workload.masim import MasimWorkload

from .objective import Objective, mean, run_of
from .outcome import Run, Trial
from .space import Space, Values


@dataclass(frozen=True)
class Bench:
    """A workload on a backend. `workers`: runs side by side; more than one only where they can't disturb each other."""

    backend: Backend
    workload: MasimWorkload
    workers: int

    @classmethod
    def of(cls, backend: Backend, workload: MasimWorkload) -> Bench:
        """One worker a CPU in simulated time, one in all where time is real."""
        simulated = backend.probe().time_kind == "simulated"
        return cls(backend, workload, len(os.sched_getaffinity(0)) if simulated else 1)

    def result(self, kdamonds: Kdamonds | None, seed: int) -> Result:
        """One whole run; `kdamonds` None is without DAMON. Raises KdamondsError, BackendError."""
        with self.backend.start(self.workload, kdamonds, seed) as session:
            return session.finish()

    def runs(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        """The measured numbers of one run a seed, in the seeds' order. Raises KdamondsError, BackendError."""

        def run(seed: int) -> Run:
            return run_of(self.result(kdamonds, seed))

        if min(self.workers, len(seeds)) <= 1:
            return tuple(run(seed) for seed in seeds)
        with ThreadPoolExecutor(min(self.workers, len(seeds))) as pool:
            return tuple(pool.map(run, seeds))


Measure = Callable[[Kdamonds | None, Sequence[int]], tuple[Run, ...]]
"""`Bench.runs`, or something around it that remembers and counts."""


def evaluate(
    measure: Measure, space: Space, objective: Objective, number: int, values: Values, baseline: Sequence[Run]
) -> Trial:
    """The trial `number` at `values`: one run for each of the baseline's, with its seed and scored against it.

    What the backend refuses or can't do makes a failed trial that says why.
    """
    kdamonds = space.kdamonds(values)
    blank = Trial(
        number=number,
        state="failed",
        params=dict(values),
        params_text=space.texts(values),
        kdamonds=to_damo(kdamonds),
        score=None,
        values=(),
        feasible=False,
        runtime_overhead_percent=None,
        rss_overhead_percent=None,
        repeats=(),
    )
    try:
        runs = measure(kdamonds, [run.seed for run in baseline])
    except (BackendError, KdamondsError) as error:
        return replace(blank, error=str(error))
    repeats = tuple(objective.repeat(run, base) for run, base in zip(runs, baseline, strict=True))
    return replace(
        blank,
        state="complete",
        score=mean([r.score for r in repeats]),
        values=objective.values(repeats, baseline),
        feasible=objective.excess_percent(repeats) <= 0,
        runtime_overhead_percent=mean([r.runtime_overhead_percent for r in repeats]),
        rss_overhead_percent=mean([r.rss_overhead_percent for r in repeats]),
        repeats=repeats,
    )
