"""Runs of any backend that are watched and steered side by side, as `damoos.sim.fleet.Fleet` does it for simulated
ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Session
from damoos.backend.looking import look
from damoos.backend.result import Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import Snapshot

from .baseline import Integral

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Looks(NamedTuple):
    """Where runs are, arrays [n]; names and units as in `damoos.backend.result.Samples`.

    `work_done_ms`: as `Session.work_done_ms`; `byte_s`: memory's integral over time; `esz_bytes`: what the first
    scheme's quota allows in an interval. `bytes_by`, float64 [n, rates, idle times]: bytes of the regions, see `Runs`.
    """

    t_s: Floats
    work_done_ms: Floats
    byte_s: Floats
    kdamond_cpu_s: Floats
    rss_bytes: Ints
    swap_bytes: Ints
    major_faults: Ints
    swap_in_pages: Ints
    swap_out_pages: Ints
    esz_bytes: Ints
    done: NDArray[np.bool_]
    bytes_by: Floats


class Runs:
    """Sessions, one after the other.

    Regions are counted by access rate, the share of an aggregation's samples that saw an access, and by the time
    without one: row r holds rates up to `rate_edges[r]` and above the edge before, the last row all greater ones;
    column c times from `idle_edges_s[c]` to below the next, regions with accesses are in column 0.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        kdamonds_of: Callable[[Floats], Kdamonds],
        *,
        rate_edges: Sequence[float],
        idle_edges_s: Sequence[float],
    ) -> None:
        """`kdamonds_of`: what the numbers of a commit mean."""
        self.sessions = list(sessions)
        self._kdamonds_of = kdamonds_of
        self._edges = np.array(rate_edges, float), np.array(idle_edges_s, float)
        self._integrals = [Integral() for _ in sessions]
        self._last: list[Samples | None] = [None for _ in sessions]

    def advance(self, seconds: float) -> Looks:
        """Lets each run go on by `seconds` s of its clock, as `Session.advance`, and looks. Raises BackendError."""
        for i, session in enumerate(self.sessions):
            if not session.done:
                samples = session.advance(seconds)
                self._integrals[i].add(samples)
                if samples.t_s.size:
                    self._last[i] = samples
        return self.look()

    def look(self) -> Looks:
        """Where the runs are now."""
        rows = [self._row(i) for i in range(len(self.sessions))]
        floats, ints = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.int64)
        done = np.array([session.done for session in self.sessions])
        by = np.array([self._bytes_by(look(session)) for session in self.sessions])
        columns = (*floats.T.copy(), *ints.T.copy())
        return Looks(**dict(zip(Looks._fields, (*columns, done, by), strict=True)))

    def commit(self, values: Floats, which: NDArray[np.bool_]) -> None:
        """Commits the kdamonds with row i of `values` to each run i where `which` is True. Raises as
        `Session.commit`."""
        for i in np.flatnonzero(which):
            self.sessions[i].commit(self._kdamonds_of(values[i]))

    def replace(self, i: int, session: Session) -> None:
        """Puts another run in place of run `i`, whose session is left as it is."""
        self.sessions[i], self._integrals[i], self._last[i] = session, Integral(), None

    def _row(self, i: int) -> tuple[list[float], list[int]]:
        session, last, integral = self.sessions[i], self._last[i], self._integrals[i]
        stats = session.stats()
        quota = (stats[0].effective_bytes or 0) if stats else 0
        work_ms = session.work_done_ms()
        if last is None:
            return [0.0, work_ms, 0.0, 0.0], [0, 0, 0, 0, 0, quota]
        counted = (last.rss_bytes, last.swap_bytes, last.major_faults, last.swap_in_pages, last.swap_out_pages)
        floats = [float(last.t_s[-1]), work_ms, integral.byte_s, float(last.kdamond_cpu_s[-1])]
        return floats, [*(int(column[-1]) for column in counted), quota]

    def _bytes_by(self, snapshot: Snapshot | None) -> Floats:
        rate_edges, idle_edges_s = self._edges
        found = np.zeros((rate_edges.size + 1, idle_edges_s.size))
        if snapshot is None:
            return found
        samples = max(1, snapshot.aggr_us // max(1, snapshot.sample_us))
        row = np.searchsorted(rate_edges, snapshot.nr_accesses / samples, side="left")
        idle_s = snapshot.age * snapshot.aggr_us / 1e6
        column = np.maximum(np.searchsorted(idle_edges_s, idle_s, side="right") - 1, 0)
        column[snapshot.nr_accesses > 0] = 0
        np.add.at(found, (row, column), snapshot.end - snapshot.start)
        return found
