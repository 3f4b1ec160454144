"""The constants with which HMSDK moves memory between tiers, the same for everybody: what has had no access for 30 s
goes to the slow node, within 1 s and 50 GiB in 20 s, and what has an access in 5 % of the samples comes to the fast
one, within 2 s and 50 GiB in 20 s, the oldest first. Intervals of 100 ms, 2 s and 20 s, 100 to 10,000 regions.

HMSDK runs one kdamond for each node, on physical memory, with filters that check once more whether a page is young;
here both schemes share the env's kdamond, and the filters are left out.
"""

from __future__ import annotations

import dataclasses

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Context
from damoos.damon.quotas import Quotas, Weights
from damoos.damon.schemes import AccessPattern, Action, Scheme

from .base import Strategy, sampler_of
from .fixed import REPEATS, nothing_to_tune, schemes_of

INTERVALS = Intervals.of("100 ms", "2 s", "20 s")
NR_REGIONS = NrRegions(100, 10_000)
SCHEMES = {
    Action.MIGRATE_COLD: Scheme(
        Action.MIGRATE_COLD,
        AccessPattern.of(intervals=INTERVALS, sz=("4 KiB", "max"), access=("0 %", "0 %"), age=("30 s", "max")),
        quotas=Quotas.of("1 s", "50 GiB", "20 s", weights=Weights.of(age="1 %")),
    ),
    Action.MIGRATE_HOT: Scheme(
        Action.MIGRATE_HOT,
        AccessPattern.of(intervals=INTERVALS, sz=("4 KiB", "max"), access=("5 %", "100 %")),
        quotas=Quotas.of("2 s", "50 GiB", "20 s", weights=Weights.of(age="1 %")),
    ),
}


def _monitored(context: Context) -> Context:
    return dataclasses.replace(context, intervals=INTERVALS, nr_regions=NR_REGIONS)


STRATEGY = Strategy(
    name="hmsdk",
    title="HMSDK's constants for memory tiers",
    text=__doc__,
    source="skhynix/hmsdk, tools/gen_migpol.py (2025)",
    make_sampler=sampler_of(nothing_to_tune()),
    repeats=REPEATS,
    brings=schemes_of(SCHEMES, _monitored),
)
