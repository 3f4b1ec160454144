"""A model on the simulator: without DAMON, and under the page-out scheme of the measurements at many min_ages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Result
from damoos.damon.attrs import Intervals
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import AccessPattern, Action, Range, Scheme
from damoos.sim.backend import SimBackend
from damoos.units import U32_MAX, U64_MAX
from damoos.workload.masim import MasimWorkload, Phase

from .family import Model
from .measured import TOO_SLOW

Floats = NDArray[np.float64]
SLOWEST = 0.2
CUT = 2.0
"""A run under a scheme that takes that many times as long as without is cut off: it is too slow whatever it takes."""


@dataclass(frozen=True)
class Simulated:
    """`runtime_s`, `rss_bytes`: without DAMON; `saved`, `slower` [ages]: shares of these, under the scheme."""

    runtime_s: float
    rss_bytes: float
    saved: Floats
    slower: Floats

    def scores(self) -> Floats:
        """DAMOOS scores [ages]."""
        return np.where(self.slower > SLOWEST, TOO_SLOW, 50.0 * (self.saved - self.slower))


@dataclass(frozen=True)
class Seeds:
    """Of each point of a curve, whose points are many, and of prcl, which is one."""

    curve: tuple[int, ...]
    prcl: tuple[int, ...]


def scheme(min_age_s: float) -> Kdamonds:
    """Regions of 4 KiB and more without an access for `min_age_s` are paged out; DAMON's default intervals."""
    age = round(min_age_s * 1e6 / Intervals().aggr_us)
    pattern = AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(age, U32_MAX))
    return Kdamonds.of(schemes=[Scheme(action=Action.PAGEOUT, access_pattern=pattern)])


def run(backend: SimBackend, workload: MasimWorkload, min_age_s: float | None, seed: int) -> Result:
    """One whole run; without DAMON if there is no `min_age_s`."""
    with backend.start(workload, None if min_age_s is None else scheme(min_age_s), seed) as session:
        return session.finish()


def made_to_measure(backend: SimBackend, model: Model) -> MasimWorkload:
    """The model's configuration with sizes and the last phase such that a run without DAMON has its RSS and runtime."""
    wanted = model
    for _ in range(3):
        runtime, rss = _undisturbed(backend, wanted.workload(backend.machine.sequential_per_ms))
        wanted = replace(
            wanted,
            runtime_s=wanted.runtime_s + model.runtime_s - runtime,
            rss_bytes=wanted.rss_bytes * model.rss_bytes / rss,
        )
    workload = wanted.workload(backend.machine.sequential_per_ms)
    late = _undisturbed(backend, workload)[0] - model.runtime_s
    *others, last = workload.phases
    return replace(workload, phases=(*others, Phase(last.name, max(last.ms - round(1000 * late), 1), last.patterns)))


def _undisturbed(backend: SimBackend, workload: MasimWorkload) -> tuple[float, float]:
    """Runtime and mean RSS without DAMON, means of three seeds."""
    results = [run(backend, workload, None, seed) for seed in (1, 2, 3)]
    return float(np.mean([r.runtime_s for r in results])), float(np.mean([r.rss_mean_bytes for r in results]))


def simulate(
    backend: SimBackend, workload: MasimWorkload, curve_s: Sequence[float], prcl_s: float, seeds: Seeds
) -> Simulated:
    """At the min_ages of a curve, then at prcl's; means over the seeds."""
    plain = [run(backend, workload, None, seed) for seed in seeds.curve]
    runtime = float(np.mean([r.runtime_s for r in plain]))
    rss = float(np.mean([r.rss_mean_bytes for r in plain]))
    cases = [*((age, seeds.curve) for age in curve_s), (prcl_s, seeds.prcl)]
    saved, slower = np.zeros(len(cases)), np.zeros(len(cases))
    for i, (age, chosen) in enumerate(cases):
        runs = [_under_scheme(backend, workload, age, seed, runtime) for seed in chosen]
        saved[i] = 1.0 - np.mean([run_rss for _, run_rss in runs]) / rss
        slower[i] = np.mean([run_time for run_time, _ in runs]) / runtime - 1.0
    return Simulated(runtime, rss, saved, slower)


def _under_scheme(
    backend: SimBackend, workload: MasimWorkload, min_age_s: float, seed: int, runtime_s: float
) -> tuple[float, float]:
    """Runtime and mean RSS, of the run as far as it went."""
    with backend.start(workload, scheme(min_age_s), seed) as session:
        samples = session.advance(CUT * runtime_s)
        if session.done:
            result = session.finish()
            return result.runtime_s, result.rss_mean_bytes
        return session.now_s, float(samples.rss_bytes.mean())
