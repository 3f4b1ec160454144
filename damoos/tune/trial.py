"""One point evaluated: repeats against the baseline of the same seeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from damoos.backend.base import Backend, Workload
from damoos.backend.feed import Feed, Feeder
from damoos.backend.looking import look, with_observed
from damoos.backend.result import Result
from damoos.damon.damo_format import to_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import Snapshot
from damoos.errors import BackendError, DamonInUseError, HostError, KdamondsError, SetUpError, WorkloadError

from .early import Follower, Hopeless
from .objective import Objective, mean, run_of
from .outcome import Run, Trial
from .space import Space, Values
from .steering import NO_SAMPLES, Steering, check_unfed

STEP_S = 1.0
"""How far a run goes that is not simulated before it looks whether it is to stop, s of its own time; so often are
snapshots taken there."""
SIMULATED_STEP_S = 0.5
"""How often snapshots are taken of simulated runs, s."""

_Found = TypeVar("_Found")
OneRun = Callable[[], Result]
Look = Callable[[int, float, float, float], None]
"""What is told of a run as it goes on: seed, s since its start, nominal ms of the workload done, memory in bytes times
s so far. What it raises ends the run."""


@dataclass(frozen=True)
class Bench:
    """A workload on a backend. `workers`: runs side by side, no more than can't disturb each other. `observes`: whether
    DAMON is looked at while the workload runs, so that results have `Result.observed`. `feed`: what is fed to a goal of
    the kdamonds where they have one for it. `steering`: what changes the kdamonds of runs with DAMON as they go on;
    such runs are looked at as often as they are steered."""

    backend: Backend
    workload: Workload
    workers: int
    observes: bool = False
    feed: Feed | None = None
    steering: Steering | None = None

    @classmethod
    def of(
        cls,
        backend: Backend,
        workload: Workload,
        *,
        observes: bool = False,
        feed: Feed | None = None,
        steering: Steering | None = None,
    ) -> Bench:
        """As many workers as the backend has slots."""
        return cls(backend, workload, backend.slots, observes, feed, steering)

    def result(self, kdamonds: Kdamonds | None, seed: int) -> Result:
        """One whole run; `kdamonds` None is without DAMON. Raises what `Backend.start` and the session raise."""
        return self._result(kdamonds, seed, threading.Event())

    def results(
        self,
        kdamonds: Kdamonds | None,
        seeds: Sequence[int],
        around: Callable[[OneRun], _Found],
        look: Look | None = None,
    ) -> tuple[_Found, ...]:
        """One run a seed, in the seeds' order, each from start to close in one thread.

        `around` is called there with each run, may run it again, and says what is returned of it; with `look` results
        have a course. The first error, or an interrupt, ends the others.
        """
        stop = threading.Event()

        def run(seed: int) -> _Found:
            return around(lambda: self._result(kdamonds, seed, stop, look))

        if min(self.workers, len(seeds)) <= 1:
            return tuple(run(seed) for seed in seeds)
        with ThreadPoolExecutor(min(self.workers, len(seeds))) as pool:
            runs: list[Future[_Found]] = []
            # An interrupt may come as soon as the first has begun.
            try:
                runs.extend(pool.submit(run, seed) for seed in seeds)
                return tuple(one.result() for one in runs)
            except BaseException:
                stop.set()
                for one in runs:
                    one.cancel()
                raise

    def runs(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        """The measured numbers of one run a seed, in the seeds' order. Raises as `result`."""
        return tuple(run_of(result) for result in self.results(kdamonds, seeds, lambda run: run()))

    def _result(
        self, kdamonds: Kdamonds | None, seed: int, stop: threading.Event, follow: Look | None = None
    ) -> Result:
        simulated = self.backend.time_kind == "simulated"
        looks = self.observes and kdamonds is not None
        feeder = None
        step_s = SIMULATED_STEP_S if simulated else STEP_S
        if self.feed is not None and kdamonds is not None and self.feed.goal_of(kdamonds) is not None:
            feeder, step_s = Feeder(self.feed, kdamonds), min(step_s, self.feed.every_s)
        steerer = None
        if self.steering is not None and kdamonds is not None:
            check_unfed(kdamonds, self.feed)
            steerer = self.steering.begin(kdamonds, self.workload, self.backend, seed)
            step_s = self.steering.every_s
        follower = None if follow is None else Follower()
        snapshots: list[Snapshot] = []
        with self.backend.start(self.workload, kdamonds, seed) as session:
            if steerer is not None:
                steerer.step(session, NO_SAMPLES)
            # Simulations are over before anybody could want to stop them.
            stepwise = looks or any(part is not None for part in (feeder, steerer, follower)) or not simulated
            while stepwise and not session.done:
                if stop.is_set():
                    raise BackendError("stopped, since another run beside it failed")
                samples = session.advance(step_s)
                if follow is not None and follower is not None:
                    follower.step(samples.t_s.tolist(), samples.rss_bytes.tolist(), session.work_done_ms())
                    follow(seed, follower.t_s, follower.work_ms, follower.byte_s)
                if feeder is not None:
                    feeder.feed(session, samples)
                if steerer is not None and not session.done:
                    steerer.step(session, samples)
                if looks and not session.done and (snapshot := look(session)) is not None:
                    snapshots.append(snapshot)
            result = session.finish()
            if follower is not None:
                result = replace(result, course=follower.course)
            return with_observed(result, session, self.workload, snapshots) if looks else result


Measure = Callable[[Kdamonds | None, Sequence[int]], tuple[Run, ...]]
"""`Bench.runs`, or something around it that remembers and counts."""


def evaluate(
    measure: Measure, space: Space, objective: Objective, number: int, values: Values, baseline: Sequence[Run]
) -> Trial:
    """The trial `number` at `values`: one run for each of the baseline's, with its seed and scored against it.

    What the backend refuses or can't do, and a workload that fails, make a failed trial that says why; where `measure`
    raises Hopeless, the trial is stopped. Raises DamonInUseError: then no trial could run.
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
        repeats = tuple(objective.repeat(run, base) for run, base in zip(runs, baseline, strict=True))
    except DamonInUseError:
        raise
    except (BackendError, KdamondsError) as error:
        return replace(blank, error=str(error), error_kind=error_kind(error))
    except Hopeless as error:
        return replace(blank, state="stopped", repeats=error.repeats, stopped=error.stopped)
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


def error_kind(error: BackendError | KdamondsError) -> str:
    """Whose failure it was, as `Trial.error_kind` has it."""
    if isinstance(error, KdamondsError):
        return "refused"
    if isinstance(error, SetUpError | HostError):
        return "setup"
    return "workload" if isinstance(error, WorkloadError) else "backend"
