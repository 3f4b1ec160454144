"""What the kernel does if nobody sets anything: page-out and proactive LRU sorting with the parameters of the modules
DAMON_RECLAIM and DAMON_LRU_SORT, other schemes with the env's defaults, DAMON's own intervals and region limits. It
proposes the same point again and again, as a reference that others have to beat; a value outside the env's range
becomes the nearest inside.
"""

from __future__ import annotations

from ..space import Value
from .base import Strategy, sampler_of
from .constants import Constants, always

MIB = 1 << 20

# Linux 7.3: mm/damon/core.c (damon_new_ctx()), reclaim.c and lru_sort.c (the modules' parameters). DAMON_LRU_SORT gives
# each of its two schemes half of its 10 ms. Of weights only the ratio counts: the modules have 0 to 1 and 1 to 1.
_COLD: dict[str, Value] = {
    "access_pattern.sz.min": 4096,
    "access_pattern.nr_accesses.max": 0.0,
    "access_pattern.age.min": 120_000_000,
    "quotas.reset_interval_ms": 1_000_000,
}
_SORTED: dict[str, Value] = {
    "quotas.ms": 5_000,
    "quotas.weights.nr_accesses_permil": 50.0,
    "quotas.weights.age_permil": 50.0,
}
CONSTANTS: Constants = {
    "": {
        "intervals.sample_us": 5_000,
        "intervals.aggr_us": 100_000,
        "samples_per_aggregation": 20,
        "nr_regions.min": 10,
        "nr_regions.max": 1_000,
    },
    "pageout": _COLD
    | {
        "quotas.ms": 10_000,
        "quotas.bytes": 128 * MIB,
        "quotas.weights.nr_accesses_permil": 0.0,
        "quotas.weights.age_permil": 100.0,
    },
    "lru_deprio": _COLD | _SORTED,
    "lru_prio": _SORTED
    | {
        "access_pattern.sz.min": 4096,
        "access_pattern.nr_accesses.min": 50.0,
        "access_pattern.age.min": 0,
        "quotas.reset_interval_ms": 1_000_000,
    },
}

propose = always(CONSTANTS)

STRATEGY = Strategy(
    name="default",
    title="the kernel's own defaults",
    text=__doc__,
    source="Linux 7.3, mm/damon/core.c, reclaim.c, lru_sort.c; Documentation/admin-guide/mm/damon",
    make_sampler=sampler_of(propose),
    repeats="it is one point",
)
