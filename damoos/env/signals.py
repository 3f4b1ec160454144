"""What an agent that steers runs sees of them: numbers that whoever deploys it can read too."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.quotas import Quotas

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OBSERVATION_VERSION = 2
"""Counts the ways in which observations were made; a policy acts on those that it was trained on."""

IDLE_EDGES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
RATE_EDGES = (0.0, 0.05, 0.2, 0.5)
_LOG_BYTES, _LOG_RATE, _LOG_TIME, _LOG_QUOTA, _LOG_COST = 48.0, 24.0, 12.0, 40.0, 12.0
_FAST_S, _SLOW_S = 10.0, 60.0
_NO_TIME_S = 1e-3
"""What runs that begin have lasted at most."""

SIGNALS: tuple[tuple[str, str, str], ...] = (
    *((f"idle_{low:g}_s", "share of bytes", f"idle for {low:g} s and more, below the next") for low in IDLE_EDGES_S),
    *(
        (f"above_{100 * low:g}_percent", "share of bytes", f"accessed in more than {100 * low:g} % of samples")
        for low in RATE_EDGES
    ),
    ("changed", "share of bytes", "in another of the classes above than a step before"),
    ("changed_30s", "share of bytes", "the same, mean over about 30 s"),
    ("rss_monitored", "share of monitored bytes", "RSS"),
    ("rss_peak", "share of the peak so far", "RSS"),
    ("rss_change", "share of the peak so far, -1..1", "by how much RSS grew in the step"),
    ("rss_log2", f"log2(bytes) / {_LOG_BYTES:g}", "RSS"),
    ("swapped", "share of RSS + swap", "swap"),
    ("faults", f"log2(1 + 1/s) / {_LOG_RATE:g}", "major faults in the step"),
    ("swap_in", f"log2(1 + pages/s) / {_LOG_RATE:g}", "read from swap in the step"),
    ("swap_out", f"log2(1 + pages/s) / {_LOG_RATE:g}", "written to swap in the step"),
    ("swap_in_10s", f"log2(1 + pages/s) / {_LOG_RATE:g}", f"read from swap, mean over about {_FAST_S:g} s"),
    ("swap_in_60s", f"log2(1 + pages/s) / {_LOG_RATE:g}", f"read from swap, mean over about {_SLOW_S:g} s"),
    ("swap_out_10s", f"log2(1 + pages/s) / {_LOG_RATE:g}", f"written to swap, mean over about {_FAST_S:g} s"),
    ("kdamond", "share of a CPU", "kdamond's CPU time in the step"),
    ("mean_kdamond", "share of a CPU", "kdamond's CPU time since the start"),
    ("stalled", "share of the time", "stalled for memory (PSI, some) in the step; 0 where a kernel has no PSI"),
    ("stalled_10s", "share of the time", f"stalled for memory, mean over about {_FAST_S:g} s"),
    ("mean_stalled", "share of the time", "stalled for memory since the start"),
    ("swap_out_cost", f"log2(1 + µs) / {_LOG_COST:g}", "kdamond's CPU time a page written to swap, since the start"),
    ("quota", f"log2(1 + bytes) / {_LOG_QUOTA:g}", "what the first scheme's quota allows in an interval; 0: no quota"),
    ("time", f"log2(1 + s) / {_LOG_TIME:g}", "since the start"),
    ("progress", "share of the workload", "done; 0 where nothing tells"),
    ("speed", "half of nominal s per s", "work done in the step; 0 where nothing tells"),
    ("mean_speed", "half of nominal s per s", "work done since the start; 0 where nothing tells"),
)
"""Name, unit and meaning of each number; all are clipped to [0, 1], `rss_change` to [-1, 1]. Means over about T s
forget at a rate of 1/T."""
_NR_SHARES = len(IDLE_EDGES_S) + len(RATE_EDGES)
_AVERAGED_S = np.array([30.0, _FAST_S, _SLOW_S, _FAST_S, _FAST_S])
_LOG_UNITS = np.array([_LOG_BYTES, *[_LOG_RATE] * 6, _LOG_COST, _LOG_QUOTA, _LOG_TIME])[:, None]


def has_quota(kdamonds: Kdamonds) -> bool:
    """Whether the first scheme has a quota, which is all that signals tell of schemes' statistics."""
    return any(scheme.quotas != Quotas() for scheme in kdamonds.context.schemes[:1])


class Seen(Protocol):
    """What is read of runs, arrays [n]; see `damoos.env.runs.Looks`."""

    @property
    def t_s(self) -> Floats: ...
    @property
    def work_done_ms(self) -> Floats: ...
    @property
    def kdamond_cpu_s(self) -> Floats: ...
    @property
    def stall_s(self) -> Floats: ...
    @property
    def rss_bytes(self) -> Ints: ...
    @property
    def swap_bytes(self) -> Ints: ...
    @property
    def major_faults(self) -> Ints: ...
    @property
    def swap_in_pages(self) -> Ints: ...
    @property
    def swap_out_pages(self) -> Ints: ...
    @property
    def esz_bytes(self) -> Ints: ...
    @property
    def bytes_by(self) -> Floats: ...


class Memory:
    """What signals need of the looks before: all 0 for runs that begin."""

    def __init__(self, counts: Floats, shares: Floats, peak: Floats, averages: Floats) -> None:
        """`counts` [8, n]: time, work, kdamond's and stalled time, RSS and three counters at the last look; `shares`
        [n, classes]; `peak` [n] bytes; `averages` [5, n]."""
        self.counts, self.shares, self.peak, self.averages = counts, shares, peak, averages

    @classmethod
    def blank(cls, n: int) -> Self:
        """That of `n` runs that begin."""
        return cls(np.zeros((8, n)), np.zeros((n, _NR_SHARES)), np.zeros(n), np.zeros((_AVERAGED_S.size, n)))

    def take(self, other: Memory, which: NDArray[np.bool_]) -> None:
        """Takes over what `other` has, of the runs `which` [n] only."""
        self.counts[:, which], self.shares[which] = other.counts, other.shares
        self.peak[which], self.averages[:, which] = other.peak, other.averages


def signals(seen: Seen, before: Memory, duration_ms: Floats) -> tuple[NDArray[np.float32], Memory]:
    """The signals, float32 [n, len(SIGNALS)], of runs of workloads with these nominal durations [n] (0: not told to the
    agent, nor how far it is), and what the next call needs."""
    told = duration_ms > 0
    counts = np.empty_like(before.counts)
    counts[0], counts[1], counts[2] = seen.t_s, np.where(told, seen.work_done_ms, 0.0), seen.kdamond_cpu_s
    counts[3], counts[4], counts[5] = seen.stall_s, seen.rss_bytes, seen.major_faults
    counts[6], counts[7] = seen.swap_in_pages, seen.swap_out_pages
    t_s, work_ms, kdamond_s, stall_s, rss, *_, written = counts
    since = counts - before.counts
    passed_s = np.maximum(since[0], _NO_TIME_S)
    work, cpu, stalled, grown, faults, came_in, went_out = since[1:] / passed_s
    monitored = seen.bytes_by.sum((1, 2))
    some, peak = np.maximum(monitored, 1.0), np.maximum(before.peak, rss)
    least = np.maximum(peak, 1.0)
    shares = np.concatenate([seen.bytes_by[:, 0, :], seen.bytes_by[:, 1:, 0]], 1)
    shares /= some[:, None]
    changed = np.where(before.counts[0] > _NO_TIME_S, 0.5 * np.abs(shares - before.shares).sum(1), 0.0)
    averages = np.empty_like(before.averages)
    averages[0], averages[1:3], averages[3], averages[4] = changed, came_in, went_out, stalled
    averages -= before.averages
    averages *= 1.0 - np.exp(-passed_s / _AVERAGED_S[:, None])
    averages += before.averages
    logs = np.empty((10, t_s.size))
    logs[1], logs[2], logs[3], logs[4:7] = faults, came_in, went_out, averages[1:4]
    logs[7] = np.where(written > 0, 1e6 * kdamond_s / np.maximum(written, 1.0), 0.0)
    logs[8], logs[9] = seen.esz_bytes, t_s
    logs[1:] += 1.0
    logs[0] = np.maximum(rss, 1.0)
    np.log2(logs, out=logs)
    logs /= _LOG_UNITS
    found = np.empty((len(SIGNALS), t_s.size))
    found[:_NR_SHARES] = shares.T
    numbers = found[_NR_SHARES:]
    numbers[0], numbers[1], numbers[2], numbers[3] = changed, averages[0], rss / some, rss / least
    numbers[4], numbers[5] = grown * passed_s / least, logs[0]
    numbers[6] = seen.swap_bytes / np.maximum(rss + seen.swap_bytes, 1.0)
    elapsed_s = np.maximum(t_s, _NO_TIME_S)
    numbers[7:13], numbers[13], numbers[14] = logs[1:7], cpu, kdamond_s / elapsed_s
    numbers[15], numbers[16], numbers[17] = stalled, averages[4], stall_s / elapsed_s
    numbers[18:21] = logs[7:]
    numbers[21], numbers[22] = work_ms / np.where(told, duration_ms, 1.0), work / 2e3
    numbers[23] = work_ms / elapsed_s / 2e3
    np.clip(found, -1.0, 1.0, out=found)
    return np.ascontiguousarray(found.T, np.float32), Memory(counts, shares, peak, averages)
