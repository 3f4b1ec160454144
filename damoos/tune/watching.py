"""Watching a workload once, for strategies that look at it before they propose anything (`Strategy.watches`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from damoos.backend.base import Backend, Workload
from damoos.backend.feed import Feed
from damoos.backend.looking import look
from damoos.backend.result import Result
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import Snapshot
from damoos.workload.recording import Recording

from .objective import Objective
from .space import Space

if TYPE_CHECKING:
    from damoos.sim.backend import SimBackend

EVERY_S = 0.2
"""Time between two looks at DAMON's regions, s: what changed in between shows in their ages."""
MOST = 4_000
"""Looks that are kept: of a run with more every second one is, as often as need be."""
GUEST = "vm"
OTHER = "zram"
ENDING = ".recording.json.gz"


def monitoring(space: Space) -> Kdamonds:
    """The monitoring of the space's default point, without schemes."""
    return space.kdamonds(space.defaults()).with_schemes(())


def recording_path(journal: Path) -> Path:
    """Where the recording of the study with that journal is."""
    return journal.with_name(journal.stem + ENDING)


def watch(backend: Backend, workload: Workload, kdamonds: Kdamonds, seed: int) -> tuple[Recording, Result]:
    """One whole run that is looked at all the time. Raises as `Backend.start` and the session."""
    seen: list[Snapshot] = []
    every_s = EVERY_S
    with backend.start(workload, kdamonds, seed) as session:
        while not session.done:
            session.advance(every_s)
            if not session.done and (snapshot := look(session)) is not None:
                seen.append(snapshot)
            if len(seen) > MOST:
                seen, every_s = seen[::2], 2.0 * every_s
        result = session.finish()
    recording = Recording(
        workload=workload.name,
        backend=backend.name,
        time_kind=backend.time_kind,
        seed=seed,
        runtime_s=result.runtime_s,
        rss_t_s=result.samples.t_s,
        rss_bytes=result.samples.rss_bytes,
        snapshots=tuple(seen),
    )
    return recording, result


def stand_in(backend: Backend) -> SimBackend:
    """The simulator whose machine model is nearest to the backend's machine: the backend's own where it simulates, of
    the guests that damoos boots for virtual time, and a server with compressed swap for others."""
    from damoos.sim.backend import SimBackend, open_sim  # of the strategies, only those that watch simulate

    if isinstance(backend, SimBackend):
        return SimBackend(backend.machine, backend.pace)
    return open_sim(GUEST if backend.time_kind == "virtual" else OTHER)


@dataclass(eq=False)
class Watched:
    """A `damoos.tune.strategies.base.Subject`: what `record` records at the first call is kept."""

    objective: Objective
    feed: Feed | None
    backend: Backend
    record: Callable[[], Recording] = field(repr=False)
    _recording: Recording | None = field(default=None, init=False, repr=False)

    def recording(self) -> Recording:
        """See `Subject.recording`."""
        if self._recording is None:
            self._recording = self.record()
        return self._recording

    def simulator(self) -> SimBackend:
        """See `Subject.simulator`."""
        return stand_in(self.backend)
