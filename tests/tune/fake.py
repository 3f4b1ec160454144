"""A backend with a landscape in closed form, fast and seeded; `python -m tests.tune.fake` runs a study on it.

Every run of a seed shares a factor of up to some ten percent, in which scheme and baseline agree only if they are
paired. `fake:flat` has nothing to find; `fake:broken` can't sample slower than every 20 ms; `fake:real` has real time
and `fake:virtual` virtual time on two machines; both run whatever a real kernel does. A workload's metric is
100 / runtime where higher is better, else 10 · runtime. Tests make runs fail by `fault`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from damoos.backend.base import Capabilities, Placed, Workload
from damoos.backend.registry import BACKENDS
from damoos.backend.result import PhaseResult, Result, Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.errors import BackendError, InputError
from damoos.workload.command import CommandWorkload
from damoos.workload.masim import MasimWorkload

LOG = "DAMOOS_TEST_FAKE_LOG"
DELAY_S = "DAMOOS_TEST_FAKE_DELAY_S"
WORKLOAD = "hot, 8388608\ncold, 16777216\n\nwork\n2000\nhot, 0, 4096, 1\n"
BEST_AGE_S = 1.5


Fault = Callable[["Kdamonds | None", int], "Exception | None"]


def no_fault(kdamonds: Kdamonds | None, seed: int) -> Exception | None:
    """Nothing fails."""
    return None


fault: Fault = no_fault
"""What a run with these kdamonds and this seed raises when it starts; tests set it."""
closed: list[str] = []
"""Names of the backends that were closed."""


@dataclass(frozen=True)
class FakeBackend:
    """See above; `detail` is what follows the colon."""

    detail: str

    @property
    def name(self) -> str:
        return f"fake:{self.detail}" if self.detail else "fake"

    @property
    def time_kind(self) -> str:
        return self.detail if self.detail in ("real", "virtual") else "simulated"

    @property
    def slots(self) -> int:
        return {"real": 1, "virtual": 2}.get(self.detail) or len(os.sched_getaffinity(0))

    def probe(self) -> Capabilities:
        return Capabilities(self.name, "6.12", self.time_kind, ("vaddr",), ("pageout", "stat"), {})

    def preview(self, kdamonds: Kdamonds) -> str:
        return f"admin/kdamonds/nr_kdamonds: 0 -> {len(kdamonds.kdamonds)}, {len(kdamonds.context.schemes)} schemes"

    def start(self, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> FakeSession:
        if self.time_kind == "simulated" and not isinstance(workload, MasimWorkload):
            raise InputError("only masim workloads can be simulated", field="workload", value=workload.name)
        if self.detail == "broken" and kdamonds is not None and kdamonds.context.intervals.sample_us > 20_000:
            raise BackendError("too slow for this machine")
        if (error := fault(kdamonds, seed)) is not None:
            raise error
        return FakeSession(self, workload, kdamonds, seed)

    def close(self) -> None:
        closed.append(self.name)


class FakeSession:
    """One run; the result is there from the start."""

    running: list[int] = []
    most_at_once = 0
    threads: list[tuple[int, int]] = []
    """Of each run the thread that started and the one that closed it."""
    lock = threading.Lock()

    def __init__(self, backend: FakeBackend, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> None:
        self.backend, self.workload, self.kdamonds, self.seed = backend, workload, kdamonds, seed
        self.now_s = 0.0
        self.result = _result(self)
        self.thread = threading.get_ident()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.threads.append((self.thread, threading.get_ident()))

    @property
    def done(self) -> bool:
        return self.now_s >= (self.workload.duration_ms / 1000 if isinstance(self.workload, MasimWorkload) else 2.0)

    def commit(self, kdamonds: Kdamonds) -> Kdamonds:
        self.kdamonds = kdamonds
        self.result = _result(self)
        return kdamonds

    def advance(self, seconds: float) -> Samples:
        begin_s, self.now_s = self.now_s, self.now_s + seconds
        return _samples(self.now_s, self.result.rss_mean_bytes, begin_s)

    def work_done_ms(self) -> float:
        if not isinstance(self.workload, MasimWorkload):
            return 0.0
        return self.workload.duration_ms * self.now_s / self.result.runtime_s

    def stats(self) -> tuple[SchemeStats, ...]:
        return ()

    def snapshot(self) -> Snapshot:
        # Two regions, the upper one idle since the start.
        edges = np.array([0, 8, 24], np.int64) << 20
        ages = np.array([1, int(self.now_s * 10)])
        return Snapshot(self.now_s, edges[:-1], edges[1:], np.array([10, 0]), ages, 5_000, 100_000)

    def placed(self) -> tuple[Placed, ...]:
        return ()

    def finish(self) -> Result:
        with self.lock:
            self.running.append(self.seed)
            FakeSession.most_at_once = max(FakeSession.most_at_once, len(self.running))
            if path := os.environ.get(LOG):
                text = hashlib.sha256(repr(self.kdamonds).encode()).hexdigest()[:12]
                with open(path, "a", encoding="utf-8") as log:
                    log.write(f"{text} {self.seed}\n")
        time.sleep(float(os.environ.get(DELAY_S, "0")))
        with self.lock:
            self.running.remove(self.seed)
        return self.result


def _result(session: FakeSession) -> Result:
    shared = np.random.default_rng(session.seed).normal(1.0, 0.1)
    whole_s = session.workload.duration_ms / 1000 if isinstance(session.workload, MasimWorkload) else 2.0
    runtime_s, rss = whole_s * shared, (24 << 20) * shared
    kdamonds = session.kdamonds
    if kdamonds is not None and kdamonds.context.schemes:
        own = np.random.default_rng([session.seed, int(hashlib.sha256(repr(kdamonds).encode()).hexdigest()[:8], 16)])
        context = kdamonds.context
        age_s = max(context.schemes[0].access_pattern.age.min * context.intervals.aggr_us / 1e6, 1e-3)
        distance = math.log10(age_s / BEST_AGE_S)
        if session.backend.detail == "flat":
            runtime_s *= 1.02
        else:
            rss *= 1.0 - 0.5 * math.exp(-4 * distance**2)
            runtime_s *= 1.02 + 0.2 * max(0.0, -distance - 0.5)
        runtime_s *= own.normal(1.0, 0.002)
        rss *= own.normal(1.0, 0.002)
    masim = isinstance(session.workload, MasimWorkload)
    metric = None if isinstance(session.workload, MasimWorkload) else session.workload.metric
    if not isinstance(session.workload, MasimWorkload | CommandWorkload):
        runtime_s = session.workload.duration_s
    return Result(
        workload=session.workload.name,
        backend=session.backend.name,
        machine="toy",
        time_kind=session.backend.time_kind,
        seed=session.seed,
        runtime_s=runtime_s,
        rss_mean_bytes=rss,
        rss_peak_bytes=int(rss * 1.1),
        rss_last_bytes=int(rss),
        major_faults=10,
        swap_in_bytes=40960,
        swap_out_bytes=81920,
        kdamond_cpu_s=0.0 if kdamonds is None else 0.01,
        nr_regions_mean=0.0 if kdamonds is None else 10.0,
        scheme_stats=(),
        phases=(PhaseResult("work", 1000 * whole_s, 1000 * runtime_s, 10**7),) if masim else (),
        samples=_samples(runtime_s, rss),
        asked=kdamonds,
        applied=kdamonds,
        metric=None if metric is None else 100 / runtime_s if metric.better == "higher" else 10 * runtime_s,
        versions={"fake": "1"},
    )


def _samples(runtime_s: float, rss: float, begin_s: float = 0.0) -> Samples:
    zeros = np.zeros(10, np.int64)
    t_s = np.linspace(begin_s, runtime_s, 10)
    return Samples(t_s, zeros + int(rss), zeros, zeros, zeros, zeros, np.zeros(10), zeros)


def open_fake(detail: str = "", **_: Any) -> FakeBackend:
    """What the registry calls."""
    return FakeBackend(detail)


BACKENDS["fake"] = "tests.tune.fake:open_fake"


def main(workload: str, journal: str, trials: str, result: str, backend: str = "fake") -> None:
    """Runs a study, one line of progress each step, and writes the outcome."""
    from damoos.tune.request import Progress, StudyRequest
    from damoos.tune.study import run_study

    def show(progress: Progress) -> None:
        print(progress.phase, progress.done, flush=True)

    request = StudyRequest(workload=workload, study=Path(journal), backend=backend, trials=int(trials), repeats=2)
    outcome = run_study(request, show)
    Path(result).write_text(json.dumps(outcome.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
