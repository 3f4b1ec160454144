"""First a few points that were chosen in advance to be good across simulated workloads, each for those that the ones
before it do badly on; what is more aggressive than a point that broke the limit is left out. From the best of them a
search along the parameter that says how soon memory is paged out, as `border` does it, and then near the best point
in all parameters.

What was learned: points alone, by `experiments/portfolio.py`, from the shipped workloads on a simulated machine (none
of them a model of a measured program). There is a portfolio for the parameters of env `reclaim`, and one for the age
alone; another space gets the points of the one that shares most with it, and its own defaults for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from ..space import Space, Value, Values
from .base import Ask, Strategy, sampler_of
from .border import on_the_line
from .caution import Lead, lead_of
from .local import propose_near_best
from .seen import Seen, best

FILE = "portfolio.json"
TRIED = 2
"""Points of the portfolio that are run: a third one added little more than 1 % where they were learned."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point of the portfolio, on the line through the best of them, or near the best."""
    first, lead = points_for(ask.space)[:TRIED], lead_of(ask.space)
    known = [trial.values for trial in seen]
    for values in first:
        if values not in known and not _too_aggressive(values, lead, seen):
            return values
    top = best(trial for trial in seen if trial.values in first)
    start = first[0] if top is None else top.values
    if lead is not None and (on_line := on_the_line(ask, seen, lead, start)) is not None:
        return on_line
    return propose_near_best(ask, seen)


def _too_aggressive(values: Values, lead: Lead | None, seen: Sequence[Seen]) -> bool:
    """Whether something no more aggressive has broken the limit."""
    if lead is None:
        return False
    name, broken = lead.parameter.name, [t for t in seen if t.score is not None and not t.feasible]
    return any(lead.position(trial.values[name]) >= lead.position(values[name]) for trial in broken)


def points_for(space: Space) -> list[dict[str, Value]]:
    """The points of the portfolio that shares most with the space, on its grid and inside its ranges."""
    there = {parameter.place for parameter in space.parameters}
    # Of two that share as much, the one that asks for less besides.
    nearest = max(
        _content()["portfolios"], key=lambda p: (len(there & set(p["places"])), -len(set(p["places"]) - there))
    )
    points: list[dict[str, Value]] = []
    for point in nearest["points"]:
        values = _placed(space, point)
        if values not in points:
            points.append(values)
    return points


def _placed(space: Space, point: Mapping[str, Value]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if not space.active(parameter, values):
            continue
        value = point.get(parameter.place, parameter.default)
        if parameter.kind == "choice":
            values[parameter.name] = value if value in parameter.choices else parameter.default
        else:
            values[parameter.name] = parameter.at(parameter.coordinate(value))
    return values


@cache
def _content() -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))


STRATEGY = Strategy(
    name="portfolio",
    title="points learned from simulated workloads, then as border",
    text=__doc__,
    source="damoos; greedy portfolios after Leyton-Brown et al. (2003) and Xu et al., Hydra (2010)",
    make_sampler=sampler_of(propose),
    learned_from=tuple(_content()["learned_from"]),
)
