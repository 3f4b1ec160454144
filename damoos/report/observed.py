"""What DAMON saw during a run, as a picture: time × address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from damoos.damon.snapshot import Snapshot, side_by_side

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def covered(snapshots: Sequence[Snapshot]) -> tuple[IntArray, IntArray]:
    """Starts and ends, in bytes, of the address ranges that any of the snapshots covers, merged and sorted."""
    start = np.concatenate([s.start for s in snapshots])
    end = np.concatenate([s.end for s in snapshots])
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    first = np.concatenate([[True], start[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return start[first], reach[last]


def observed_heat(snapshots: Sequence[Snapshot], address_bins: int) -> FloatArray:
    """Access rate, 0..1 of the samples, by [snapshot, address bin].

    The bins divide the covered bytes, holes left out, into equal parts; a bin's rate is the mean over its bytes, 0
    where a snapshot has no region. Raises ValueError without snapshots.
    """
    snapshots = [side_by_side(snapshot) for snapshot in snapshots]
    low, high = covered(snapshots)
    offset = np.concatenate([[0], np.cumsum(high - low)])
    edges = np.linspace(0, offset[-1], address_bins + 1)
    heat = np.zeros((len(snapshots), address_bins))
    for row, snapshot in enumerate(snapshots):
        area = np.searchsorted(low, snapshot.start, side="right") - 1
        start = offset[area] + (snapshot.start - low[area])
        end = start + (snapshot.end - snapshot.start)
        rate = snapshot.nr_accesses / (snapshot.aggr_us / snapshot.sample_us)
        # the integral of the rate over the bytes, as a piecewise linear function through the regions' borders
        places = np.stack([start, end], axis=1).ravel()
        inside = np.cumsum(rate * (end - start))
        integral = np.stack([np.concatenate([[0.0], inside[:-1]]), inside], axis=1).ravel()
        heat[row] = np.diff(np.interp(edges, places, integral)) / np.diff(edges)
    return heat
