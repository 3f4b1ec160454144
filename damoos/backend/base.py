"""The seam between what tunes and what runs: `Backend` starts a `Session`, a session ends in a `Result`.

Everything above this seam is handed a backend by name and never knows which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.workload.masim import MasimWorkload

from .result import Result, Samples


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do: which kernel it is (or imitates), which actions work, what is missing and why."""

    backend: str
    kernel: str
    time_kind: str
    ops: tuple[str, ...]
    actions: tuple[str, ...]
    missing: dict[str, str]


class Session(Protocol):
    """One workload running once, under kdamonds that can be committed online."""

    def commit(self, kdamonds: Kdamonds) -> Kdamonds:
        """Changes the running configuration; returns what is applied now. Raises KdamondsError, BackendError."""

    def advance(self, seconds: float) -> Samples:
        """Lets the workload run on for at most `seconds` s of its own time; returns the samples taken meanwhile."""

    @property
    def done(self) -> bool:
        """Whether the workload has ended."""

    def snapshot(self) -> Snapshot:
        """DAMON's regions at the end of the last finished aggregation. Raises BackendError without DAMON."""

    def stats(self) -> tuple[SchemeStats, ...]:
        """The counters of each scheme so far."""

    def finish(self) -> Result:
        """Runs the workload to its end and returns the record."""

    def close(self) -> None:
        """Ends the session and restores everything; may be called more than once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """Where workloads run."""

    @property
    def name(self) -> str:
        """As the command line names it, machine included: `sim:zram`."""

    def probe(self) -> Capabilities:
        """What this backend can do."""

    def start(self, workload: MasimWorkload, kdamonds: Kdamonds | None, seed: int) -> Session:
        """Starts the workload; `kdamonds` None runs it without DAMON. Raises KdamondsError, BackendError."""
