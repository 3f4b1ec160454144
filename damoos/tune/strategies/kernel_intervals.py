"""The kernel's own tuner of the monitoring intervals (Linux 6.15): the env's default schemes, with intervals that the
kernel makes longer while DAMON sees fewer accesses than a share of those that could be, and shorter otherwise. Trial 0
has the documented share of 4 % over 3 aggregations, and intervals from 5 ms to 10 s; then 0.4 %, as DAMON_LRU_SORT has
it, and 16 %.

A scheme's ages are counted in aggregations: they get longer with them, so that what is idle for 5 s may be idle for
minutes when a scheme acts on it.
"""

from __future__ import annotations

import dataclasses

from damoos.damon.attrs import IntervalsGoal

from ..space import Parameter, Space
from .base import Strategy, sampler_of
from .kernel_tuner import REPEATS, Rungs, ladder

RUNGS: Rungs = tuple({"accesses": percent} for percent in (4.0, 0.4, 16.0))
_ACCESSES = Parameter(
    "accesses",
    "target: share of the accesses that could be seen",
    "intervals.intervals_goal.access_bp",
    "percent",
    4.0,
    0.4,
    16.0,
    "log",
)


def brings(space: Space) -> Space:
    """The env's default point with a goal for its intervals."""
    context = space.kdamonds(space.defaults()).context
    intervals = dataclasses.replace(context.intervals, intervals_goal=IntervalsGoal.of())
    base = space.base.with_context(dataclasses.replace(context, intervals=intervals))
    return Space((_ACCESSES,), base)


STRATEGY = Strategy(
    name="kernel-intervals",
    title="the kernel's tuner of monitoring intervals",
    text=__doc__,
    source="Linux, Documentation/mm/damon/design.rst and monitoring_intervals_tuning_example.rst; lru_sort.c",
    make_sampler=sampler_of(ladder(RUNGS)),
    repeats=REPEATS,
    brings=brings,
)
