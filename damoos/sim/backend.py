"""The simulator as a backend: `sim:MACHINE`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from damoos.backend.base import Capabilities, Workload
from damoos.damon.kdamonds import OPS, Kdamonds
from damoos.errors import InputError
from damoos.workload.pace import Pace
from damoos.workload.processes import AnyMasim

from .machine import Machine, load_machine
from .session import SimSession
from .support import MISSING, SUPPORTED_ACTIONS, idle_actions

DEFAULT_MACHINE = "zram"


@dataclass(frozen=True)
class SimBackend:
    """Runs workloads on a named machine model, deterministic in (workload, kdamonds, machine, pace, seed).

    `sample_every_s`: how often RSS and counters are sampled. `trace`: keep DAMON's regions of every aggregation in the
    result. `exact`: check region by region and sample by sample instead of drawing sums (slow; the oracle of tests).
    """

    machine: Machine
    pace: Pace = Pace()
    sample_every_s: float = 0.1
    trace: bool = False
    exact: bool = False

    @property
    def name(self) -> str:
        """`sim:MACHINE`."""
        return f"sim:{self.machine.name}"

    @property
    def time_kind(self) -> str:
        """Always "simulated"."""
        return "simulated"

    @property
    def slots(self) -> int:
        """One a CPU: simulations share nothing."""
        return len(os.sched_getaffinity(0))

    def probe(self) -> Capabilities:
        """What the simulator models. Actions that do nothing on this machine count as missing, but can be run."""
        idle = idle_actions(self.machine)
        return Capabilities(
            backend=self.name,
            kernel=self.machine.kernel,
            time_kind=self.time_kind,
            ops=OPS,
            actions=tuple(action for action in SUPPORTED_ACTIONS if action not in idle),
            missing=MISSING | idle,
        )

    def preview(self, kdamonds: Kdamonds) -> str:
        """Raises InputError: there are no files."""
        raise InputError("nothing is written", field="backend", value=self.name, allowed="vm, host, ssh:HOST")

    def start(self, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> SimSession:
        """Starts a run; see `Backend.start`."""
        if not isinstance(workload, AnyMasim):
            raise InputError(
                "only masim workloads can be simulated",
                field="workload",
                value=workload.name,
                allowed="a masim configuration, or --backend vm, host or ssh:HOST",
            )
        return SimSession(
            self.name,
            self.machine,
            workload,
            kdamonds,
            seed,
            pace=self.pace,
            sample_every_us=self.sample_every_s * 1e6,
            trace=self.trace,
            exact=self.exact,
        )

    def close(self) -> None:
        """Nothing to leave."""


def open_sim(
    detail: str = "",
    *,
    timing: str = "work",
    pace: Pace | None = None,
    sample_every_s: float = 0.1,
    trace: bool = False,
    exact: bool = False,
    outputs: Path | None = None,
) -> SimBackend:
    """The simulator with the machine model `detail` (a name or a TOML file; default zram).

    `timing` "work" or "time" is a shortcut for `pace`; `outputs` is not used, since nothing is printed.
    Raises InputError for an unknown machine or timing.
    """
    if timing not in ("work", "time"):
        raise InputError("unknown timing", field="timing", value=timing, allowed="work, time")
    return SimBackend(
        machine=load_machine(detail or DEFAULT_MACHINE),
        pace=pace if pace is not None else Pace(timing="work" if timing == "work" else "time"),
        sample_every_s=sample_every_s,
        trace=trace,
        exact=exact,
    )
