"""Runs of any backend that are watched and steered side by side, as `damoos.sim.fleet.Fleet` does it for simulated
ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Session
from damoos.backend.looking import look
from damoos.backend.result import Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.sim.fleet import Looks

from .baseline import Integral

Floats = NDArray[np.float64]


class Runs:
    """Sessions, one after the other. What is not measured is 0 in `Looks`: `stall_s`, where a kernel has no PSI."""

    def __init__(
        self,
        sessions: Sequence[Session],
        kdamonds_of: Callable[[Floats], Kdamonds],
        *,
        rate_edges: Sequence[float],
        idle_edges_s: Sequence[float],
        counters: bool = True,
    ) -> None:
        """As of `Fleet`; `kdamonds_of`: what the numbers of a commit mean; `counters`: whether schemes are asked for
        their statistics at each look (else `esz_bytes`, `sz_tried` and `sz_applied` are 0), which takes a machine's CPU
        some milliseconds."""
        self.sessions = list(sessions)
        self._kdamonds_of = kdamonds_of
        self._edges = np.array(rate_edges, float), np.array(idle_edges_s, float)
        self._counters = counters
        self._integrals = [Integral() for _ in sessions]
        self._last: list[Samples | None] = [None for _ in sessions]

    def advance(self, seconds: float) -> Looks:
        """Lets each run go on by `seconds` s of its clock, as `Session.advance`, and looks. Raises BackendError."""
        for i, session in enumerate(self.sessions):
            if not session.done:
                self.take(i, session.advance(seconds))
        return self.look()

    def take(self, i: int, samples: Samples) -> None:
        """Takes what run `i` gave when somebody else let it go on."""
        self._integrals[i].add(samples)
        if samples.t_s.size:
            self._last[i] = samples

    def look(self, which: NDArray[np.bool_] | None = None) -> Looks:
        """Where the runs are now, all or those where `which` [runs] is True."""
        at = range(len(self.sessions)) if which is None else np.flatnonzero(which).tolist()
        rows = [self._row(i) for i in at]
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        by = np.array([self._bytes_by(look(self.sessions[i])) for i in at])
        return Looks(**columns, bytes_by=by)

    def commit(self, values: Floats, which: NDArray[np.bool_]) -> None:
        """Commits the kdamonds with row i of `values` to each run i where `which` is True. Raises as
        `Session.commit`."""
        for i in np.flatnonzero(which):
            self.sessions[i].commit(self._kdamonds_of(values[i]))

    def replace(self, i: int, session: Session) -> None:
        """Puts another run in place of run `i`, whose session is left as it is."""
        self.sessions[i], self._integrals[i], self._last[i] = session, Integral(), None

    def _row(self, i: int) -> dict[str, float]:
        session, last = self.sessions[i], self._last[i]
        stats = session.stats() if self._counters else ()
        first = stats[0] if stats else SchemeStats()
        counted = ("kdamond_cpu_s", "rss_bytes", "swap_bytes", "major_faults", "swap_in_pages", "swap_out_pages")
        return {
            "t_s": 0.0 if last is None else last.t_s[-1],
            "work_done_ms": session.work_done_ms(),
            "byte_s": self._integrals[i].byte_s,
            "stall_s": 0.0 if last is None or last.stall_s is None else last.stall_s[-1],
            **{name: 0 if last is None else getattr(last, name)[-1] for name in (*counted, "nr_regions")},
            "esz_bytes": first.effective_bytes or 0,
            "sz_tried": first.sz_tried,
            "sz_applied": first.sz_applied,
            "done": session.done,
        }

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
