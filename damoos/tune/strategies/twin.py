"""Watches one monitored run, makes a likeness of the workload from it, and tries hundreds of points on the simulator
before it spends a real run. What DAMON's regions and their ages say of when each piece of memory was in use becomes a
simulated workload; nothing else about the program is known to it.

Real runs then go where a likeness that is corrected by all real runs so far expects the most: expected improvement over
the best one, times the probability of keeping the limit. The correction learns how many times dearer or cheaper
page-out is than simulated, and where the likeness is wrong. After a dozen runs the search goes on near the best point
as `border` does.

The simulated machine is the one that trials run on where they are simulated, `vm` for the guests of damoos, else
`zram`. How good a likeness is depends on how much DAMON sees: a run's length in seconds, and its accesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..space import Space, Value
from .base import Ask, Strategy, Subject, fresh, sampler_of
from .caution import from_point, to_point
from .correction import Correction, Outcome, weight_of
from .local import propose_near_best
from .seen import Seen, best
from .surrogate import below, expected_improvement

if TYPE_CHECKING:
    from .likeness import Likeness

CORRECTED_FOR = 12
"""Real runs after which the likeness has nothing more to say."""
CAUTION = 1.5
"""Power of the probability of keeping the limit: a point that kept it by luck is worse than none."""
APART = 0.2
"""How much the distance of two points counts, beside how differently the likeness says that they do."""
FARTHEST = 3.0
"""Overheads of more than so many limits are alike."""
CLOSER_AFTER = 6
"""Real runs after which points are tried that were not simulated."""
CLOSE, CLOSE_BY = 64, 0.06
"""Candidates beside the best point, in addition to those that were simulated, and how near they are, of the range."""

Floats = NDArray[np.float64]

_likenesses: WeakKeyDictionary[Subject, tuple[Space, Likeness]] = WeakKeyDictionary()


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The most promising point of those that were simulated and some beside the best."""
    done = [trial for trial in seen if trial.score is not None]
    if len(done) >= CORRECTED_FOR:
        return propose_near_best(ask, seen)
    likeness = likeness_of(ask)
    points, overhead, benefit = candidates(ask, likeness, done)
    mean, deviation, keeps = expected(ask, likeness, done, points, overhead, benefit)
    top = best(done)
    reference = 0.0 if top is None or top.score is None else max(top.score, 0.0)
    promise = expected_improvement(mean, deviation, reference) * keeps**CAUTION
    return fresh(ask, seen, from_point(likeness.lead, points[np.argsort(-promise, kind="stable")]))


def likeness_of(ask: Ask) -> Likeness:
    """The subject's, made when first asked for."""
    from .likeness import Likeness  # the simulator takes a second to load

    assert ask.subject is not None  # `Strategy.check` sees to it
    kept = _likenesses.get(ask.subject)
    if kept is None or kept[0] != ask.space:
        kept = ask.space, Likeness(ask.subject, ask.space, ask.study_rng())
        _likenesses[ask.subject] = kept
    return kept[1]


def candidates(ask: Ask, likeness: Likeness, done: Sequence[Seen]) -> tuple[Floats, Floats, Floats]:
    """Points [m, d], and the likeness's overhead and benefit there: those that were simulated, and once real runs have
    shown where it is good some beside the best, of which it knows only by their neighbours."""
    top = best(done)
    if top is None or len(done) < CLOSER_AFTER:
        return likeness.points, likeness.overhead, likeness.benefit
    centre = to_point(ask.space, likeness.lead, top.values)
    more = np.clip(centre + ask.rng().normal(0.0, CLOSE_BY, (CLOSE, ask.space.dimensions)), 0.0, 1.0)
    overhead, benefit = likeness.at(more)
    return (
        np.concatenate((likeness.points, more)),
        np.append(likeness.overhead, overhead),
        np.append(likeness.benefit, benefit),
    )


def expected(
    ask: Ask, likeness: Likeness, done: Sequence[Seen], points: Floats, overhead: Floats, benefit: Floats
) -> tuple[Floats, Floats, Floats]:
    """Mean and standard deviation of the true score, and the probability that the limit is kept, [m] each."""
    assert ask.subject is not None
    objective = ask.subject.objective
    tried = [to_point(ask.space, likeness.lead, trial.values) for trial in done]
    x = np.array(tried).reshape(len(done), ask.space.dimensions)
    truth = [Outcome.of(objective, t.score, t.excess) for t in done if t.score is not None]
    at_overhead, at_benefit = likeness.at(x)
    near = _alike(ask, likeness, x, at_overhead, at_benefit)
    here = _alike(ask, likeness, points, overhead, benefit)
    overheads = Correction.fit(near, at_overhead, np.array([t.overhead for t in truth]))
    over = overheads.predict(here, overhead)
    gain = Correction.fit(near, at_benefit, np.array([t.benefit for t in truth])).predict(here, benefit)
    weight = weight_of(objective)
    # As far from the limit as runs differ: nearer to it a point is kept by luck.
    keeps = below(((1.0 - overheads.noise) * objective.limit_percent - over[0]) / over[1])
    return gain[0] - weight * over[0], np.sqrt(gain[1] ** 2 + (weight * over[1]) ** 2), keeps


def _alike(ask: Ask, likeness: Likeness, points: Floats, overhead: Floats, benefit: Floats) -> Floats:
    # Points of which the likeness says the same are near each other, though they may lie apart.
    assert ask.subject is not None
    limit, span = ask.subject.objective.limit_percent, float(np.ptp(likeness.benefit)) if len(likeness.benefit) else 0.0
    return np.column_stack((APART * points, np.minimum(overhead / limit, FARTHEST), benefit / (span or 1.0)))


STRATEGY = Strategy(
    name="twin",
    title="a simulated likeness of one monitored run, corrected by each real one",
    text=__doc__,
    source="damoos; expected improvement (Jones et al., 1998) around a simulator (Kennedy and O'Hagan, 2001)",
    make_sampler=sampler_of(propose),
    watches=True,
    # By these its few constants were chosen.
    learned_from=(
        *("build", "bursts", "gc", "graded", "hot-cold", "init-cold", "leak", "stairs", "uniform", "zigzag"),
        *("parsec3-blackscholes", "parsec3-canneal", "splash2x-barnes", "splash2x-fft"),
    ),
)
