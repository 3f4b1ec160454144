"""Steering: what changes the kdamonds of a run while it goes on, as a deployed controller would.

`Steering` is what steers, for any run, a value; `Steerer` steers one run and is the only part with a state. A strategy
that steers (`Strategy.steering`) proposes what its runs begin with; what its trials measure is both together, so a
trial's kdamonds alone are not what scored.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from damoos.backend.base import Backend, Session, Workload
from damoos.backend.feed import Feed
from damoos.backend.result import Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import InputError

_COUNTS = np.zeros(0, np.int64)
NO_SAMPLES = Samples(
    np.zeros(0), _COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS, kdamond_cpu_s=np.zeros(0), nr_regions=_COUNTS
)
"""What there is before a run has gone on at all."""


class Steerer(Protocol):
    """Steers one run."""

    def step(self, session: Session, samples: Samples) -> None:
        """May commit other kdamonds. Called at the start, with no samples, and then each time that the run has gone on
        by `Steering.every_s`, with the samples since the last call, but not when the run has ended. Raises as
        `Session.commit`."""


class Steering(Protocol):
    """What steers runs. Implementations are frozen dataclasses that can be pickled, whose text says all that decides
    how they steer: it identifies studies."""

    @property
    def every_s(self) -> float:
        """How far a run goes between two steps, s of its own time, more than 0."""

    def begin(self, kdamonds: Kdamonds, workload: Workload, backend: Backend, seed: int) -> Steerer:
        """Steers the run of that seed, which is about to start with `kdamonds`. Raises InputError where these, or the
        workload, can't be steered."""


def check_unfed(kdamonds: Kdamonds, feed: Feed | None) -> None:
    """Raises InputError where what is fed to a goal of `kdamonds` would undo what steers."""
    if feed is not None and feed.goal_of(kdamonds) is not None:
        raise InputError(
            "is fed from outside, which commits it as it was",
            field=f"schemes[{feed.scheme}].quotas.goals[{feed.goal}]",
            allowed="an env without [feed] where a strategy steers",
        )
