"""What the kernel's own tuners have in common as strategies.

The kernel tunes while the workload runs, so there is little to search: each trial runs the env's default scheme with a
goal added to it. What the goal leaves open is tried over the trials, on a short ladder.

The tuner begins at a byte and at most doubles what it takes in each interval of the quota (mm/damon/core.c, Linux 7.3):
with 1 s it takes 12 s to the first page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from damoos.damon.quotas import QuotaGoal, Weights
from damoos.damon.schemes import Action, Range, Scheme
from damoos.errors import InputError

from ..space import Parameter, Space, Value
from .base import Ask, Propose
from .seen import Seen, best

Rungs = Sequence[Mapping[str, int | float]]
"""Points of a strategy's own space, the documented one first."""

REPEATS = "it has a few points, and runs the best one again when they are used up"
"""`Strategy.repeats` of a strategy with a ladder."""


def ladder(rungs: Rungs) -> Propose:
    """Proposes the rungs one after another, then the best of them again."""

    def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
        known = [trial.values for trial in seen]
        for rung in rungs:
            if rung not in known:
                return dict(rung)
        top = best(trial for trial in seen if trial.values in rungs)
        return dict(rungs[0] if top is None else top.values)

    return propose


def tuned(
    parameters: Sequence[Parameter],
    goals: Mapping[Action, QuotaGoal],
    interval_us: int,
    most_bytes: int = 0,
    tuner: str = "consist",
    *,
    any_age: bool = True,
) -> Callable[[Space], Space]:
    """`Strategy.brings`: the env's default point, but each scheme whose action has a goal gets this one only.

    The interval of its quota is `interval_us`; its limits are the env's, but for `most_bytes` an interval if not 0.
    With `any_age` it takes memory of any age, since the quota's priorities decide: what suits the action best by
    accesses and age comes first. The space's only parameters are these, their places below the first scheme that has
    the first goal. Raises InputError if no scheme has a goal.
    """

    def brings(space: Space) -> Space:
        kdamonds = space.kdamonds(space.defaults())
        schemes = kdamonds.context.schemes
        found = [index for action in goals for index, scheme in enumerate(schemes) if scheme.action == action]
        if not found:
            raise InputError(
                "has a goal for other schemes",
                value=", ".join(scheme.action for scheme in schemes) or "none",
                allowed=f"an env with a scheme of action {' or '.join(goals)}",
            )
        changed = list(schemes)
        for index in found:
            scheme = _with_goal(schemes[index], goals[schemes[index].action], interval_us // 1000, most_bytes, tuner)
            changed[index] = _of_any_age(scheme) if any_age else scheme
        placed = (dataclasses.replace(p, place=f"schemes[{found[0]}].{p.place}") for p in parameters)
        return Space(tuple(placed), kdamonds.with_schemes(changed))

    return brings


def target(name: str, title: str, values: Sequence[int]) -> Parameter:
    """The goal's target as a parameter, from the lowest to the highest of `values`, the first its default."""
    return Parameter(name, title, "quotas.goals[0].target_value", "count", values[0], min(values), max(values), "log")


INTERVAL = Parameter(
    "interval",
    "interval at which the limit is adapted",
    "quotas.reset_interval_ms",
    "time",
    1_000_000,
    200_000,
    1_000_000,
    "log",
)
"""The quota's interval as a parameter: 1 s, as in all published examples, and what gets going faster."""


def _with_goal(scheme: Scheme, goal: QuotaGoal, interval_ms: int, most_bytes: int, tuner: str) -> Scheme:
    quotas = dataclasses.replace(
        scheme.quotas,
        bytes=most_bytes or scheme.quotas.bytes,
        reset_interval_ms=interval_ms,
        weights=Weights(nr_accesses_permil=1, age_permil=1),
        goals=(goal,),
        goal_tuner=tuner,
    )
    return dataclasses.replace(scheme, quotas=quotas)


def _of_any_age(scheme: Scheme) -> Scheme:
    pattern = dataclasses.replace(scheme.access_pattern, age=Range(0, scheme.access_pattern.age.max))
    return dataclasses.replace(scheme, access_pattern=pattern)
