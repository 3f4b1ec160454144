"""As many equidistant values a parameter (on its scale, ends included) as the trials are enough for, in random order;
choices have all their values. When the grid is used up, one of half the distance follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ..space import Space, Value
from .base import Ask, Strategy, fresh, sampler_of
from .seen import Seen

_LARGEST = 20_000
"""Points of the finest grid that is looked at."""


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The next point of the grid that has not been tried."""
    return fresh(ask, seen, _points(ask))


def _points(ask: Ask) -> Iterator[tuple[float, ...]]:
    levels = 2
    while _size(ask.space, levels + 1) <= ask.trials:
        levels += 1
    rng = ask.study_rng()
    while (size := _size(ask.space, levels)) <= _LARGEST:
        grid = list(itertools.product(*_axes(ask.space, levels)))
        yield from (grid[i] for i in rng.permutation(size))
        levels = 2 * levels - 1


def _axes(space: Space, levels: int) -> Iterator[list[float]]:
    for parameter in space.parameters:
        if parameter.kind == "choice":
            yield [parameter.coordinate(choice) for choice in parameter.choices]
        else:
            yield np.linspace(0.0, 1.0, levels).tolist()


def _size(space: Space, levels: int) -> int:
    ranged = sum(parameter.kind != "choice" for parameter in space.parameters)
    choices = [len(parameter.choices) for parameter in space.parameters if parameter.kind == "choice"]
    # A grid of choices alone does not grow with the levels.
    return int(np.prod(choices, dtype=np.int64)) * levels**ranged if ranged else _LARGEST + (levels > 2)


STRATEGY = Strategy(
    name="grid",
    title="all points of a grid, in random order",
    text=__doc__,
    source="what is done by hand; full factorial design",
    make_sampler=sampler_of(propose),
    uses_budget=True,
)
