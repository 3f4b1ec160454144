"""The family of models: which memory is touched when, and the masim configuration that does so.

Memory is hot (touched all the time), warm (touched again after irregular times with a mean of `value` s), walked
(touched again after regular times of `value` s, one piece after the other), again (touched as a whole, `value` times
in equal steps of the run) or cold (touched once, after `value` of the runtime, and never again). A model is how the
mean RSS divides among these. They lie side by side from cold to hot: DAMON tells neighbours apart only by their access
rates, and what lies scattered it finds late or never.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import MASIM_BATCH

PAGE = 4096
PERIODS_S = (0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0, 6.0, 9.0, 13.0, 19.0, 28.0, 42.0)
WALKS_S = (0.8, 1.2, 1.8, 2.7, 4.0, 5.0, 6.0, 7.5, 9.0, 11.0, 13.0, 16.0, 19.0, 23.0, 28.0, 35.0, 42.0)
TIMES = (2, 3, 4, 5, 6, 8, 10)
LOADS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WEIGHTS = 1_000_000
"""Sum of the weights of a phase's patterns, about: so that one batch in a minute is still a whole number."""
LEAST_HOT = 0.005
"""Of mean RSS: a program's own code and stack are always in use."""
WALK_STEPS = 16
"""Batches that walk through a part once: its times between touches are then regular within a quarter."""
_LARGE_BYTES = 128 * 2**20
_WARM_STEPS = 3
"""The same of a warm part if a program is larger than that, else 1: a batch that brings in hundreds of MiB at once
holds up all else. Times between touches are then Gamma-distributed with that shape."""
_LOAD_STRIDE = 512
"""Bytes: a batch that loads passes 16,384 pages."""
_ORDER = ("cold", "again", "walked", "warm", "hot")


@dataclass(frozen=True, order=True)
class Part:
    """A kind of memory; `value`: 0 for hot, mean period in s for warm and walked, number of touches for again, share
    of the runtime at the touch for cold."""

    kind: Literal["hot", "warm", "walked", "again", "cold"]
    value: float = 0.0

    @property
    def presence(self) -> float:
        """Share of the runtime for which the memory exists."""
        return 1.0 - self.value if self.kind == "cold" else 1.0

    @property
    def name(self) -> str:
        """As regions are named."""
        return {
            "hot": "hot",
            "warm": f"warm_{self.value:g}s",
            "walked": f"walked_{self.value:g}s",
            "again": f"again_{self.value:g}x",
            "cold": f"cold_{100 * self.value:g}pc",
        }[self.kind]

    def loads(self) -> tuple[float, ...]:
        """When it is touched as a whole, as shares of the runtime, each below 1."""
        if self.kind == "again":
            return tuple(i / self.value for i in range(int(self.value)))
        return (self.value,) if self.kind == "cold" else (0.0,)


HOT = Part("hot")


def parts(runtime_s: float, *, few: bool) -> tuple[Part, ...]:
    """All kinds that make sense in a program that runs that long; with `few` only hot, warm and cold from the start,
    where too little was measured to tell more apart."""
    warm = tuple(Part("warm", period) for period in PERIODS_S if period < runtime_s / 2.5)
    if few:
        return (HOT, *warm, Part("cold", 0.0))
    walked = tuple(Part("walked", period) for period in WALKS_S if period < runtime_s / 5.0)
    return (HOT, *warm, *walked, *(Part("again", times) for times in TIMES), *(Part("cold", load) for load in LOADS))


def steps(part: Part, rss_bytes: float) -> int:
    """Batches that pass a warm or walked part of a program of that size once."""
    return WALK_STEPS if part.kind == "walked" else _WARM_STEPS if rss_bytes > _LARGE_BYTES else 1


def grain(rss_bytes: float) -> int:
    """Region sizes are multiples of that many bytes."""
    return 262_144 if rss_bytes > 64 * 2**20 else 16_384


@dataclass(frozen=True)
class Model:
    """`shares`: of each part in the mean RSS of a run without a scheme, summing to 1. `runtime_s`, `rss_bytes`: what
    the configuration is made for, nominally; the simulator adds first touches and the program's own pages."""

    name: str
    runtime_s: float
    rss_bytes: float
    shares: tuple[tuple[Part, float], ...]

    def workload(self, accesses_per_ms: float) -> MasimWorkload:
        """The masim configuration, for a machine of that undisturbed rate."""
        step = grain(self.rss_bytes)
        sizes = {**dict(self.shares), HOT: max(dict(self.shares).get(HOT, 0.0), LEAST_HOT)}
        order = sorted(sizes, key=lambda part: (_ORDER.index(part.kind), -part.value))
        regions = [
            (part, Region(part.name, _rounded(sizes[part] * self.rss_bytes / part.presence, step))) for part in order
        ]
        return MasimWorkload(self.name, tuple(r for _, r in regions), self._phases(regions, accesses_per_ms))

    def _phases(self, regions: Sequence[tuple[Part, Region]], accesses_per_ms: float) -> tuple[Phase, ...]:
        batch_ms = MASIM_BATCH / accesses_per_ms
        always = _always(regions, batch_ms, self.rss_bytes)
        starts = sorted({load for part, _ in regions for load in part.loads()})
        phases: list[Phase] = []
        for start, end in zip(starts, [*starts[1:], 1.0], strict=True):
            loaded = [region for part, region in regions if start in part.loads()]
            load = _load(f"load at {100 * start:.3g} %", loaded, () if start == 0.0 else always, batch_ms)
            ms = round((end - start) * self.runtime_s * 1000) - load.ms
            phases += [load, Phase(f"run from {100 * start:.3g} %", max(ms, 1), always)]
        return tuple(phases)


def _load(name: str, loaded: Sequence[Region], beside: Sequence[Pattern], batch_ms: float) -> Phase:
    # Long enough that, for all the chance in it, each region is passed as a whole; `beside` has the other half.
    batches = [region.sz / (MASIM_BATCH * _LOAD_STRIDE) for region in loaded]
    wanted = [n + 4.0 * math.sqrt(n) + 10.0 for n in batches]
    scale = (2.0 if beside else 1.0) * sum(wanted)
    touch = [
        Pattern(r.name, False, _LOAD_STRIDE, round(WEIGHTS * n / scale)) for r, n in zip(loaded, wanted, strict=True)
    ]
    run = [Pattern(p.region, False, p.stride, max(1, p.probability // 2), p.rw_mode) for p in beside]
    return Phase(name, math.ceil(scale * batch_ms), (*touch, *run))


def _always(regions: Sequence[tuple[Part, Region]], batch_ms: float, rss_bytes: float) -> tuple[Pattern, ...]:
    found: list[Pattern] = []
    left = WEIGHTS
    for part, region in regions:
        if part.kind in ("warm", "walked"):
            batches = steps(part, rss_bytes)
            weight = max(1, round(WEIGHTS * batch_ms * batches / (1000.0 * part.value)))
            found.append(Pattern(region.name, False, _stride(region.sz, batches), weight))
            left -= weight
    (hot,) = (region for part, region in regions if part.kind == "hot")
    return (Pattern(hot.name, False, _stride(hot.sz, 1), max(left, WEIGHTS // 20)), *found)


def _stride(sz: int, batches: int) -> int:
    # So that as many batches pass the region once, and no page is left out.
    return min(max(1, math.ceil(sz / (batches * MASIM_BATCH))), PAGE)


def _rounded(sz: float, step: int) -> int:
    return max(1, round(sz / step)) * step
