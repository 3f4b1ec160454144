"""What DAMON's snapshots of a run come to: working set, idle times, temperature, in percentiles as damo reports them.

Definitions of damo 3.4 (`damo report wss`, `damo report access --style recency-percentiles` and
`temperature-percentiles`):

- The working set of a snapshot is the bytes of all regions with an access in the last aggregation; its percentiles are
  over the snapshots of a run.
- Idle time of a region: 0 if it was accessed in the last aggregation, else its age and that aggregation. Percentiles
  are over the bytes of a snapshot.
- Temperature: 100 for each percent of the samples with an access and 100 for each µs of age; of a region that was not
  accessed the same, negative. Percentiles are over the bytes of a snapshot.

And of DAMON_STAT (Linux 7.3, `damoos.damon.modules`): the estimated memory bandwidth, and its own idle times.

What either shows of one snapshot is here the mean over the snapshots of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .modules import estimated_memory_bandwidth, memory_idle_ms_percentiles
from .snapshot import Snapshot

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)
"""The percentiles that are kept."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """Figures of one run from `nr_snapshots` snapshots; `wss_bytes`, `idle_s`, `temperature`, `stat_idle_s`: one value
    each of `PERCENTILES`. `hot_set_percent`: how well DAMON knew what was in use, 0..100, where the truth is known
    (`damoos.backend.accuracy`). `bandwidth_bytes_s`, `stat_idle_s`: of DAMON_STAT, the latter below 0 for what is in
    use; None in what older versions of damoos wrote."""

    nr_snapshots: int
    wss_mean_bytes: float
    wss_bytes: tuple[float, ...]
    idle_s: tuple[float, ...]
    temperature: tuple[float, ...]
    hot_set_percent: float | None = None
    bandwidth_bytes_s: float | None = None
    stat_idle_s: tuple[float, ...] | None = None


def working_set_bytes(snapshot: Snapshot) -> int:
    """Bytes of the regions that were accessed in the last aggregation."""
    return int((snapshot.end - snapshot.start)[snapshot.nr_accesses > 0].sum())


def idle_us(snapshot: Snapshot) -> Floats:
    """How long each region has been idle, µs [n]."""
    return np.where(snapshot.nr_accesses > 0, 0.0, (snapshot.age + 1.0) * snapshot.aggr_us)


def temperature(snapshot: Snapshot) -> Floats:
    """The temperature of each region [n], with damo's default weights."""
    percent = 100.0 * snapshot.nr_accesses / max(snapshot.aggr_us // max(snapshot.sample_us, 1), 1)
    score = 100.0 * percent + 100.0 * snapshot.age * snapshot.aggr_us
    return np.where(snapshot.nr_accesses > 0, score, -score)


def percentiles_over_time(values: Sequence[float]) -> Floats:
    """`PERCENTILES` of values that weigh the same, each one of the values [len(PERCENTILES)]."""
    ordered = np.sort(np.asarray(values, float))
    return ordered[[min(p * len(ordered) // 100, len(ordered) - 1) for p in PERCENTILES]]


def percentiles_over_bytes(snapshot: Snapshot, values: Floats) -> Floats:
    """`PERCENTILES` of the regions' `values`, each weighing as much as its region has bytes [len(PERCENTILES)]."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum((snapshot.end - snapshot.start)[order].astype(float))
    # A hair less, so that a region whose bytes end just at a percentile still has it.
    places = np.searchsorted(100.0 * reached / reached[-1], np.array(PERCENTILES) * (1.0 - 1e-12))
    return values[order][np.minimum(places, len(values) - 1)]


def observe(snapshots: Sequence[Snapshot], hot_set_percent: float | None = None) -> Observed | None:
    """The figures of a run's snapshots; None if there is none with regions."""
    seen = [snapshot for snapshot in snapshots if snapshot.start.size]
    if not seen:
        return None
    working_sets = [working_set_bytes(snapshot) for snapshot in seen]
    idle = np.mean([percentiles_over_bytes(s, idle_us(s)) for s in seen], axis=0)
    warmth = np.mean([percentiles_over_bytes(s, temperature(s)) for s in seen], axis=0)
    stat_idle_ms = np.mean([memory_idle_ms_percentiles(s)[list(PERCENTILES)] for s in seen], axis=0)
    return Observed(
        nr_snapshots=len(seen),
        wss_mean_bytes=float(np.mean(working_sets)),
        wss_bytes=tuple(percentiles_over_time(working_sets).tolist()),
        idle_s=tuple((idle / 1e6).tolist()),
        temperature=tuple(warmth.tolist()),
        hot_set_percent=hot_set_percent,
        bandwidth_bytes_s=float(np.mean([estimated_memory_bandwidth(s) for s in seen])),
        stat_idle_s=tuple((stat_idle_ms / 1e3).tolist()),
    )
