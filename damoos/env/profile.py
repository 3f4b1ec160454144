"""A workload as an observation: what DAMON sees of it when it only monitors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Backend
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import Snapshot, side_by_side
from damoos.errors import BackendError
from damoos.workload.processes import AnyMasim

Profile = NDArray[np.float32]

SNAPSHOTS = 40
IDLE_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
RATES = (0.0, 0.05, 0.2, 0.5)
LOG_SIZE_MAX = 48.0

FEATURES: tuple[tuple[str, str], ...] = (
    *((f"idle_{low:g}_s", f"share of bytes idle for {low:g} s and more, below the next") for low in IDLE_S),
    ("no_access", "share of bytes without an access in the last aggregation"),
    *(
        (f"above_{100 * low:g}_percent", f"share of bytes accessed in more than {100 * low:g} % of samples")
        for low in RATES
    ),
    ("rss", "RSS mean, share of the monitored bytes"),
    ("rss_log2", f"RSS mean, log2 of bytes, divided by {LOG_SIZE_MAX:g}"),
    ("change_mean", "share of bytes whose access rate changes by more than half between snapshots, mean"),
    ("change_max", "the same, largest"),
)
"""Name and meaning of each number of a profile; all are in [0, 1]."""


def profile(backend: Backend, workload: AnyMasim, seed: int) -> Profile:
    """The profile, float32 [len(FEATURES)] in [0, 1], of one run that is only monitored, at the default intervals.

    Means are over `SNAPSHOTS` moments, equally far apart over the workload's nominal length. Raises BackendError.
    """
    step_s = workload.duration_ms / 1000 / SNAPSHOTS
    snapshots: list[Snapshot] = []
    with backend.start(workload, Kdamonds(), seed) as session:
        while not session.done and len(snapshots) < SNAPSHOTS:
            session.advance(step_s)
            snapshots.append(session.snapshot())
        rss_bytes = session.finish().rss_mean_bytes
    if not snapshots:
        raise BackendError(f"workload {workload.name} is too short to be monitored")
    return summary(snapshots, rss_bytes)


def summary(snapshots: Sequence[Snapshot], rss_bytes: float) -> Profile:
    """The profile of snapshots in order of time (at least one) and the mean RSS of their run."""
    monitored = float(np.mean([(s.end - s.start).sum() for s in snapshots]))
    changes = [_changed(a, b) for a, b in zip(snapshots[:-1], snapshots[1:], strict=True)] or [0.0]
    numbers = [
        *np.mean([_by_idle_time(s) for s in snapshots], axis=0),
        *np.mean([_by_rate(s) for s in snapshots], axis=0),
        rss_bytes / monitored,
        np.log2(max(rss_bytes, 1.0)) / LOG_SIZE_MAX,
        float(np.mean(changes)),
        max(changes),
    ]
    return np.clip(np.array(numbers, np.float32), 0.0, 1.0)


def _rate(snapshot: Snapshot) -> NDArray[np.float64]:
    return snapshot.nr_accesses * snapshot.sample_us / snapshot.aggr_us


def _by_idle_time(snapshot: Snapshot) -> NDArray[np.float64]:
    size = snapshot.end - snapshot.start
    idle_s = np.where(snapshot.nr_accesses == 0, snapshot.age * snapshot.aggr_us / 1e6, -1.0)
    return np.histogram(idle_s, [*IDLE_S, np.inf], weights=size)[0] / size.sum()


def _by_rate(snapshot: Snapshot) -> NDArray[np.float64]:
    size, rate = snapshot.end - snapshot.start, _rate(snapshot)
    # Bins are open below, so that the first one is exactly "no access".
    which = np.searchsorted(RATES, rate, side="left")
    return np.bincount(which, weights=size, minlength=len(RATES) + 1) / size.sum()


def _changed(before: Snapshot, after: Snapshot) -> float:
    """Share of the bytes covered by both whose rate differs by more than half of the samples."""
    before, after = side_by_side(before), side_by_side(after)
    edges = np.unique(np.concatenate([before.start, before.end, after.start, after.end]))
    places, size = edges[:-1], np.diff(edges)
    rates, inside = [], np.ones(places.size, bool)
    for snapshot in (before, after):
        region = np.clip(np.searchsorted(snapshot.start, places, side="right") - 1, 0, None)
        inside &= (snapshot.start[region] <= places) & (places < snapshot.end[region])
        rates.append(_rate(snapshot)[region])
    common = size[inside].sum()
    moved = inside & (np.abs(rates[0] - rates[1]) > 0.5)
    return float(size[moved].sum() / common) if common else 0.0
