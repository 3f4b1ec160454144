"""As kernel-psi, with the kernel's other tuner, `temporal` (Linux 7.1): no limit at all while the system stalls less
than the goal of 500 µs in 1 s, and no page-out in the interval after one in which it stalled more. It needs no time to
get going. Without a limit the order in which memory is taken means nothing, so that the scheme's age matters as it does
without a tuner: 5 s in trial 0, then 2 s, 1 s, 500 and 200 ms.
"""

from __future__ import annotations

from ..space import Parameter
from .base import Strategy, sampler_of
from .kernel_psi import GOALS, INTERVAL_US, SOURCE
from .kernel_tuner import REPEATS, Rungs, ladder, tuned

AGES_US = (5_000_000, 2_000_000, 1_000_000, 500_000, 200_000)
RUNGS: Rungs = tuple({"age": age_us} for age_us in AGES_US)
AGE = Parameter(
    "age",
    "how long a region must have been idle",
    "access_pattern.age.min",
    "time",
    AGES_US[0],
    AGES_US[-1],
    AGES_US[0],
    "log",
)

STRATEGY = Strategy(
    name="kernel-psi-temporal",
    title="the kernel's all-or-nothing quota tuner, with a goal for memory stalls",
    text=__doc__,
    source=f"{SOURCE}; S. Park, patches for several quota tuning algorithms (March 2026)",
    make_sampler=sampler_of(ladder(RUNGS)),
    repeats=REPEATS,
    brings=tuned((AGE,), GOALS, INTERVAL_US, tuner="temporal", any_age=False),
)
