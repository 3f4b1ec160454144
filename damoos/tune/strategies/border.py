"""Uses what is known of the shape: the sooner memory is paged out the more is saved, until the program gets too slow.
So the best point is near the border of what is allowed, and beyond it the benefit falls with caution.

First a search along the parameter that says how soon (the age, or else accesses, quotas, the size), the others at
their defaults: begun near the aggressive end, halving the distance to the border, on a logarithmic axis. Scores are
smoothed by the best fit that rises once and falls once, and the border is where the fewest verdicts contradict it, so
that single noisy runs don't mislead. Then a search around the best point in all parameters: expected improvement
times the probability of keeping the limit, by Gaussian processes, in a box that shrinks. It has learned nothing in
advance.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..space import Value, Values
from .base import Ask, Strategy, fresh, sampler_of
from .caution import Lead, from_point, lead_of, to_point
from .line import Tried, next_position
from .local import propose_near_best
from .seen import Seen

RESOLUTION = 0.03
"""How near to each other positions on the axis may get: on a logarithmic scale of 100 ms to 60 s a factor of 1.2."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point on the line, then near the best."""
    lead = lead_of(ask.space)
    if lead is not None and (values := on_the_line(ask, seen, lead, ask.space.defaults())) is not None:
        return values
    return propose_near_best(ask, seen)


def on_the_line(ask: Ask, seen: Sequence[Seen], lead: Lead, start: Values) -> dict[str, Value] | None:
    """The next point on the line through `start` along the lead; None if the best on it is found."""
    space, name = ask.space, lead.parameter.name
    line = [trial for trial in seen if {**trial.values, name: start[name]} == start]
    # Those that still run are taken for as good as their surroundings, those that failed for too aggressive.
    tried = [
        Tried(lead.position(trial.values[name]), trial.score or 0.0, trial.feasible or trial.state == "running")
        for trial in line
    ]
    position = next_position(tried, RESOLUTION)
    if position is None:
        return None
    point = to_point(space, lead, start)
    point[lead.index] = position
    values = space.decode(from_point(lead, point))
    return None if any(trial.values == values for trial in line) else fresh(ask, seen, [space.encode(values)])


STRATEGY = Strategy(
    name="border",
    title="bisects the border of the runtime limit, then searches near the best point",
    text=__doc__,
    source="damoos; bisection, isotonic regression (Barlow et al., 1972), and TuRBO (Eriksson et al., 2019)",
    make_sampler=sampler_of(propose),
)
