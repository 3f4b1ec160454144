"""A recorded workload: a masim workload that does what a monitored run was seen doing.

Memory is cut into pieces, and from snapshots and ages follows how hot each piece was in each short bin of time. Pieces
side by side with like histories become one region, times in which nothing changes one phase, whose patterns walk
through each region as often as the share of checks that found an access says. What was never seen in use, though it is
resident, is touched once when it came.

What a snapshot shows of memory: of a region with `nr_accesses` n and `age` a, that about n checks found an access in
each of the last a + 1 aggregations, and that before these there was a change between idle and not idle, or by a tenth
(mm/damon/core.c damon_merge_regions_of() of Linux 7.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.damon.snapshot import Snapshot

from .masim import MasimWorkload, Pattern, Phase, Region
from .recording import Recording

PAGE = 4096
PIECES = 512
"""Into how many pieces of equal size memory is cut, about."""
BINS = 600
"""Bins of time, at most; none is shorter than an aggregation."""
REGIONS = 20
"""Regions of the recorded workload, at most, besides two."""
ALIKE = 5e-3
"""Two neighbours are one region if that costs less than this share of all that goes on."""
BATCH = 2048
"""Accesses a batch: so few that many regions can be in use in one sampling interval."""
HOTTEST = 0.98
"""A share of 1 would be endless many accesses."""
WEIGHTS = 1_000_000
CORE, SILENT = "core", "silent"
CORE_BYTES = 65_536
_FOR_EVER = 1e9
_ROUNDING = 1.5
"""Ages are whole numbers of aggregations, and looks come at any time."""
_LATELY_S = 5.0
"""Over so long a time moments of use are counted when histories are compared."""
_MISSING = 0.01
"""Of resident memory: less than this is not worth a region."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rate:
    """Of the machine that it is to run on. `accesses_per_ms`: sequential ones, undisturbed, with what choosing a batch
    of `BATCH` accesses costs; `rss_base_bytes`: resident memory besides the workload's."""

    accesses_per_ms: float
    rss_base_bytes: int


@dataclass(frozen=True)
class Heat:
    """What pieces of memory did, `start` to `end` [pieces], bytes, in bins of `bin_s` s.

    `share` [bins, pieces]: of the checks that found an access; `moments` [bins, pieces]: share of the piece that was in
    use for a moment between two looks, negative where that was said too early. `sample_s`: time between two checks.
    """

    share: Floats
    moments: Floats
    start: Ints
    end: Ints
    bin_s: float
    sample_s: float

    @property
    def once(self) -> float:
        """The share of checks that finds one pass through a piece in a bin."""
        return -math.expm1(-self.sample_s / self.bin_s)


def recorded_workload(recording: Recording, rate: Rate) -> MasimWorkload:
    """The workload, to be run at a pace of `BATCH` accesses a batch on a machine of that rate; without regions worth
    mentioning it is one that only computes."""
    heat = heat_of(recording)
    groups = _grouped(heat)
    sizes = np.array([int((heat.end[a:b] - heat.start[a:b]).sum()) for a, b in groups], np.int64)
    levels = _levels(heat, groups)
    sizes, arrives_at = _resident(recording, rate, heat.bin_s, sizes, levels)
    regions = [Region(f"r{i}", int(sz)) for i, sz in enumerate(sizes[:-1])]
    if sizes[-1] > 0:
        regions.append(Region(SILENT, int(sizes[-1])))
    regions.append(Region(CORE, CORE_BYTES))
    phases = _phases(recording, heat.bin_s, regions, levels, arrives_at, 1e3 * heat.sample_s, rate.accesses_per_ms)
    return MasimWorkload(recording.workload, tuple(regions), phases)


def heat_of(recording: Recording) -> Heat:
    """How hot each piece of memory was when.

    Where nothing was found in use before and now, the age tells of what was between: neighbours that look alike become
    one region, with the mean of their ages, so an age that lags behind the clock by a share of itself says that this
    share of the region began anew.
    """
    snapshots = recording.snapshots
    start, end = _pieces(snapshots)
    aggr_s, sample_s = (snapshots[0].aggr_us / 1e6, snapshots[0].sample_us / 1e6) if snapshots else (0.1, 0.005)
    bin_s = max(aggr_s, recording.runtime_s / BINS)
    bins = max(math.ceil(recording.runtime_s / bin_s), 1)
    share, moments = np.zeros((bins, len(start))), np.zeros((bins, len(start)))
    middle = (start + end) // 2
    before_s, before, age_before = 0.0, np.zeros(len(start)), np.full(len(start), _FOR_EVER)
    for snapshot in snapshots:
        now, age = _at(snapshot, middle)
        passed_s = snapshot.t_s - before_s
        since_s = np.clip(snapshot.t_s - (age + 1.0) * aggr_s, before_s, snapshot.t_s)
        for at in range(int(before_s / bin_s), min(math.ceil(snapshot.t_s / bin_s), bins)):
            low, high = max(at * bin_s, before_s), min((at + 1) * bin_s, snapshot.t_s)
            late = np.clip(high - since_s, 0.0, high - low)
            share[at] += (late * now + (high - low - late) * before) / bin_s
        expected = age_before + passed_s / aggr_s
        lag = np.where((before == 0.0) & (now == 0.0) & (age_before < _FOR_EVER), expected - age, 0.0)
        lag[np.abs(lag) < _ROUNDING] = 0.0
        at = min(int((before_s + 0.5 * passed_s) / bin_s), bins - 1)
        moments[at] += np.clip(lag / np.maximum(expected, 1.0), -1.0, 1.0)
        before_s, before, age_before = snapshot.t_s, now, age
    if snapshots:
        share[min(math.ceil(before_s / bin_s), bins) :] = before
    return Heat(share, moments, start, end, bin_s, sample_s)


def _pieces(snapshots: tuple[Snapshot, ...]) -> tuple[Ints, Ints]:
    # Pieces of what was ever monitored, none of them across a hole.
    if not snapshots:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    spans = np.concatenate([np.column_stack((s.start, s.end)) for s in snapshots])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    begins = np.flatnonzero(np.concatenate(([True], spans[1:, 0] > reach[:-1])))
    low, high = spans[begins, 0], reach[np.append(begins[1:], len(spans)) - 1]
    size = max(int((high - low).sum()) // PIECES // PAGE, 1) * PAGE
    edges = [np.append(np.arange(a, b, size), b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    return np.concatenate([e[:-1] for e in edges]), np.concatenate([e[1:] for e in edges])


def _at(snapshot: Snapshot, address: Ints) -> tuple[Floats, Floats]:
    # Share of checks that found an access, and age, at addresses; idle for ever where nothing is monitored.
    index = np.searchsorted(snapshot.start, address, side="right") - 1
    inside = (index >= 0) & (address < snapshot.end[index])
    share = snapshot.nr_accesses[index] * (snapshot.sample_us / snapshot.aggr_us)
    return np.where(inside, np.minimum(share, 1.0), 0.0), np.where(inside, snapshot.age[index], _FOR_EVER)


def _grouped(heat: Heat) -> list[tuple[int, int]]:
    """Runs of pieces [first, last) with like histories: the two neighbours that cost least (Ward, 1963) become one,
    again and again."""
    if not len(heat.start):
        return []
    # That memory is in use counts as much as how much, and moments of use by how many there are.
    bins = max(round(_LATELY_S / heat.bin_s), 1)
    lately = np.apply_along_axis(np.convolve, 0, heat.moments, np.ones(min(bins, len(heat.moments))), "same")
    history = list((0.5 * (heat.share > 0.0) + 0.5 * heat.share - 0.5 * np.expm1(-np.maximum(lately, 0.0))).T)
    weights = ((heat.end - heat.start) / max(int((heat.end - heat.start).sum()), 1)).tolist()
    runs = [(i, i + 1) for i in range(len(history))]
    overall = np.average(np.array(history), axis=0, weights=weights)
    total = sum(w * float(((h - overall) ** 2).sum()) for w, h in zip(weights, history, strict=True))

    def cost(i: int) -> float:
        a, b = weights[i], weights[i + 1]
        return a * b / (a + b) * float(((history[i] - history[i + 1]) ** 2).sum())

    costs = [cost(i) for i in range(len(runs) - 1)]
    while costs:
        i = int(np.argmin(costs))
        if len(runs) <= REGIONS and costs[i] > ALIKE * total:
            break
        a, b = weights[i], weights[i + 1]
        history[i] = (a * history[i] + b * history[i + 1]) / (a + b)
        weights[i], runs[i] = a + b, (runs[i][0], runs[i + 1][1])
        del history[i + 1], weights[i + 1], runs[i + 1], costs[i]
        for j in (i - 1, i):
            if 0 <= j < len(costs):
                costs[j] = cost(j)
    return runs


def _levels(heat: Heat, groups: list[tuple[int, int]]) -> Floats:
    """The heat of each group [bins, groups]: 0, or as one pass through it in a bin, two, four, …

    Where less than a pass is seen, or less than half of the group is in use, it is idle until a whole pass is owed.
    """
    found = np.zeros((len(heat.share), len(groups)))
    sizes = (heat.end - heat.start).astype(np.float64)
    for g, (first, last) in enumerate(groups):
        share, weight = heat.share[:, first:last], sizes[first:last] / sizes[first:last].sum()
        used, mean = (share > 0.0) @ weight, share @ weight
        passes = np.log1p(-np.minimum(mean, HOTTEST)) / math.log1p(-heat.once)
        moments = heat.moments[:, first:last] @ weight
        # What is not resident yet ages too, and looks as if in use for a moment when it is told apart from the rest.
        moments[: int((used >= 0.5).argmax())] = 0.0
        more = np.where(used < 0.5, np.minimum(passes, used), passes) + moments
        owed = 0.5
        for t, new in enumerate(more.tolist()):
            owed += new
            if owed >= 1.0:
                found[t, g] = max(mean[t] if new >= 1.0 else 0.0, heat.once)
                owed = min(owed - max(new, 1.0), 1.0)
            owed = max(owed, -1.0)
        found[:, g] = _smoothed(found[:, g])
    doublings = np.rint(np.log2(np.maximum(found, heat.once) / heat.once))
    return np.where(found > 0.0, np.minimum(heat.once * 2.0**doublings, 1.0), 0.0)


def _smoothed(heat: Floats) -> Floats:
    # Within each time of use: means over five bins, so that noise makes no phases.
    used = heat > 0.0
    window = np.ones(5)
    return np.where(used, np.convolve(heat, window, "same") / np.maximum(np.convolve(used, window, "same"), 1.0), 0.0)


def _resident(recording: Recording, rate: Rate, bin_s: float, sizes: Ints, levels: Floats) -> tuple[Ints, int]:
    """Sizes [groups + 1] such that as much memory is resident in the end as was, the last one what was never seen in
    use; and the bin in which that came."""
    ever = (levels > 0.0).any(axis=0) if len(sizes) else np.zeros(0, bool)
    first = np.where(ever, (levels > 0.0).argmax(axis=0), len(levels)) if len(sizes) else np.zeros(0, np.int64)
    times = (np.arange(len(levels)) + 1.0) * bin_s
    was = np.full(len(levels), 0.0)
    if len(recording.rss_t_s):
        was = np.maximum(np.interp(times, recording.rss_t_s, recording.rss_bytes) - rate.rss_base_bytes, 0.0)
    at = np.arange(len(levels))[:, None]
    seen = ((first[None, :] <= at) * sizes[None, :]).sum(axis=1) if len(sizes) else np.zeros(len(levels))
    most = float(was.max(initial=0.0))
    lacking = was - seen
    silent = max(float(lacking[-1]), 0.0)
    kept = np.where(ever, sizes, 0)
    if seen[-1] > was[-1] > 0.0:
        kept = (kept * (was[-1] / seen[-1])).astype(np.int64)
    kept = np.maximum(kept // PAGE, 0) * PAGE
    if silent < _MISSING * most:
        return np.append(kept, 0), 0
    arrives = int(np.argmax(lacking >= 0.5 * silent))
    return np.append(kept, int(silent) // PAGE * PAGE), arrives


def _phases(
    recording: Recording,
    bin_s: float,
    regions: list[Region],
    levels: Floats,
    arrives_at: int,
    sample_ms: float,
    accesses_per_ms: float,
) -> tuple[Phase, ...]:
    size_of = {region.name: region.sz for region in regions}
    columns = [(int(r.name[1:]), r.name) for r in regions if r.name not in (CORE, SILENT) and r.sz > 0]
    if SILENT in size_of:
        once = np.zeros(len(levels))
        once[arrives_at] = 1.0
        levels, columns = np.column_stack((levels, once)), [*columns, (levels.shape[1], SILENT)]
    changes = np.flatnonzero((levels[1:] != levels[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(levels)]
    total_ms = round(1e3 * recording.runtime_s)
    phases = []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        ms = min(round(b * bin_s * 1e3), total_ms) - min(round(a * bin_s * 1e3), total_ms)
        if ms > 0:
            used = [(name, levels[a, column]) for column, name in columns if levels[a, column] > 0.0]
            patterns = _patterns(used, size_of, sample_ms, accesses_per_ms)
            phases.append(Phase(f"from {a * bin_s:.4g} s", ms, patterns))
    return tuple(phases)


def _patterns(
    used: list[tuple[str, float]], size_of: dict[str, int], sample_ms: float, accesses_per_ms: float
) -> tuple[Pattern, ...]:
    # Passes through a region in a ms, for that share of checks to find an access; one access a page and pass.
    passes = [-math.log1p(-min(heat, HOTTEST)) / sample_ms for _, heat in used]
    shares = np.array([n * size_of[name] / PAGE / accesses_per_ms for n, (name, _) in zip(passes, used, strict=True)])
    if shares.sum() > 0.95:
        shares *= 0.95 / shares.sum()
    found = [
        Pattern(name, False, PAGE, max(round(WEIGHTS * share), 1))
        for (name, _), share in zip(used, shares.tolist(), strict=True)
    ]
    left = WEIGHTS - sum(p.probability for p in found)
    return (*found, Pattern(CORE, False, 64, max(left, WEIGHTS // 50)))
