"""The seam between what tunes and what runs: `Backend` starts a `Session`, a session ends in a `Result`.

Everything above this seam is handed a backend by name and never knows which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import SchemeStats, Snapshot
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload
from damoos.workload.masim import MasimWorkload
from damoos.workload.processes import ProcessesWorkload

from .result import Result, Samples

Workload = MasimWorkload | ProcessesWorkload | CommandWorkload | AttachedWorkload
"""What can be run: masim workloads everywhere, several of them at once on the simulator only, the others on real
kernels only."""
Placed = tuple[str, int, int]
"""A region of a masim workload in the address space: name, first byte, end."""


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

    def placed(self) -> tuple[Placed, ...]:
        """Where the workload's regions lie in what `snapshot` shows, in the workload's order, of several processes each
        in its own target; empty if not known."""

    def work_done_ms(self) -> float:
        """How much of the workload's nominal time is done for sure by now, ms; 0 where nothing tells."""

    def finish(self) -> Result:
        """Runs the workload to its end and returns the record."""

    def close(self) -> None:
        """Ends the session and restores everything; may be called more than once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """Where workloads run. A frozen dataclass whose text says all that decides a run: it identifies studies.

    Connects to its machine (boots its VM) when it first has to; `close` when done.
    """

    @property
    def name(self) -> str:
        """As the command line names it, machine included: `sim:zram`, `vm:7.3`, `host`."""

    @property
    def time_kind(self) -> str:
        """Which clock its times are of: "simulated", "virtual" or "real". Known without connecting."""

    @property
    def slots(self) -> int:
        """How many runs go side by side without disturbing each other; `start` may be called from as many threads."""

    def probe(self) -> Capabilities:
        """What this backend can do. Raises BackendError, of it DamonInUseError where somebody else uses DAMON."""

    def preview(self, kdamonds: Kdamonds) -> str:
        """What starting with `kdamonds` would write, one line a file: path, old value, new value; changes nothing.

        Raises InputError where there is nothing to write to (simulator), else as `start`.
        """

    def start(self, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> Session:
        """Starts the workload; `kdamonds` None runs it without DAMON.

        Raises KdamondsError for what the kernel refuses, InputError for a workload that can't run here, SetUpError,
        DamonInUseError. Session methods raise SetUpError when the machine is lost, WorkloadError when the workload
        failed.
        """

    def close(self) -> None:
        """Leaves the machine as it was found; may be called more than once. A later `start` connects again."""
