"""The parameters that AgentENV, which runs agents in small guests, gave DAMON_RECLAIM in 2026 after tuning by hand:
page-out after 100 ms without an access, for at most 20 ms and 1 GiB in 500 ms, the oldest first. `agentenv-first` is
what it had before: after 60 s, at most 100 ms and 1 GiB in 1 s. Monitoring is DAMON's default.

AgentENV reclaims file pages only, and only while little memory is free (watermarks). Both are left out here: one
workload is tuned for, most of whose memory is anonymous, and not a machine.
"""

from __future__ import annotations

import dataclasses

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Context
from damoos.damon.modules import Reclaim
from damoos.damon.quotas import Watermarks
from damoos.damon.schemes import Action

from .base import Strategy, sampler_of
from .fixed import REPEATS, nothing_to_tune, schemes_of

FIRST = Reclaim(min_age=60_000_000, quota_ms=100, quota_sz=1 << 30, quota_reset_interval_ms=1_000)
TUNED = Reclaim(min_age=100_000, quota_ms=20, quota_sz=1 << 30, quota_reset_interval_ms=500)


def _strategy(name: str, title: str, module: Reclaim) -> Strategy:
    (scheme,) = module.kdamonds().context.schemes
    return Strategy(
        name=name,
        title=title,
        text=__doc__ or "",
        source="kvcache-ai/AgentENV, issue 281 and pull request 287 (September 2026)",
        make_sampler=sampler_of(nothing_to_tune()),
        repeats=REPEATS,
        brings=schemes_of({Action.PAGEOUT: dataclasses.replace(scheme, watermarks=Watermarks())}, _at_the_defaults),
    )


def _at_the_defaults(context: Context) -> Context:
    return dataclasses.replace(context, intervals=Intervals(), nr_regions=NrRegions())


STRATEGY = _strategy("agentenv", "DAMON_RECLAIM as AgentENV tuned it by hand", TUNED)
BEFORE = _strategy("agentenv-first", "DAMON_RECLAIM as AgentENV had it before", FIRST)
