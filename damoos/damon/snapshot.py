"""What DAMON reports: regions and scheme statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Snapshot:
    """Monitoring results at one moment.

    `start`, `end`: int64 [n], bytes; `nr_accesses`: int64 [n], 0..aggr_us/sample_us samples;
    `age`: int64 [n], aggregation intervals. `target`: int64 [n], whose they are (None: of a real kernel, which does not
    tell). Target by target, and in each sorted by address, without overlap, holes possible.
    """

    t_s: float
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    nr_accesses: NDArray[np.int64]
    age: NDArray[np.int64]
    sample_us: int
    aggr_us: int
    target: NDArray[np.int64] | None = None


def side_by_side(snapshot: Snapshot) -> Snapshot:
    """The same with the address spaces of its targets one behind the other, sorted: target t's addresses are higher by
    t * 2^48 bytes."""
    if snapshot.target is None:
        return snapshot
    shift = snapshot.target << 48
    return replace(snapshot, start=snapshot.start + shift, end=snapshot.end + shift)


@dataclass(frozen=True)
class SchemeStats:
    """A scheme's counters, as in `stats/`; sizes in bytes. `effective_bytes`: what its quota allows in a reset interval
    now, 0: no quota yet; None where it was not asked for."""

    nr_tried: int = 0
    sz_tried: int = 0
    nr_applied: int = 0
    sz_applied: int = 0
    sz_ops_filter_passed: int = 0
    qt_exceeds: int = 0
    nr_snapshots: int = 0
    effective_bytes: int | None = None
