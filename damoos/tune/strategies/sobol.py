"""A scrambled Sobol sequence: points that fill the space evenly, whatever their number, without looking at any score.
What random search does, with fewer holes. Scrambled by the study's seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..space import Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The point of the sequence with the trial's number."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(ask.space.dimensions, scramble=True, rng=ask.study_rng())
    if ask.number > 0:
        sequence.fast_forward(ask.number)
    with warnings.catch_warnings():
        # The balance of powers of two is not what is looked for in single points.
        warnings.simplefilter("ignore", UserWarning)
        point = sequence.random(1)[0]
    return fresh(ask, seen, [point])


STRATEGY = Strategy(
    name="sobol",
    title="quasi-random points that fill the space",
    text=__doc__,
    source="Sobol', On the distribution of points in a cube (1967), scrambled after Owen (1998); SciPy's qmc.Sobol",
    make_sampler=sampler_of(propose),
    needs=(("scipy", "search"),),
)
