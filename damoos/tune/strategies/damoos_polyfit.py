"""One parameter (the age, or else the first), the others at their defaults. 60 % of the runs explore: the range is
cut into equal regions, and their borders and random points inside are run. The rest exploit: random points within 10
% of the range around the best ones. Then a polynomial of degree min(runs / 3, 10) is fitted to all scores, those too
slow counting as the lowest other one; the last trial is where it is highest. The scale is linear.

What differs from the original: the proposal is one trial of the budget here, and verified by the study, instead of
being run three times beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..space import Parameter, Value
from .base import Ask, Strategy, fresh, sampler_of
from .linear import at_share, is_line, replaced, share_of, the_one
from .polynomial import next_share
from .seen import Seen


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point on the line."""
    parameter = the_one(ask.space)
    share = share_on_line(ask, seen, parameter, ask.number, max(ask.trials - 1, 1), ask.study_rng())
    return near(ask, seen, parameter, share)


def share_on_line(
    ask: Ask, seen: Sequence[Seen], parameter: Parameter, number: int, runs: int, rng: np.random.Generator
) -> float:
    """What `next_share` proposes for run `number` of `runs` on the line of `parameter`, from what was tried there."""
    line = [trial for trial in seen if trial.state != "running" and is_line(ask.space, parameter, trial.values)]
    x = [share_of(parameter, trial.values[parameter.name]) for trial in line]
    return next_share(number, runs, x, without_cliff(line), rng)


def near(ask: Ask, seen: Sequence[Seen], parameter: Parameter, share: float) -> dict[str, Value]:
    """The point at that share of the line, or a new one within 10 % of the range."""
    shares = [share, *np.clip(share + ask.rng().uniform(-0.1, 0.1, 20), 0.0, 1.0)]
    points = [ask.space.encode(replaced(ask.space, parameter, at_share(parameter, s))) for s in shares]
    return fresh(ask, seen, points)


def without_cliff(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """The scores, where what broke the limit or failed has the lowest one of those that did not."""
    kept = [trial.score for trial in seen if trial.feasible and trial.score is not None]
    floor = min(kept, default=0.0)
    return np.array([trial.score if trial.feasible else floor for trial in seen], dtype=np.float64)


SOURCE = "DAMOOS (2021), github.com/damonitor/damoos: behaviour as documented, written anew"

STRATEGY = Strategy(
    name="damoos-polyfit",
    title="DAMOOS 2021: one parameter, a polynomial fitted to explored and exploited points",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(propose),
    choices=False,
    conditional=False,
    uses_budget=True,
)
