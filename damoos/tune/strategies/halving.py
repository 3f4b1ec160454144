"""Many points get a short run, the best third of them a longer one, the best of these all there is: of nine points each
the first third of the workload, once; of three the whole, once; of one as many runs as a trial has. Then the next nine.
A point that goes on keeps its runs. New points come from a Parzen estimator of what the longest runs say.

Trials are counted whether short or long: 13 take about as long as 3 whole ones of three runs. So give it a time
(`--max-workload-time`), and trials to spare. A part says what the whole does where a workload soon settles into what it
goes on doing; elsewhere the best may fall in the first round. A command can't be cut: only the number of its runs is
halved. What short runs give is recorded as `partial` and never named winner.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..fidelity import WHOLE, Fidelity, Ladder
from ..space import Value
from .base import Ask, Strategy, sampler_of
from .seen import Seen

THIRD, ONCE = Fidelity(1 / 3, often=False), Fidelity(often=False)
SEVERAL = Ladder((THIRD, ONCE, WHOLE), ((0, (9, 3, 1)),))
SINGLE = Ladder((THIRD, WHOLE), ((0, (9, 3)),))


def ladder(repeats: int) -> Ladder:
    """The ladder of a study of so many runs a trial."""
    return SEVERAL if repeats > 1 else SINGLE


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """A new point, or one that goes on."""
    from .rungs import propose_on

    return propose_on(ladder(ask.repeats), ask, seen)


STRATEGY = Strategy(
    name="halving",
    title="successive halving: many short runs, the best third goes on to longer ones",
    text=__doc__,
    source="Jamieson and Talwalkar (AISTATS 2016); points as in BOHB (Falkner et al., ICML 2018)",
    make_sampler=sampler_of(propose),
    repeats="the best points go on to longer runs",
    ladder=ladder,
)
