"""Feeding a quota's `user_input` goal while a run goes on, as a service beside the workload would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.quotas import QuotaGoal
from damoos.errors import InputError

from .base import Session
from .result import Result, Samples

Signal = Callable[[Samples, float, int], float]
"""A number from the samples since the last time, at least one, and the last sample before them: its time in s and its
major faults."""


def _swap_kb(samples: Samples, before_s: float, faults: int) -> float:
    return float(samples.swap_bytes[-1]) / 1024


def _major_faults_per_s(samples: Samples, before_s: float, faults: int) -> float:
    return float(samples.major_faults[-1] - faults) / max(float(samples.t_s[-1]) - before_s, 1e-9)


def _score(samples: Samples, before_s: float, faults: int) -> float:
    resident, swapped = float(samples.rss_bytes[-1]), float(samples.swap_bytes[-1])
    saved = swapped / max(resident + swapped, 1.0)
    return 100 * 100 * 0.5 * (saved - SWAP_IN_S * _major_faults_per_s(samples, before_s, faults))


SWAP_IN_S = 20e-6
"""What a swap-in is taken to cost the workload, s: about that of compressed memory."""
SIGNALS: dict[str, Signal] = {"swap_kb": _swap_kb, "major_faults_per_s": _major_faults_per_s, "score": _score}
"""By name: the workload's memory in swap, KiB; its major faults a second since the last time; hundredths of a point of
the DAMOOS score, half the share of its memory that is in swap less half the share of time that its faults take, in
percent."""


@dataclass(frozen=True)
class Feed:
    """Commits the signal of that name as the current value of a goal every `every_s` s of the workload's time.

    `scheme`, `goal`: indices; the goal's metric is `user_input`. Raises InputError for what does not exist.
    """

    signal: str
    every_s: float
    scheme: int = 0
    goal: int = 0

    def __post_init__(self) -> None:
        if self.signal not in SIGNALS:
            raise InputError("unknown signal", field="signal", value=self.signal, allowed=", ".join(SIGNALS))
        if self.every_s <= 0.0:
            raise InputError("too often", field="every", value=self.every_s, allowed="more than 0 s")

    def goal_of(self, kdamonds: Kdamonds) -> QuotaGoal | None:
        """The goal that is fed; None where `kdamonds` has no such scheme or goal, or one that measures itself."""
        schemes = kdamonds.context.schemes
        goals = schemes[self.scheme].quotas.goals if self.scheme < len(schemes) else ()
        goal = goals[self.goal] if self.goal < len(goals) else None
        return goal if goal is not None and goal.target_metric == "user_input" else None


class Feeder:
    """Feeds one session; whoever moves that on does so by `feed.every_s` at most."""

    def __init__(self, feed: Feed, kdamonds: Kdamonds) -> None:
        """`kdamonds`: what the session was started with. Raises InputError if none of its goals can be fed."""
        if feed.goal_of(kdamonds) is None:
            raise InputError(
                "takes no value from outside",
                field=f"schemes[{feed.scheme}].quotas.goals[{feed.goal}]",
                allowed="a goal of metric user_input",
            )
        self._feed, self._kdamonds = feed, kdamonds
        self._last_s, self._faults = 0.0, 0

    def feed(self, session: Session, samples: Samples) -> None:
        """Commits what the `samples` since the last time come to. Raises as `Session.commit`."""
        if len(samples.t_s) == 0 or session.done:
            return
        value = SIGNALS[self._feed.signal](samples, self._last_s, self._faults)
        self._last_s, self._faults = float(samples.t_s[-1]), int(samples.major_faults[-1])
        session.commit(with_current(self._kdamonds, self._feed, max(0, int(value))))


def run_fed(session: Session, kdamonds: Kdamonds, feed: Feed) -> Result:
    """Runs a session that was started with `kdamonds` to its end, fed. Raises as `Feeder`."""
    feeder = Feeder(feed, kdamonds)
    while not session.done:
        feeder.feed(session, session.advance(feed.every_s))
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
