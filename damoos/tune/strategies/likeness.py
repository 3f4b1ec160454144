"""A likeness of what is tuned: a workload fitted to a monitored run, tried on the simulator at many points of a space.

What it says is only as good as what DAMON and the machine model show; `correction` relates it to real runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from damoos.backend.feed import Feed
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, KdamondsError
from damoos.sim.backend import SimBackend
from damoos.workload.masim import MasimWorkload
from damoos.workload.pace import Pace
from damoos.workload.recorded import BATCH, Rate, recorded_workload

from ..objective import Objective, run_of
from ..outcome import Run
from ..space import Space, Value, Values
from ..trial import Bench
from .base import Subject
from .caution import from_point, lead_of, to_point
from .correction import Outcome, weight_of

ON_THE_LINE = 24
"""Points along the parameter that says how soon, the others at their defaults."""
ANYWHERE = 96
"""Points that fill the space."""
ROUNDS, AROUND, BESIDE = 2, 4, 3
"""Rounds of search near the best points: so many of them for each of `SUSPICIONS`, so many tries beside each."""
SUSPICIONS = (0.5, 1.0, 2.0)
"""How many times larger overheads may be in truth."""
CONFIRMED, AGAIN = 8, 2
"""So many of the best for each of `SUSPICIONS` are run again so many times: the best of many noisy runs was lucky."""
FULL_S, FEWEST = 75.0, 0.25
"""Of runs longer than that, s, fewer are simulated, so that it takes no longer; but at least that share."""
NEAR = 0.12
"""Standard deviation of a try beside a point, of the range."""
CUT = 3.0
"""A simulated run is given up at so many times the overhead that is allowed."""

Floats = NDArray[np.float64]


class Likeness:
    """A subject's likeness and what its points do. `points` [m, d] in the coordinates of `caution.to_point`,
    `overhead`, `benefit` [m]."""

    def __init__(self, subject: Subject, space: Space, rng: np.random.Generator) -> None:
        """Watches the subject, fits and searches: some seconds."""
        self.space, self.lead = space, lead_of(space)
        recording, simulator = subject.recording(), subject.simulator()
        machine = simulator.machine
        per_ms = 1.0 / (1.0 / machine.sequential_per_ms + machine.batch_us / 1e3 / BATCH)
        workload = recorded_workload(recording, Rate(per_ms, machine.rss_base_bytes))
        backend = SimBackend(machine, Pace(timing=simulator.pace.timing, batch=BATCH))
        objective = subject.objective
        if objective.speed != "none":
            # A likeness has no number of its own: by how much that gets worse, the runtime does.
            objective = replace(objective, speed="runtime")
        self._trials = _Trials(backend, workload, objective, subject.feed, space, recording.seed % 2**31)
        self._share = min(max(FULL_S / max(recording.runtime_s, 1e-9), FEWEST), 1.0)
        self.points = np.zeros((0, space.dimensions))
        self.overhead, self.benefit = np.zeros(0), np.zeros(0)
        self._known: set[tuple[tuple[str, Value], ...]] = set()
        self._confirmed: set[int] = set()
        self._search(rng)

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Overhead and benefit at points [n, d]: means of the nearest that were tried, by the inverse of distance."""
        if not len(self.points):
            return np.zeros(len(points)), np.zeros(len(points))
        distance = ((points[:, None] - self.points[None]) ** 2).sum(axis=2)
        near = np.argsort(distance, axis=1, kind="stable")[:, :4]
        weight = 1.0 / (np.take_along_axis(distance, near, axis=1) + 1e-9)
        weight /= weight.sum(axis=1, keepdims=True)
        return (self.overhead[near] * weight).sum(axis=1), (self.benefit[near] * weight).sum(axis=1)

    def _search(self, rng: np.random.Generator) -> None:
        d = self.space.dimensions
        base = to_point(self.space, self.lead, self.space.defaults())
        line = np.tile(base, (self._count(ON_THE_LINE), 1))
        if self.lead is not None:
            line[:, self.lead.index] = np.linspace(0.0, 1.0, len(line))
        self._try([base, *line, *_spread(rng, self._count(ANYWHERE) if d > 1 else 0, d)])
        for _ in range(ROUNDS):
            beside = [
                self.points[i] + rng.normal(0.0, NEAR, d)
                for i in self._best(self._count(AROUND))
                for _ in range(BESIDE)
            ]
            self._try([np.clip(point, 0.0, 1.0) for point in beside])
        for _ in range(ROUNDS):
            self._confirm(self._best(self._count(CONFIRMED)))

    def _count(self, most: int) -> int:
        return math.ceil(most * self._share)

    def _confirm(self, best: Sequence[int]) -> None:
        new = [i for i in best if i not in self._confirmed]
        self._confirmed.update(new)
        values = [self.space.decode(from_point(self.lead, self.points[i])) for i in new]
        runs = [self._trials.run(values, again) for again in range(1, AGAIN + 1)]
        for i, *found in zip(new, *runs, strict=True):
            more = [o for o in found if o is not None]
            self.overhead[i] = np.mean([self.overhead[i], *(o.overhead for o in more)])
            self.benefit[i] = np.mean([self.benefit[i], *(o.benefit for o in more)])

    def _best(self, count: int) -> list[int]:
        # The most promising points for each of `SUSPICIONS`.
        return list(dict.fromkeys(i for suspicion in SUSPICIONS for i in self._best_if(suspicion, count)))

    def _best_if(self, suspicion: float, count: int) -> list[int]:
        limit, weight = self._trials.objective.limit_percent, weight_of(self._trials.objective)
        score = np.where(suspicion * self.overhead <= limit, self.benefit - weight * suspicion * self.overhead, -np.inf)
        return [i for i in np.argsort(-score, kind="stable")[:count].tolist() if score[i] > -np.inf]

    def _try(self, points: Iterable[Floats]) -> None:
        new: list[dict[str, Value]] = []
        for point in points:
            values = self.space.decode(from_point(self.lead, point))
            key = tuple(sorted(values.items()))
            if key not in self._known:
                self._known.add(key)
                new.append(values)
        found = [(v, o) for v, o in zip(new, self._trials.run(new), strict=True) if o is not None]
        if found:
            more = np.array([to_point(self.space, self.lead, values) for values, _ in found])
            self.points = np.concatenate((self.points, more))
            self.overhead = np.append(self.overhead, [o.overhead for _, o in found])
            self.benefit = np.append(self.benefit, [o.benefit for _, o in found])


@dataclass
class _Trials:
    """Simulated trials of one run each, the first time or again; `run` gives None for what can't be simulated."""

    backend: SimBackend
    workload: MasimWorkload
    objective: Objective
    feed: Feed | None
    space: Space
    seed: int
    _bases: dict[int, Run] = field(default_factory=dict)

    def run(self, points: Sequence[Values], again: int = 0) -> list[Outcome | None]:
        seed = self.seed + again
        if seed not in self._bases:
            self._bases[seed] = run_of(self._bench.result(None, seed))
        with ThreadPoolExecutor(self.backend.slots) as pool:
            return list(pool.map(lambda values: self._one(values, seed), points))

    @property
    def _bench(self) -> Bench:
        return Bench(self.backend, self.workload, 1, self.objective.observes, self.feed)

    def _one(self, values: Values, seed: int) -> Outcome | None:
        base = self._bases[seed]
        try:
            repeat = self.objective.repeat(self._measured(self.space.kdamonds(values), seed), base)
        except (BackendError, KdamondsError):
            return None
        return Outcome.of(self.objective, repeat.score, self.objective.excess_percent([repeat]))

    def _measured(self, kdamonds: Kdamonds, seed: int) -> Run:
        if self.objective.observes or self.feed is not None:
            return run_of(self._bench.result(kdamonds, seed))
        base = self._bases[seed]
        limit_s = base.runtime_s * (1.0 + CUT * self.objective.limit_percent / 100.0)
        with self.backend.start(self.workload, kdamonds, seed) as session:
            samples = session.advance(limit_s)
            if session.done:
                return run_of(session.finish())
            # Hopeless whatever it takes in the end: as it is so far.
            return replace(base, runtime_s=session.now_s, rss_mean_bytes=float(samples.rss_bytes.mean()))


def _spread(rng: np.random.Generator, n: int, d: int) -> Floats:
    # Latin hypercube: each of n equal parts of every coordinate has one point.
    cells = np.column_stack([rng.permutation(n) for _ in range(d)]) if n else np.zeros((0, d))
    return (cells + rng.random((n, d))) / max(n, 1)
