"""What an agent that steers runs sees of them: numbers that whoever deploys it can read too."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

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
        """`counts` [n, 8]: time, work, kdamond's and stalled time, RSS and three counters at the last look; `shares`
        [n, classes]; `peak` [n] bytes; `averages` [n, 5]."""
        self.counts, self.shares, self.peak, self.averages = counts, shares, peak, averages

    @classmethod
    def blank(cls, n: int) -> Self:
        """That of `n` runs that begin."""
        return cls(np.zeros((n, 8)), np.zeros((n, _NR_SHARES)), np.zeros(n), np.zeros((n, _AVERAGED_S.size)))

    def take(self, other: Memory, which: NDArray[np.bool_]) -> None:
        """Takes over what `other` has, of the runs `which` [n] only."""
        self.counts[which], self.shares[which] = other.counts, other.shares
        self.peak[which], self.averages[which] = other.peak, other.averages


def signals(seen: Seen, before: Memory, duration_ms: Floats) -> tuple[NDArray[np.float32], Memory]:
    """The signals, float32 [n, len(SIGNALS)], of runs of workloads with these nominal durations [n] (0: not told to the
    agent, nor how far it is), and what the next call needs."""
    told = duration_ms > 0
    work_ms = np.where(told, seen.work_done_ms, 0.0)
    counters = (seen.rss_bytes, seen.major_faults, seen.swap_in_pages, seen.swap_out_pages)
    counts = np.stack([seen.t_s, work_ms, seen.kdamond_cpu_s, seen.stall_s, *counters], 1, dtype=np.float64)
    rss = counts[:, 4]
    passed_s = np.maximum(counts[:, 0] - before.counts[:, 0], _NO_TIME_S)
    work, cpu, stalled, grown, faults, came_in, went_out = ((counts - before.counts)[:, 1:] / passed_s[:, None]).T
    monitored = seen.bytes_by.sum((1, 2))
    shares = np.concatenate([seen.bytes_by[:, 0, :], seen.bytes_by[:, 1:, 0]], 1)
    shares /= np.maximum(monitored, 1.0)[:, None]
    changed = np.where(before.counts[:, 0] > _NO_TIME_S, 0.5 * np.abs(shares - before.shares).sum(1), 0.0)
    peak = np.maximum(before.peak, rss)
    forgotten = 1.0 - np.exp(-passed_s[:, None] / _AVERAGED_S)
    now = np.stack([changed, came_in, came_in, went_out, stalled], 1)
    averages = before.averages + forgotten * (now - before.averages)
    elapsed_s = np.maximum(seen.t_s, _NO_TIME_S)
    out_us = 1e6 * seen.kdamond_cpu_s / np.maximum(seen.swap_out_pages, 1)
    numbers = [
        changed,
        averages[:, 0],
        rss / np.maximum(monitored, 1.0),
        rss / np.maximum(peak, 1.0),
        grown * passed_s / np.maximum(peak, 1.0),
        np.log2(np.maximum(rss, 1.0)) / _LOG_BYTES,
        seen.swap_bytes / np.maximum(rss + seen.swap_bytes, 1.0),
        *(np.log2(1.0 + np.stack([faults, came_in, went_out, *averages[:, 1:4].T])) / _LOG_RATE),
        cpu,
        seen.kdamond_cpu_s / elapsed_s,
        stalled,
        averages[:, 4],
        seen.stall_s / elapsed_s,
        np.where(seen.swap_out_pages > 0, np.log2(1.0 + out_us) / _LOG_COST, 0.0),
        np.log2(1.0 + seen.esz_bytes) / _LOG_QUOTA,
        np.log2(1.0 + seen.t_s) / _LOG_TIME,
        work_ms / np.where(told, duration_ms, 1.0),
        work / 2e3,
        work_ms / elapsed_s / 2e3,
    ]
    found = np.concatenate([shares, np.stack(numbers, 1)], 1, dtype=np.float32)
    return np.clip(found, -1.0, 1.0), Memory(counts, shares, peak, averages)
