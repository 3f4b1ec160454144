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

# Linux 7.3: mm/damon/core.c (damon_new_ctx()), reclaim.c and lru_sort.c (the modules' parameters).
_COLD: dict[str, Value] = {
    "access_pattern.sz.min": 4096,
    "access_pattern.nr_accesses.max": 0.0,
    "access_pattern.age.min": 120_000_000,
    "quotas.reset_interval_ms": 1_000_000,
    "quotas.ms": 10_000,
}
CONSTANTS: Constants = {
    "": {
        "intervals.sample_us": 5_000,
        "intervals.aggr_us": 100_000,
        "samples_per_aggregation": 20,
        "nr_regions.min": 10,
        "nr_regions.max": 1_000,
    },
    "pageout": _COLD | {"quotas.bytes": 128 * MIB},
    "lru_deprio": _COLD,
    "lru_prio": {"access_pattern.nr_accesses.min": 50.0, "quotas.reset_interval_ms": 1_000_000, "quotas.ms": 10_000},
}

propose = always(CONSTANTS)

STRATEGY = Strategy(
    name="default",
    title="the kernel's own defaults",
    text=__doc__,
    source="Linux, Documentation/admin-guide/mm/damon/reclaim.rst and lru_sort.rst",
    make_sampler=sampler_of(propose),
    repeats="it is one point",
)
