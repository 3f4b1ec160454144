"""Several parameters one after another, each searched as damoos-polyfit does while the others have their defaults; each
gets an equal share of the trials. The last trial combines what was found for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..space import Parameter, Value
from .base import Ask, Strategy, fresh, sampler_of
from .damoos_polyfit import SOURCE, near, share_on_line
from .linear import at_share
from .seen import Seen


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point on the line whose turn it is, or the combination."""
    parameters = ask.space.parameters
    runs = max((ask.trials - 1) // len(parameters), 1)
    turn, number = divmod(ask.number, runs)
    if turn >= len(parameters):
        found = {p.name: at_share(p, _share(ask, seen, p, i, runs, runs)) for i, p in enumerate(parameters)}
        return fresh(ask, seen, [ask.space.encode(found)])
    parameter = parameters[turn]
    return near(ask, seen, parameter, _share(ask, seen, parameter, turn, number, runs))


def _share(ask: Ask, seen: Sequence[Seen], parameter: Parameter, turn: int, number: int, runs: int) -> float:
    rng = np.random.default_rng([int(ask.study_rng().integers(2**31)), turn])
    return share_on_line(ask, seen, parameter, number, runs, rng)


STRATEGY = Strategy(
    name="damoos-multid",
    title="DAMOOS 2021: polyfit for one parameter after another",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(propose),
    choices=False,
    conditional=False,
    uses_budget=True,
)
