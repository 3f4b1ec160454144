"""Looking at DAMON while a workload runs, and what the looks come to in the run's result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from damoos.damon.observed import observe
from damoos.damon.snapshot import Snapshot
from damoos.errors import BackendError
from damoos.workload.processes import AnyMasim

from .accuracy import hot_set_percent
from .base import Session, Workload
from .result import Result


def look(session: Session) -> Snapshot | None:
    """The regions of now; None before the first aggregation has ended, and where there are none."""
    try:
        snapshot = session.snapshot()
    except BackendError:
        return None
    return snapshot if snapshot.start.size else None


def with_observed(result: Result, session: Session, workload: Workload, seen: Sequence[Snapshot]) -> Result:
    """The result with what the looks `seen`, in order, come to. `session` is the run's, not yet closed."""
    known, placed = None, session.placed()
    if placed and isinstance(workload, AnyMasim):
        known = hot_set_percent(workload, placed, result.phases, result.runtime_s, seen)
    return replace(result, observed=observe(seen, known))
