"""Step 1 tries an age of 5, 8, 10 and 13 s for regions of 4 KiB and more; step 2 a smallest region of 4, 8, 12, 16 and
20 KiB at the best age. Everything else has the env's default; values outside the env's range become the nearest inside.
Step 2 is left out where the env has no smallest region. The original ran each point five times; here `--repeats` says
how often. When all are tried, the best one is run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..space import Parameter, Space, Value
from .base import Ask, Strategy, sampler_of
from .damoos_polyfit import SOURCE
from .linear import AGE, SIZE
from .seen import Seen, best

AGES_US = (5_000_000, 8_000_000, 10_000_000, 13_000_000)
SIZES_BYTES = (4096, 8192, 12288, 16384, 20480)


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The first point of the two steps that has not been tried."""
    known = [trial.values for trial in seen]
    for values in _points(ask.space, seen):
        if values not in known:
            return values
    top = best(seen)
    return ask.space.defaults() if top is None else dict(top.values)


def _points(space: Space, seen: Sequence[Seen]) -> Iterator[dict[str, Value]]:
    age = next(p for p in space.parameters if p.place.endswith(AGE))
    size = next((p for p in space.parameters if p.place.endswith(SIZE)), None)
    start = space.defaults() if size is None else space.defaults() | {size.name: inside(size, SIZES_BYTES[0])}
    first = [start | {age.name: inside(age, age_us)} for age_us in AGES_US]
    yield from first
    top = best([trial for trial in seen if trial.values in first])
    if size is not None:
        chosen = first[0] if top is None else top.values
        yield from (chosen | {size.name: inside(size, sz_bytes)} for sz_bytes in SIZES_BYTES)


def inside(parameter: Parameter, value: float) -> Value:
    """The value, or the nearest in the parameter's range and on its grid."""
    return parameter.snap(min(max(value, parameter.low), parameter.high))


STRATEGY = Strategy(
    name="damoos-simple",
    title="DAMOOS 2021: four ages, then five sizes",
    text=__doc__,
    source=SOURCE,
    make_sampler=sampler_of(propose),
    choices=False,
    conditional=False,
    places=("schemes[0].access_pattern.age.min",),
    repeats="it has nine points, and runs the best one again when they are used up",
)
