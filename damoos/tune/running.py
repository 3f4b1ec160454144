"""The objective of runs that go on: what their reward comes to so far, against the baselines at the same progress."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from damoos.errors import InputError

from .objective import PENALTY, Objective

Floats = NDArray[np.float64]


def check_runs_on(objective: Objective) -> None:
    """Raises InputError for an objective whose runs have to be looked at by DAMON's snapshots, or whose speed is not
    the runtime: nothing says how they stand before their end, nor what they come to if they are steered."""
    if objective.observes or objective.speed != "runtime":
        value = ", ".join(objective.metrics) or objective.speed
        allowed = "damoos, or metrics that a run's result has"
        raise InputError("can't be rewarded step by step", field="objective", value=value, allowed=allowed)


def running_reward(objective: Objective, time: Floats, rss: Floats, base_time: Floats, base_memory: Floats) -> Floats:
    """`Objective.reward` of runs so far, one each; 0 for one of the metrics, which are known in the end.

    Arrays [n], as shares of the whole baseline: `time` since the start, of its runtime; `rss`, the mean so far, of its
    mean. `base_time`, `base_memory`: what of its runtime and of the integral of its memory had passed at the same
    progress. With both 1 this is the reward of a run that ends now, constraints aside.
    """
    if objective.kind == "metric":
        return np.zeros_like(time)
    slower = 100.0 * (time - base_time)
    more = 100.0 * (base_time * rss - base_memory)
    score = -(objective.weight * slower + (1.0 - objective.weight) * more)
    return score - PENALTY * np.maximum(slower - objective.limit_percent, 0.0)
