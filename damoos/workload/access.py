"""A masim workload's accesses at human scale: how likely a page is touched in a time window. For drawing and reports;
the simulator has its own, exact model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .masim import MasimWorkload, Pattern, Phase
from .pace import MASIM_BATCH
from .processes import AnyMasim, ProcessesWorkload

PAGE = 4096
WINDOW_MS = 100.0
"""DAMON's default aggregation interval: what is touched less often looks idle to it."""

FloatArray = NDArray[np.float64]


def expected_heat(
    workload: AnyMasim,
    accesses_per_ms: float,
    time_bins: int,
    address_bins: int,
    window_ms: float = WINDOW_MS,
) -> FloatArray:
    """Chance, 0..1, that a page is touched within `window_ms`, as [time bin, address bin]: means over the bin.

    Bins divide the workload's nominal duration and its footprint equally; addresses are the regions' bytes in the
    file's order, without gaps. `accesses_per_ms` is the rate of a workload that nothing disturbs.
    """
    times = np.linspace(0.0, workload.duration_ms, time_bins + 1)
    addresses = np.linspace(0.0, workload.footprint_bytes, address_bins + 1)
    return heat_between(workload, accesses_per_ms, times, addresses, window_ms)


def heat_between(
    workload: AnyMasim,
    accesses_per_ms: float | Sequence[float],
    time_edges_ms: FloatArray,
    address_edges: FloatArray,
    window_ms: float = WINDOW_MS,
) -> FloatArray:
    """`expected_heat` for bins of any size: increasing edges in ms since the start and in bytes of the footprint.

    `accesses_per_ms`: one rate (of several processes: of each), or one for each phase.
    """
    if isinstance(workload, ProcessesWorkload):
        return _heat_of_processes(workload, accesses_per_ms, time_edges_ms, address_edges, window_ms)
    rates = [accesses_per_ms] * len(workload.phases) if isinstance(accesses_per_ms, int | float) else accesses_per_ms
    heat = np.zeros((len(time_edges_ms) - 1, len(address_edges) - 1))
    widths = np.diff(time_edges_ms)
    begin = 0.0
    for phase, rate in zip(workload.phases, rates, strict=True):
        cut = np.clip(time_edges_ms, begin, begin + phase.ms) - begin
        rows = np.flatnonzero(np.diff(cut) > 0)
        for row in rows:
            part = _phase_heat(workload, phase, rate, cut[row], cut[row + 1], address_edges, window_ms)
            heat[row] += part * (cut[row + 1] - cut[row]) / widths[row]
        begin += phase.ms
    return heat


def _heat_of_processes(
    workload: ProcessesWorkload,
    accesses_per_ms: float | Sequence[float],
    time_edges_ms: FloatArray,
    address_edges: FloatArray,
    window_ms: float,
) -> FloatArray:
    heat = np.zeros((len(time_edges_ms) - 1, len(address_edges) - 1))
    low = 0.0
    for process in workload.processes:
        edges = np.clip(address_edges - low, 0.0, process.footprint_bytes)
        low += process.footprint_bytes
        own = np.flatnonzero(np.diff(edges) > 0)
        if own.size:
            edges = edges[own[0] : own[-1] + 2]
            part = heat_between(process, accesses_per_ms, time_edges_ms, edges, window_ms)
            heat[:, own] += part * np.diff(edges) / np.diff(address_edges)[own]
    return heat


def _phase_heat(
    workload: MasimWorkload,
    phase: Phase,
    accesses_per_ms: float,
    start_ms: float,
    end_ms: float,
    address_edges: FloatArray,
    window_ms: float,
) -> FloatArray:
    # Mean heat over [start_ms, end_ms) of the phase.
    widths = np.diff(address_edges)
    heat = np.zeros(len(widths))
    total = sum(p.probability for p in phase.patterns)
    low = 0.0
    for region in workload.regions:
        edges = np.clip(address_edges, low, low + region.sz) - low
        low += region.sz
        inside = np.diff(edges) > 0
        if not inside.any():
            continue
        missed = np.ones(len(widths))
        for pattern in phase.patterns:
            if pattern.region == region.name and pattern.probability > 0:
                share = pattern.probability / total
                missed *= 1.0 - _pattern_heat(
                    pattern, region.sz, share, accesses_per_ms, start_ms, end_ms, edges, window_ms
                )
        heat += np.where(inside, 1.0 - missed, 0.0) * np.diff(edges) / widths
    return heat


def _pattern_heat(
    pattern: Pattern,
    sz: int,
    share: float,
    accesses_per_ms: float,
    start_ms: float,
    end_ms: float,
    edges: FloatArray,
    window_ms: float,
) -> FloatArray:
    accesses = accesses_per_ms * window_ms
    batch = min(MASIM_BATCH, accesses)
    chosen = accesses / batch * share  # mean number of this pattern's batches in a window
    pages = max(sz / PAGE, 1.0)
    if pattern.random:
        # A page escapes each batch with exp(-batch / pages); the number of batches is Poisson, or fixed if alone.
        hit = 1.0 - math.exp(-batch / pages)
        touched = 1.0 - ((1.0 - hit) ** chosen if share == 1.0 else math.exp(-chosen * hit))
        return np.full(len(edges) - 1, touched)
    if pattern.stride == 0:
        touched_pages = 1.0
    else:
        touched_pages = max(1.0, pages * min(1.0, PAGE / pattern.stride))
    of_pages = min(1.0, touched_pages / pages)  # a stride above a page leaves pages out
    swept = batch * max(pattern.stride, 1) / sz  # regions that one batch passes
    if chosen * swept < 1.0 and swept < 0.5:
        # Slower than a window: the place matters. A page that is passed once is touched in one window's time.
        speed = chosen * swept / window_ms
        passes = _mean_passes(speed * end_ms, edges / sz) - _mean_passes(speed * start_ms, edges / sz)
        return np.minimum(1.0, passes * window_ms / (end_ms - start_ms)) * of_pages
    return np.full(len(edges) - 1, _swept(chosen, swept, alone=share == 1.0) * of_pages)


def _swept(batches: float, swept: float, *, alone: bool) -> float:
    # E[min(1, K * swept)], K ~ Poisson(batches); K is fixed if no other pattern competes.
    if alone:
        return min(1.0, batches * swept)
    short = 0.0
    for k in range(math.ceil(1.0 / swept)):
        short += math.exp(k * math.log(batches) - batches - math.lgamma(k + 1)) * (1.0 - k * swept)
    return 1.0 - short


def _mean_passes(distance: float, edges: FloatArray) -> FloatArray:
    # How often a sweep that went `distance` regions far has passed a place, as the mean between edges in 0..1. A place
    # u was passed floor(distance - u) + 1 times; the integral of that over u is piecewise linear.
    whole = math.floor(distance)
    integral = edges * whole + np.minimum(edges, distance - whole)
    width = np.diff(edges)
    return np.divide(np.diff(integral), width, out=np.zeros(len(width)), where=width > 0)
