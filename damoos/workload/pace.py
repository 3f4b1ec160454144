"""How fast a workload runs: as an amount of work, or for a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MASIM_BATCH = 131_072


@dataclass(frozen=True)
class Pace:
    """How a workload's phases are executed.

    `timing`: "work" makes a phase an amount of work, its milliseconds at the undisturbed rate, so that faults and
    stolen CPU lengthen the run; "time" is masim's own meaning, a phase lasts its milliseconds.
    `accesses_per_ms`: with "work", how many accesses a nominal millisecond stands for (None: the machine model's
    undisturbed rate). `limit_per_ms`: never faster than that many accesses per ms (None: no limit).
    `batch`: accesses made per choice of a pattern (masim: 131,072). `prefault`: every page is touched before the run.
    """

    timing: Literal["work", "time"] = "work"
    accesses_per_ms: float | None = None
    limit_per_ms: float | None = None
    batch: int = MASIM_BATCH
    prefault: bool = False
