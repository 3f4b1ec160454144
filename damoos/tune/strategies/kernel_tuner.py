"""What the kernel's own tuners have in common as strategies.

The kernel tunes while the workload runs, so there is little to search: each trial runs the env's default scheme with a
goal added to it. What the goal leaves open is tried over the trials, on a short ladder.

The tuner begins at a byte and at most doubles what it takes in each interval of the quota (mm/damon/core.c, Linux 7.3):
with 1 s it takes 12 s to the first page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.quotas import QuotaGoal, Weights
from damoos.damon.schemes import Action, Range
from damoos.errors import InputError

from ..space import Parameter, Space, Value
from .base import Ask, Propose
from .seen import Seen, best

Rungs = Sequence[Mapping[str, Value]]
"""Points of a strategy's own space, the documented one first."""

REPEATS = "it has a few points, and runs the best one again when they are used up"
"""`Strategy.repeats` of a strategy with a ladder."""


def ladder(rungs: Rungs) -> Propose:
    """Proposes the rungs one after another, then the best of them again."""

    def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
        known = [trial.values for trial in seen]
        left = [dict(rung) for rung in rungs if rung not in known]
        if left:
            return left[0]
        top = best(trial for trial in seen if trial.values in rungs)
        return dict(rungs[0] if top is None else top.values)

    return propose


def tuned(parameters: Sequence[Parameter], change: Callable[[Kdamonds], Kdamonds]) -> Callable[[Space], Space]:
    """`Strategy.brings`: the env's default point, changed, with these parameters and no others."""
    return lambda space: Space(tuple(parameters), change(space.kdamonds(space.defaults())))


def with_goals(
    goals: Mapping[Action, QuotaGoal], interval_ms: int, tuner: str = "consist"
) -> Callable[[Kdamonds], Kdamonds]:
    """Gives each scheme whose action has a goal this one only, within the limits that its quota has already.

    The scheme then takes memory of any age, since the quota's priorities decide: what suits the action best by accesses
    and age comes first. Raises InputError if there is no such scheme.
    """

    def change(kdamonds: Kdamonds) -> Kdamonds:
        schemes = kdamonds.context.schemes
        if not any(scheme.action in goals for scheme in schemes):
            raise InputError(
                "has a goal for other schemes",
                value=", ".join(scheme.action for scheme in schemes) or "none",
                allowed=f"an env with a scheme of action {' or '.join(goals)}",
            )
        return kdamonds.with_schemes(
            dataclasses.replace(
                scheme,
                access_pattern=dataclasses.replace(scheme.access_pattern, age=Range(0, scheme.access_pattern.age.max)),
                quotas=dataclasses.replace(
                    scheme.quotas,
                    reset_interval_ms=interval_ms,
                    weights=Weights(nr_accesses_permil=1, age_permil=1),
                    goals=(goals[scheme.action],),
                    goal_tuner=tuner,
                ),
            )
            if scheme.action in goals
            else scheme
            for scheme in schemes
        )

    return change
