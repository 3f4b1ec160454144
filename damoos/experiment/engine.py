"""Where courses run: in this process, in a pool of processes, or on a Ray cluster. One small seam.

An engine is given a function and jobs, both of which can be pickled, and yields what the function returns, as it comes.
What comes does not depend on the engine, only the order does. A process or node that is lost loses the jobs that it was
running, which run again elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from damoos.errors import BackendError

Job = TypeVar("Job")
Done = TypeVar("Done")

LOSSES = 3
"""How often processes may be lost before it is taken for the jobs' fault."""


class Engine(Protocol):
    """Runs jobs. `text` says in words where."""

    @property
    def text(self) -> str: ...

    def run(self, work: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
        """What `work` returns for each job, as it comes. Raises what `work` raises, BackendError where too much was
        lost; closed, or interrupted, it ends what runs."""


@dataclass(frozen=True)
class HereEngine:
    """In this process, in `threads`: what shares a connected backend. `stop` is set when no further run should begin,
    and tells those that have begun."""

    threads: int = 1
    stop: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def text(self) -> str:
        """In words."""
        return "in this process" if self.threads == 1 else f"in {self.threads} threads of this process"

    def run(self, work: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
        """See Engine."""
        if self.threads == 1:
            yield from map(work, jobs)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                yield from _as_they_come(pool, work, list(jobs), 2 * self.threads)
            finally:
                self.stop.set()


@dataclass(frozen=True)
class PoolEngine:
    """A pool of so many new processes of this machine."""

    processes: int

    @property
    def text(self) -> str:
        """In words."""
        return f"in {self.processes} processes"

    def run(self, work: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
        """See Engine."""
        left = list(jobs)
        for _ in range(LOSSES):
            before = {child.pid for child in multiprocessing.active_children()}
            pool = ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn"), initializer=_begin_worker)
            try:
                yield from _as_they_come(pool, work, left, 2 * self.processes)
                return
            except BrokenProcessPool:
                continue
            finally:
                # Not those who were asked to wait: what runs is of no use any more.
                pool.shutdown(wait=not left, cancel_futures=True)
                for child in multiprocessing.active_children():
                    if child.pid not in before:
                        child.terminate()
        raise BackendError(f"processes were lost {LOSSES} times (killed, or out of memory?), {len(left)} jobs are left")


def default_processes() -> int:
    """One a CPU that this process may use."""
    return len(os.sched_getaffinity(0))


def _as_they_come(pool: Executor, work: Callable[[Job], Done], left: list[Job], ahead: int) -> Iterator[Done]:
    """Takes each job off `left` when it is done, no more than `ahead` of them given to the pool at a time."""
    waiting = list(left)
    running: dict[Future[Any], Job] = {}
    while waiting or running:
        while waiting and len(running) < ahead:
            job = waiting.pop(0)
            running[pool.submit(work, job)] = job
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            result = future.result()
            left.remove(running.pop(future))
            yield result


def _begin_worker() -> None:
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        # Killed, a parent can't say goodbye, and its workers would wait for it forever.
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
