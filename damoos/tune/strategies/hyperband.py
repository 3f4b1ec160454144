"""Halving that does not trust its short runs. Brackets follow each other that begin with a ninth of the workload (nine
points, three go on to a third of it, one to the whole), with a third (five points, one goes on), and with the whole
(three points). Parts are run once, the whole as often as a trial is. New points come from a Parzen estimator of the
most faithful runs that there are enough of.

It loses less than `halving` where the beginning of a workload says nothing of the rest, and gains less where it does.
Give it a time (`--max-workload-time`) and trials to spare: 22 of them take about as long as 6 whole ones of three runs.
What short runs give is recorded as `partial` and never named winner. A command can't be cut: all its runs are whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..fidelity import WHOLE, Fidelity, Ladder
from ..space import Value
from .base import Ask, Strategy, sampler_of
from .seen import Seen

LADDER = Ladder(
    (Fidelity(1 / 9, often=False), Fidelity(1 / 3, often=False), WHOLE), ((0, (9, 3, 1)), (1, (5, 1)), (2, (3,)))
)


def ladder(repeats: int) -> Ladder:
    """The ladder, whatever a trial has of runs."""
    return LADDER


def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """A new point, or one that goes on."""
    from .rungs import propose_on

    return propose_on(LADDER, ask, seen)


STRATEGY = Strategy(
    name="hyperband",
    title="halving with brackets that begin with shorter and longer runs",
    text=__doc__,
    source="Li et al., Hyperband (JMLR 2018); points as in BOHB (Falkner et al., ICML 2018)",
    make_sampler=sampler_of(propose),
    repeats="the best points go on to longer runs",
    ladder=ladder,
)
