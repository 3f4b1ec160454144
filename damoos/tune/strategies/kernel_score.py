"""The kernel's quota tuner fed with a score: each 200 ms damoos estimates the DAMOOS score of that moment and commits
it as the value of the scheme's goal; the kernel pages out more, the coldest first, while the score is below the target.
Trial 0 aims at 10 points at the published example's interval of 1 s, the next ones at 10, 20, 40, 5 and 2.5 at 200 ms.

The estimate needs no run without a scheme: half the share of memory that is swapped out, in percent, minus half the
share of time that swap-ins take, 20 µs for each. The kernel takes a score for something that grows with the quota:
where the target is out of reach it pages out ever more, however bad the score gets. What is found needs somebody to go
on feeding it.
"""

from __future__ import annotations

from damoos.backend.feed import Feed
from damoos.damon.quotas import QuotaGoal
from damoos.damon.schemes import Action

from .base import Strategy, sampler_of
from .kernel_psi import INTERVAL_US, SOURCE
from .kernel_tuner import INTERVAL, REPEATS, Rungs, ladder, target, tuned

TARGETS = (1_000, 2_000, 4_000, 500, 250)
"""Hundredths of a point."""
RUNGS: Rungs = (
    {"score": TARGETS[0], "interval": INTERVAL_US},
    *({"score": score, "interval": 200_000} for score in TARGETS),
)
SCORE = target("score", "target: hundredths of a point of the score", TARGETS)

STRATEGY = Strategy(
    name="kernel-score",
    title="the kernel's quota tuner, fed with an estimate of the score",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(ladder(RUNGS)),
    repeats=REPEATS,
    brings=tuned((SCORE, INTERVAL), {Action.PAGEOUT: QuotaGoal("user_input", TARGETS[0])}, INTERVAL_US),
    feed=Feed("score", every_s=0.2),
)
