"""What people run by hand: between runs the age from which memory is paged out is doubled if too much of what was paged
out came back, and halved otherwise. Too much is a sixtieth: dama counts anonymous memory that comes back three times,
and has a threshold of 5 % of what DAMON reclaimed. It begins at 10 s, as dama's published test. The counts of the runs
before count half as much with each run, so that one odd run does not turn it.

dama does so to DAMON_RECLAIM while the system runs, in steps that grow with the excess; it lowers the age where the
kernel's own reclaim has to do the work, which a run here knows nothing of. Everything else has the env's default. The
score is not looked at, only whether a run broke the limit or failed, which counts as too much.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..space import Parameter, Space, Value
from .base import Ask, Strategy, sampler_of
from .damoos_simple import inside
from .linear import AGE
from .seen import Seen

START_US = 10_000_000
WEIGHT, THRESHOLD = 3.0, 0.05
"""dama's: of anonymous memory that came back, and of the weighted share from which the age gets longer."""
STEP, DECAY = 2.0, 0.5


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The age of the last run that ended, or a step from it."""
    age = _age(ask.space)
    done = [trial for trial in seen if trial.state != "running"]
    value = START_US if not done else _next(age, done)
    return ask.space.defaults() | {age.name: inside(age, value)}


def came_back(done: Sequence[Seen]) -> float:
    """The share of what was paged out that came back, the last of `done` counting most; of runs that say nothing of
    swap, 0 if the last one kept the limit. 1 if that broke it or failed."""
    if not done[-1].feasible:
        return 1.0
    back = out = 0.0
    for trial in done:
        back = DECAY * back + (trial.swapped_in or 0)
        out = DECAY * out + (trial.swapped_out or 0)
    return back / out if out else 0.0


def _next(age: Parameter, done: Sequence[Seen]) -> float:
    last, share = done[-1].values[age.name], came_back(done)
    assert isinstance(last, int | float)
    return last * STEP if WEIGHT * share > THRESHOLD else last / STEP


def _age(space: Space) -> Parameter:
    return next(parameter for parameter in space.parameters if parameter.place.endswith(AGE))


STRATEGY = Strategy(
    name="refault-control",
    title="the age up or down by how much comes back, run by run",
    text=__doc__,
    source="Liew Rui Yan, [RFC] dama: userspace DAMON_RECLAIM min_age autotuner (linux-mm, June 2026), and its code",
    make_sampler=sampler_of(propose),
    conditional=False,
    places=("schemes[0].access_pattern.age.min",),
    repeats="it goes back and forth where it is content",
)
