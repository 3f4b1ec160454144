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
from .session import SimSession, in_units
from .state import SHOWN

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
        parts = 1 if self._pool is None else min(n, threads * _CHUNKS_PER_THREAD)
        bounds = np.linspace(0, n, parts + 1).astype(int)
        self._chunks = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        self._until_us, self._shown = np.zeros(n), np.zeros((n, SHOWN))
        self._rss_base = np.array([s.rss_base_bytes for s in self.sessions], np.int64)

    def advance(self, seconds: float | NDArray[np.float64]) -> Counters:
        """Lets each run go on as `SimSession.advance` does, by `seconds` s of its clock, one number or [runs].

        Raises BackendError if a session is closed.
        """
        addresses = np.array([s.address for s in self.sessions])
        self._until_us[:] = np.asarray(seconds) * 1e6
        full = self._run(engine.ADVANCE, addresses)
        while full:
            for session in self.sessions:
                session.empty_buffers()
            full = self._run(engine.RUN, addresses)
        *columns, done = self._shown.T
        seen = in_units(np.array(columns), self._rss_base)
        return Counters(
            t_s=seen.t_s,
            rss_bytes=seen.rss_bytes,
            swap_bytes=seen.swap_bytes,
            major_faults=seen.major_faults,
            swap_in_pages=seen.swap_in_pages,
            swap_out_pages=seen.swap_out_pages,
            kdamond_cpu_s=seen.kdamond_cpu_s,
            nr_regions=seen.nr_regions,
            done=done == 1.0,
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

    def _run(self, what: int, addresses: NDArray[np.int64]) -> bool:
        def part(at: slice) -> bool:
            return bool(engine.step(addresses[at], what, self._until_us[at], self._shown[at]))

        # All parts are waited for, also when one has full buffers.
        return any([*(map if self._pool is None else self._pool.map)(part, self._chunks)])
