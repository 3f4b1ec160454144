"""Many simulated runs side by side, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .session import SimSession, in_units
from .together import Together


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


class SimBatch(Together):
    """Runs on the simulator that are moved on together; between two steps `sessions` can be used as if alone."""

    def __init__(self, sessions: Sequence[SimSession], threads: int | None = None) -> None:
        """`threads`: how many at most; None: one a CPU that this process may use."""
        super().__init__(sessions, threads)
        self._rss_base = np.array([s.rss_base_bytes for s in sessions], np.int64)

    def advance(self, seconds: float | NDArray[np.float64]) -> Counters:
        """Lets each run go on as `SimSession.advance` does, by `seconds` s of its clock, one number or [runs].

        Raises BackendError if a session is closed.
        """
        self._move(self._addresses(), seconds)
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
