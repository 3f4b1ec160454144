"""The kernel's own tuner with a goal for a node's memory. Page-out, the coldest first and at most 100 MiB a second,
goes on while less than 40 % of it is free in trial 0, as in the examples of the tuner `temporal` (Linux 7.1), and stops
there; then 50, 60, 70 and 80 %.

Between tiers hot memory is promoted until 99.7 % of node 0 are used and cold memory demoted until 0.5 % of it are free,
at most 200 MiB a second each, as in Linux's sample module mtier; then until 1, 2 and 5 % are free. Its filters for
young pages are left out.

What a share of free memory means depends on the machine: on a large one the goal is reached from the beginning, and
nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from damoos.damon.quotas import QuotaGoal
from damoos.damon.schemes import Action

from ..space import Space, Value
from .base import Ask, Strategy, sampler_of
from .kernel_tuner import REPEATS, Rungs, ladder, target, tuned
from .seen import Seen

INTERVAL_US = 1_000_000
PAGEOUT_BP, TIERS_BP = (4_000, 5_000, 6_000, 7_000, 8_000), (50, 100, 200, 500)
"""Free memory to aim at, the documented one first."""
USED_BP = 9_970
_TITLE = "target: free memory of node 0, basis points"

_pageout = tuned(
    [target("free", _TITLE, PAGEOUT_BP)],
    {Action.PAGEOUT: QuotaGoal("node_mem_free_bp", PAGEOUT_BP[0])},
    INTERVAL_US,
    100 << 20,
    "temporal",
)
_tiers = tuned(
    [target("free", _TITLE, TIERS_BP)],
    {
        Action.MIGRATE_COLD: QuotaGoal("node_mem_free_bp", TIERS_BP[0]),
        Action.MIGRATE_HOT: QuotaGoal("node_mem_used_bp", USED_BP),
    },
    INTERVAL_US,
    200 << 20,
)


def brings(space: Space) -> Space:
    """The env's default schemes with goals, and the share of free memory as the one parameter."""
    return (_tiers if _has_tiers(space) else _pageout)(space)


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next target."""
    rungs: Rungs = tuple({"free": bp} for bp in (TIERS_BP if _has_tiers(ask.space) else PAGEOUT_BP))
    return ladder(rungs)(ask, seen)


def _has_tiers(space: Space) -> bool:
    return any(scheme.action == Action.MIGRATE_COLD for scheme in space.base.context.schemes)


STRATEGY = Strategy(
    name="kernel-memory",
    title="the kernel's quota tuner, with a goal for free memory",
    text=__doc__,
    source="S. Park, patches for several quota tuning algorithms (March 2026); Linux, samples/damon/mtier.c",
    make_sampler=sampler_of(propose),
    repeats=REPEATS,
    brings=brings,
)
