"""Many simulated runs side by side, moved on by compiled code in several threads.

Each run stays what it is alone: what it does depends neither on the others nor on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from . import engine
from .layout import PAGE
from .session import SimSession
from .state import (
    DONE,
    KDAMOND_CPU,
    MAJOR_FAULTS,
    NOW,
    NR_REGIONS,
    SWAP_IN,
    SWAP_OUT,
    SWAPPED,
    UNTOUCHED,
    WORKLOAD_PAGES,
)

_CHUNKS_PER_THREAD = 4
"""So that a thread whose runs are cheap goes on with others."""


class Counters(NamedTuple):
    """Where the runs of a batch are now, arrays [runs]; names and units as in `damoos.backend.result.Samples`."""

    t_s: NDArray[np.float64]
    rss_bytes: NDArray[np.int64]
    swap_bytes: NDArray[np.int64]
    major_faults: NDArray[np.int64]
    swap_in_pages: NDArray[np.int64]
    swap_out_pages: NDArray[np.int64]
    kdamond_cpu_s: NDArray[np.float64]
    nr_regions: NDArray[np.int64]
    done: NDArray[np.bool_]


class SimBatch:
    """Runs on the simulator that are moved on together; between two steps `sessions` can be used as if alone."""

    def __init__(self, sessions: Sequence[SimSession], threads: int | None = None) -> None:
        """`threads`: how many at most; None: one a CPU that this process may use."""
        self.sessions = tuple(sessions)
        n = len(self.sessions)
        threads = min(n, len(os.sched_getaffinity(0)) if threads is None else threads)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        bounds = np.linspace(0, n, min(n, threads * _CHUNKS_PER_THREAD) + 1).astype(int)
        self._chunks = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        self._rss_base = np.array([s.rss_base_bytes for s in self.sessions], np.int64)

    def advance(self, seconds: float | NDArray[np.float64]) -> Counters:
        """Lets each run go on as `SimSession.advance` does, by `seconds` s of its clock, one number or [runs].

        Raises BackendError if a session is closed.
        """
        addresses = np.array([s.address for s in self.sessions], np.int64)
        until_us = np.array([s.now_s for s in self.sessions]) * 1e6 + np.asarray(seconds) * 1e6
        while self._run(addresses, until_us):
            for session in self.sessions:
                session.empty_buffers()
        return self.counters()

    def counters(self) -> Counters:
        """Where the runs are now."""
        n = np.array([s.state.n for s in self.sessions])
        f = np.array([s.state.f for s in self.sessions])
        return Counters(
            t_s=f[:, NOW] / 1e6,
            rss_bytes=(n[:, WORKLOAD_PAGES] - n[:, SWAPPED] - n[:, UNTOUCHED]) * PAGE + self._rss_base,
            swap_bytes=n[:, SWAPPED] * PAGE,
            major_faults=n[:, MAJOR_FAULTS],
            swap_in_pages=n[:, SWAP_IN],
            swap_out_pages=n[:, SWAP_OUT],
            kdamond_cpu_s=f[:, KDAMOND_CPU] / 1e6,
            nr_regions=n[:, NR_REGIONS],
            done=n[:, DONE] == 1,
        )

    def close(self) -> None:
        """Closes the sessions."""
        for session in self.sessions:
            session.close()
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, addresses: NDArray[np.int64], until_us: NDArray[np.float64]) -> bool:
        if self._pool is None:
            return bool(engine.step(addresses, engine.RUN, until_us))
        full = self._pool.map(lambda at: engine.step(addresses[at], engine.RUN, until_us[at]), self._chunks)
        return any(list(full))
