"""The schemes with which DAMON was presented: prcl (page out 4 KiB and more without an access for 5 s) and ethp (huge
pages where 5 % of the samples and more saw an access, none where 2 MiB and more saw none for 7 s), at the intervals of
that time, 5 ms and 100 ms. Parameters of other schemes have the env's defaults. It proposes the same point again and
again, as a reference that others have to beat. (Linux's own page start.rst has prcl with 60 s.)
"""

from __future__ import annotations

from .base import Strategy, sampler_of
from .constants import Constants, always

CONSTANTS: Constants = {
    "": {"intervals.sample_us": 5_000, "intervals.aggr_us": 100_000, "samples_per_aggregation": 20},
    "pageout": {
        "access_pattern.sz.min": 4096,
        "access_pattern.nr_accesses.max": 0.0,
        "access_pattern.age.min": 5_000_000,
    },
    "hugepage": {"access_pattern.nr_accesses.min": 5.0},
    "nohugepage": {
        "access_pattern.sz.min": 2 << 20,
        "access_pattern.nr_accesses.max": 0.0,
        "access_pattern.age.min": 7_000_000,
    },
}

propose = always(CONSTANTS)

STRATEGY = Strategy(
    name="documented",
    title="the schemes of DAMON's documents, prcl and ethp",
    text=__doc__,
    source="S. Park, DAMON's evaluation: Documentation/admin-guide/mm/damon/eval.rst of his tree, damonitor.github.io",
    make_sampler=sampler_of(propose),
    repeats="it is one point",
)
