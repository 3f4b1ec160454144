"""Feeding a quota's `user_input` goal while a run goes on, as a service beside the workload would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from damoos.damon.kdamonds import Kdamonds
from damoos.errors import InputError

from .base import Session
from .result import Result, Samples

Signal = Callable[[Samples], int]
"""What is fed, of the samples taken since the last time; at least one."""


def swap_kb(samples: Samples) -> int:
    """The workload's memory in swap, KiB."""
    return int(samples.swap_bytes[-1]) // 1024


SIGNALS: dict[str, Signal] = {"swap_kb": swap_kb}
"""Signals by the names that recordings use."""


@dataclass(frozen=True)
class Feed:
    """Commits `signal` as the current value of a goal every `every_s` s of the workload's time.

    `scheme`, `goal`: indices; the goal's metric is `user_input`.
    """

    signal: Signal
    every_s: float
    scheme: int = 0
    goal: int = 0


def run_fed(session: Session, kdamonds: Kdamonds, feed: Feed) -> Result:
    """Runs a session that was started with `kdamonds` to its end, fed; raises InputError for a goal that takes none."""
    _checked(kdamonds, feed)
    while not session.done:
        samples = session.advance(feed.every_s)
        if len(samples.t_s) and not session.done:
            session.commit(with_current(kdamonds, feed, feed.signal(samples)))
    return session.finish()


def with_current(kdamonds: Kdamonds, feed: Feed, value: int) -> Kdamonds:
    """`kdamonds` with `value` as the fed goal's current value."""
    schemes = list(kdamonds.context.schemes)
    quotas = schemes[feed.scheme].quotas
    goals = list(quotas.goals)
    goals[feed.goal] = dataclasses.replace(goals[feed.goal], current_value=value)
    quotas = dataclasses.replace(quotas, goals=tuple(goals))
    schemes[feed.scheme] = dataclasses.replace(schemes[feed.scheme], quotas=quotas)
    return kdamonds.with_schemes(schemes)


def _checked(kdamonds: Kdamonds, feed: Feed) -> None:
    schemes = kdamonds.context.schemes
    goals = schemes[feed.scheme].quotas.goals if feed.scheme < len(schemes) else ()
    metric = goals[feed.goal].target_metric if feed.goal < len(goals) else None
    if metric != "user_input":
        raise InputError(
            "takes no value from outside",
            field=f"schemes[{feed.scheme}].quotas.goals[{feed.goal}].target_metric",
            value=metric,
            allowed="user_input",
        )
    if feed.every_s <= 0.0:
        raise InputError("too often", field="every_s", value=feed.every_s, allowed="more than 0 s")
