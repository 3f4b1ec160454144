"""The kernel's own tuner: the env's scheme for page-out takes memory of any age, coldest first, within a quota that the
kernel raises while the system stalls less for memory (PSI, some) than a goal, and lowers otherwise. Trial 0 has the
published example's goal of 500 µs in 1 s. The next ones have an interval of 200 ms, since the quota begins at a byte
and doubles at most once an interval (12 s to the first page with 1 s): 0.5, 10 and 50 ms of stalls a second.

The tuner works while the workload runs, and a trial teaches nothing to the next. Where swap-ins don't count as stalls
(zram on Linux 7.3) the goal is never reached, and all that is not in use at the moment is paged out.
"""

from __future__ import annotations

from damoos.damon.quotas import QuotaGoal
from damoos.damon.schemes import Action

from .base import Strategy, sampler_of
from .kernel_tuner import INTERVAL, REPEATS, Rungs, ladder, target, tuned

INTERVAL_US = 1_000_000
STALLS_US = (500, 100, 2_000, 10_000)
"""Of the published example, then for an interval of 200 ms."""
RUNGS: Rungs = (
    {"stall": STALLS_US[0], "interval": INTERVAL_US},
    *({"stall": stall_us, "interval": 200_000} for stall_us in STALLS_US[1:]),
)
STALL = target("stall", "target: µs of stalls in an interval", STALLS_US)
GOALS = {Action.PAGEOUT: QuotaGoal("some_mem_psi_us", STALLS_US[0])}
SOURCE = "S. Park, Auto-tuning DAMOS using damo (2024); Linux, Documentation/mm/damon/design.rst"

STRATEGY = Strategy(
    name="kernel-psi",
    title="the kernel's quota tuner, with a goal for memory stalls",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(ladder(RUNGS)),
    repeats=REPEATS,
    brings=tuned((STALL, INTERVAL), GOALS, INTERVAL_US),
)
