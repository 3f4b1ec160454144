"""Runs that a `Control` policy steers, on any backend, as it steered when it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from damoos.backend.base import Backend, Session, Workload
from damoos.backend.result import Samples
from damoos.damon.kdamonds import Kdamonds
from damoos.env.knobs import Knobs
from damoos.env.runs import Runs
from damoos.env.signals import IDLE_EDGES_S, RATE_EDGES, Memory, has_quota, signals
from damoos.sim.fleet import Fleet
from damoos.sim.session import SimSession
from damoos.tune.preset import load_env
from damoos.tune.space import Space
from damoos.tune.space_many import values_of
from damoos.workload.processes import AnyMasim

from .policy import Policy, load_policy


@dataclass(frozen=True)
class PolicySteering:
    """A `Steering` by the policy in `folder`, with that `digest`, every `every_s` s."""

    folder: str
    digest: str
    every_s: float

    def begin(self, kdamonds: Kdamonds, workload: Workload, backend: Backend, seed: int) -> PolicySteerer:
        """See `Steering.begin`."""
        policy = _loaded(self.folder, self.digest)
        duration_ms = float(workload.duration_ms) if isinstance(workload, AnyMasim) else 0.0
        return PolicySteerer(policy, kdamonds, duration_ms if policy.arguments.get("progress", True) else 0.0)


class PolicySteerer:
    """Steers one run that begins with `kdamonds`, the default of the policy's space. `duration_ms`: nominal, of the
    workload; 0 where the policy is not to know."""

    def __init__(self, policy: Policy, kdamonds: Kdamonds, duration_ms: float) -> None:
        space = load_env(policy.preset).space
        self._space = Space(space.parameters, kdamonds)
        self._knobs = Knobs(self._space, policy.arguments.get("controls"))
        self._actor = policy.actor()
        self._last = np.clip(self._knobs.action(self._space.defaults()), -1.0, 1.0)
        self._now = self._space.defaults()
        self._duration_ms = np.array([duration_ms])
        self._memory = Memory.blank(1)
        self._runs: Runs | Fleet | None = None

    def step(self, session: Session, samples: Samples) -> None:
        """See `Steerer.step`."""
        begun = self._runs is None
        if self._runs is None:
            self._runs = self._watched(session)
        if isinstance(self._runs, Runs):
            self._runs.take(0, samples)
        numbers, self._memory = signals(self._runs.look(), self._memory, self._duration_ms)
        seen = np.concatenate([numbers, self._last[None]], 1, dtype=np.float32)
        action = np.clip(self._actor(seen, np.array([begun]))[0].astype(np.float64), -1.0, 1.0)
        wanted = self._knobs.values(action)
        # A real run may have ended while it was looked at.
        if wanted != self._now and not session.done:
            session.commit(self._space.kdamonds(wanted))
        self._last, self._now = action, wanted

    def _watched(self, session: Session) -> Runs | Fleet:
        # A simulated run is looked at as in training, exactly; of others it is known what they were sampled at last.
        if isinstance(session, SimSession):
            return Fleet([session], (), self._meant, rate_edges=RATE_EDGES, idle_edges_s=IDLE_EDGES_S, threads=1)
        limited = has_quota(self._space.kdamonds(self._space.defaults()))
        return Runs([session], self._meant, rate_edges=RATE_EDGES, idle_edges_s=IDLE_EDGES_S, counters=limited)

    def _meant(self, row: NDArray[np.float64]) -> Kdamonds:
        return self._space.kdamonds(values_of(self._space, row))


@lru_cache(maxsize=8)
def _loaded(folder: str, digest: str) -> Policy:
    return load_policy(folder)
