"""How well DAMON knew what was in use, where the workload's own pattern tells the truth.

At a moment the truth is, page by page, the chance that it is touched within 100 ms (DAMON's default aggregation),
whatever the intervals are that DAMON runs at: `damoos.workload.access`. DAMON takes a page to be in use if its region
was accessed in the last aggregation, until the next look. Over all pages and looks that makes true positives (in use,
taken to be), false positives and false negatives, and of them F1 = 2 TP / (2 TP + FP + FN), in percent: 100 if DAMON
was always right, 0 if it never found what was in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from damoos.damon.snapshot import Snapshot
from damoos.workload.access import heat_between
from damoos.workload.masim import MasimWorkload
from damoos.workload.processes import AnyMasim, processes_of

from .base import Placed
from .result import PhaseResult

Floats = NDArray[np.float64]


def hot_set_percent(
    workload: AnyMasim,
    placed: Sequence[Placed],
    phases: Sequence[PhaseResult],
    runtime_s: float,
    snapshots: Sequence[Snapshot],
) -> float | None:
    """F1 of what DAMON took to be in use, 0..100; None if nothing was in use or nothing was looked at.

    `placed`: where the workload's regions lay; `phases`, `runtime_s`: of the run's result; `snapshots`: in order. Of
    several processes all are counted, each as its own target saw it.
    """
    found = np.zeros(3)
    for c, process in enumerate(processes_of(workload)):
        regions, placed = placed[: len(process.regions)], placed[len(process.regions) :]
        own, phases = phases[: len(process.phases)], phases[len(process.phases) :]
        found += _counts(process, regions, own, runtime_s, [_of_target(snapshot, c) for snapshot in snapshots])
    right, wrong, missed = found
    return None if right + missed == 0.0 else float(200.0 * right / (2.0 * right + wrong + missed))


def _of_target(snapshot: Snapshot, target: int) -> Snapshot:
    if snapshot.target is None:
        return snapshot
    own = snapshot.target == target
    columns = {name: getattr(snapshot, name)[own] for name in ("start", "end", "nr_accesses", "age", "target")}
    return replace(snapshot, **columns)


def _counts(
    workload: MasimWorkload,
    placed: Sequence[Placed],
    phases: Sequence[PhaseResult],
    runtime_s: float,
    snapshots: Sequence[Snapshot],
) -> Floats:
    # True positives, false positives, false negatives [3], in bytes times ms.
    nominal_ms = np.cumsum([0.0, *(phase.nominal_ms for phase in phases)])
    elapsed_ms = np.cumsum([0.0, *(phase.elapsed_ms for phase in phases)])
    rates = [phase.accesses / max(phase.nominal_ms, 1e-9) for phase in phases]
    offsets = np.cumsum([0, *(region.sz for region in workload.regions)])
    until_ms = [*(1e3 * snapshot.t_s for snapshot in snapshots), 1e3 * runtime_s][1:]
    found = np.zeros(3)
    for snapshot, until in zip(snapshots, until_ms, strict=True):
        window = np.interp([1e3 * snapshot.t_s, until], elapsed_ms, nominal_ms)
        if window[1] - window[0] < 1e-6 or not snapshot.start.size:
            continue
        edges, taken = _taken(snapshot, placed, offsets)
        heat = heat_between(workload, rates, window, edges)[0]
        weight = np.diff(edges) * (window[1] - window[0])
        found += weight @ np.stack([heat * taken, (1.0 - heat) * taken, heat * (1.0 - taken)], axis=1)
    return found


def _taken(snapshot: Snapshot, placed: Sequence[Placed], offsets: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Edges in bytes of the footprint, and for each piece between them whether DAMON takes it to be in use, 0 or 1."""
    edges: list[Floats] = []
    taken: list[Floats] = []
    borders = np.unique(np.concatenate([snapshot.start, snapshot.end]))
    for (_, start, end), offset in zip(placed, offsets, strict=False):
        inside = borders[(borders > start) & (borders < end)]
        cuts = np.concatenate([[start], inside, [end]])
        region = np.searchsorted(snapshot.start, cuts[:-1], side="right") - 1
        covered = (region >= 0) & (snapshot.end[region] > cuts[:-1])
        taken.append((covered & (snapshot.nr_accesses[region] > 0)).astype(float))
        edges.append((cuts[:-1] - start + offset).astype(float))
    return np.append(np.concatenate(edges), float(offsets[-1])), np.concatenate(taken)
