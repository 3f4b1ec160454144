"""What reports show of single runs beside their numbers: memory over time, and what the workload accesses."""

from __future__ import annotations

from dataclasses import dataclass

from damoos.backend.result import Result
from damoos.workload.access import WINDOW_MS, expected_heat
from damoos.workload.processes import AnyMasim

from .outcome import HeatMap, Series

HEAT_TIMES, HEAT_ADDRESSES = 240, 160
SERIES_POINTS = 600


@dataclass(frozen=True)
class Detail:
    """One run of a seed: where it ran, what it says of versions, memory over time; times in s.

    `accesses_per_ms`: the mean rate, 0 where the workload doesn't count its accesses.
    """

    machine: str
    versions: dict[str, str]
    accesses_per_ms: float
    seed: int
    t_s: tuple[float, ...]
    rss_bytes: tuple[int, ...]
    swap_bytes: tuple[int, ...]

    @classmethod
    def of(cls, result: Result) -> Detail:
        """The detail of a finished run, its series thinned to `SERIES_POINTS`."""
        samples = result.samples
        step = max(-(-samples.t_s.size // SERIES_POINTS), 1)
        elapsed_ms = sum(phase.elapsed_ms for phase in result.phases)
        return cls(
            machine=result.machine,
            versions=result.versions,
            accesses_per_ms=sum(phase.accesses for phase in result.phases) / max(elapsed_ms, 1.0),
            seed=result.seed,
            t_s=tuple(samples.t_s[::step].tolist()),
            rss_bytes=tuple(samples.rss_bytes[::step].tolist()),
            swap_bytes=tuple(samples.swap_bytes[::step].tolist()),
        )

    def series(self, label: str) -> Series:
        """Memory over time, under a name."""
        return Series(label=label, seed=self.seed, t_s=self.t_s, rss_bytes=self.rss_bytes, swap_bytes=self.swap_bytes)


def heat_map(workload: AnyMasim, accesses_per_ms: float) -> HeatMap:
    """What the workload accesses, at the rate that an undisturbed run had, so that this holds on any backend."""
    heat = expected_heat(workload, accesses_per_ms, HEAT_TIMES, HEAT_ADDRESSES)
    regions, first = [], 0
    for region in workload.regions:
        regions.append((region.name, first, region.sz))
        first += region.sz
    return HeatMap(
        heat=tuple(tuple(round(float(x), 4) for x in row) for row in heat),
        window_ms=WINDOW_MS,
        end_s=workload.duration_ms / 1000,
        total_bytes=workload.footprint_bytes,
        regions=tuple(regions),
    )
