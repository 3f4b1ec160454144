"""The immutable record of one run."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.observed import Observed
from damoos.damon.snapshot import SchemeStats


@dataclass(frozen=True)
class Samples:
    """Counters over a run, one value a sample (same length n each); cumulative since the start where not noted.

    `t_s` [n] s since the start; `rss_bytes`, `swap_bytes` [n] at that moment; `major_faults`, `swap_in_pages`,
    `swap_out_pages` [n] counts; `kdamond_cpu_s` [n] s; `nr_regions` [n] DAMON regions at that moment (0 without DAMON);
    on real kernels their mean since it was last asked for. On a real host swap traffic and stalls are the whole
    machine's, unless the run is about a cgroup. `huge_bytes` in huge mappings, `far_bytes` on NUMA nodes other than 0
    [n] at that moment; `stall_s` [n] s, as in `Result`; None where not measured.
    """

    t_s: NDArray[np.float64]
    rss_bytes: NDArray[np.int64]
    swap_bytes: NDArray[np.int64]
    major_faults: NDArray[np.int64]
    swap_in_pages: NDArray[np.int64]
    swap_out_pages: NDArray[np.int64]
    kdamond_cpu_s: NDArray[np.float64]
    nr_regions: NDArray[np.int64]
    huge_bytes: NDArray[np.int64] | None = None
    far_bytes: NDArray[np.int64] | None = None
    stall_s: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class PhaseResult:
    """One phase as it ran: nominal and elapsed ms, accesses made."""

    name: str
    nominal_ms: float
    elapsed_ms: float
    accesses: int


@dataclass(frozen=True)
class Trace:
    """DAMON at every aggregation of a run (after merging and the schemes, before the split), kept on request.

    `t_ms` [n]; `offset` [n+1] into the flat arrays `start_page` (relative to the lowest workload region, may be
    negative), `pages`, `nr_accesses`, `age`. `areas`: (name, first page, pages) of each workload region in the same
    numbering; `maps`: the same for the whole address space. `target`: whose regions they are, pages being numbered in
    each target's address space (None: of one).
    """

    t_ms: NDArray[np.float64]
    offset: NDArray[np.int64]
    start_page: NDArray[np.int64]
    pages: NDArray[np.int64]
    nr_accesses: NDArray[np.int64]
    age: NDArray[np.int64]
    areas: tuple[tuple[str, int, int], ...]
    maps: tuple[tuple[str, int, int], ...]
    target: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Course:
    """How far a run was at moments: `t_s` [n] s since its start, `work_ms` [n] nominal ms of the workload that were
    done for sure by then. Both never fall."""

    t_s: tuple[float, ...]
    work_ms: tuple[float, ...]

    def later_s(self, work_ms: float, end_s: float) -> float:
        """When more than `work_ms` was done for the first time, s; `end_s`, the run's end, if no moment shows that."""
        place = bisect.bisect_right(self.work_ms, work_ms)
        return self.t_s[place] if place < len(self.t_s) else end_s


@dataclass(frozen=True)
class Result:
    """One run of one workload: what was measured, what was asked for, what was applied.

    `time_kind` says which clock the times are of: "simulated", "virtual" (VM) or "real".
    RSS figures are time-weighted over the run (`rss_mean_bytes`) or extremes of the samples. `metric`: the number that
    the workload's own metric gave (None: it has none). `observed`: what DAMON's snapshots come to, where somebody took
    some while it ran. `course`: how it came along, where somebody followed it. `stall_s`: time in which the workload
    was stalled for memory, as PSI's "some" counts it (None: not measured).
    """

    workload: str
    backend: str
    machine: str
    time_kind: str
    seed: int
    runtime_s: float
    rss_mean_bytes: float
    rss_peak_bytes: int
    rss_last_bytes: int
    major_faults: int
    swap_in_bytes: int
    swap_out_bytes: int
    kdamond_cpu_s: float
    nr_regions_mean: float
    scheme_stats: tuple[SchemeStats, ...]
    phases: tuple[PhaseResult, ...]
    samples: Samples
    asked: Kdamonds | None
    applied: Kdamonds | None
    trace: Trace | None = None
    metric: float | None = None
    observed: Observed | None = None
    stall_s: float | None = None
    course: Course | None = None
    versions: dict[str, str] = field(default_factory=dict)
