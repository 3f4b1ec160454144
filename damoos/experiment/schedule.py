"""A schedule over the phases of a workload: steering that knows in advance what the workload does.

A phase has two parts, its first `HEAD_MS` (half of it where it is shorter) and its rest, since what has just come out
of use is another matter than what was out of use before. Phases that do the same for as long share the points of their
parts.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from damoos.backend.base import Backend, Session, Workload
from damoos.backend.result import Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import InputError
from damoos.tune.space import Space, Value
from damoos.workload.masim import MasimWorkload

HEAD_MS = 2_000
EVERY_S = 0.25

Point = tuple[tuple[str, Value], ...]
"""A point's parameters and values, so that it can be compared and hashed."""


@dataclass(frozen=True)
class Parts:
    """The parts of a workload's phases: the nominal time `until_ms` [n] at which each ends, and the `index` [n] of the
    one of the `count` points that holds in it."""

    until_ms: tuple[float, ...]
    index: tuple[int, ...]
    count: int


def parts_of(workload: Workload) -> Parts:
    """Raises InputError for what is no masim workload of one process, whose phases nobody knows."""
    if not isinstance(workload, MasimWorkload):
        allowed = "a masim workload of one process"
        raise InputError(
            "has no phases that are known in advance", field="workload", value=workload.name, allowed=allowed
        )
    alike: dict[object, int] = {}
    until_ms: list[float] = []
    index: list[int] = []
    begin_ms = 0.0
    for phase in workload.phases:
        head = 2 * alike.setdefault((phase.patterns, phase.ms), len(alike))
        until_ms += [begin_ms + min(HEAD_MS, phase.ms / 2), begin_ms + phase.ms]
        index += [head, head + 1]
        begin_ms += phase.ms
    return Parts(tuple(until_ms), tuple(index), 2 * len(alike))


@dataclass(frozen=True)
class Schedule:
    """Steering by the work that a run has done: `points` of `space`, one for each of the parts of its workload."""

    space: Space
    points: tuple[Point, ...]
    every_s: float = EVERY_S

    def begin(self, kdamonds: Kdamonds, workload: Workload, backend: Backend, seed: int) -> Scheduled:
        """See Steering. Raises InputError as `parts_of`, and where the points are those of another workload."""
        parts = parts_of(workload)
        if parts.count != len(self.points):
            raise InputError(
                "is another workload's", field="schedule", value=f"{len(self.points)} points", allowed=str(parts.count)
            )
        own = [self.space.kdamonds(dict(point)) for point in self.points]
        return Scheduled(parts.until_ms, tuple(own[i] for i in parts.index), kdamonds)


@dataclass
class Scheduled:
    """One run under a schedule: what holds until when."""

    until_ms: tuple[float, ...]
    kdamonds: tuple[Kdamonds, ...]
    applied: Kdamonds

    def step(self, session: Session, samples: Samples) -> None:
        """See Steerer."""
        part = min(bisect.bisect_right(self.until_ms, session.work_done_ms()), len(self.kdamonds) - 1)
        if self.kdamonds[part] != self.applied:
            self.applied = self.kdamonds[part]
            session.commit(self.applied)
