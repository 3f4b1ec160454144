"""Marks instead of competitors: strategies of experiments that know the answer from searches of thousands of runs.

They exist in experiments only, since what they know is kept in an experiment's folder (`damoos.experiment.known`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damoos.tune.space import Value
from damoos.tune.strategies import check_strategy, find_strategy
from damoos.tune.strategies.base import Ask, Strategy, sampler_of
from damoos.tune.strategies.seen import Seen

from .schedule import Point, Schedule

STATIC, PHASES = "oracle-static", "oracle-phases"
_TEXTS = {
    STATIC: (
        "the best known fixed point of the workload that it is judged on",
        "It runs the point that `damoos bench --best` found for this very workload: the mark that scores refer to. "
        "No fair competitor, since nobody who tunes has it.",
    ),
    PHASES: (
        "the best known points of each part of the phases of the workload that it is judged on",
        "It changes the point while the workload runs, to what `damoos bench --best` found to be best for each part of "
        "its phases: about what steering can gain at all. No fair competitor, since it knows what comes.",
    ),
}
_JUDGED = "the workloads that it is judged on, which makes it a mark and no competitor"


@dataclass(frozen=True)
class Answers:
    """What is known of a task in advance; None: nothing."""

    static: Point | None = None
    schedule: Schedule | None = None


UNKNOWN = Answers()


def check_known(name: str) -> None:
    """Raises InputError if there is neither such a mark nor such a strategy; loads nothing."""
    if name not in _TEXTS:
        check_strategy(name)


def find_known(name: str, answers: Answers = UNKNOWN) -> Strategy:
    """The strategy of that name, a mark with the `answers` to a task. Raises InputError as `find_strategy`."""
    if name not in _TEXTS:
        return find_strategy(name)
    title, text = _TEXTS[name]
    point = dict(answers.static or ()) if name == STATIC else None

    def propose(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
        return ask.space.defaults() if point is None else point

    return Strategy(
        name=name,
        title=title,
        text=text,
        source="an exhaustive search on the simulator",
        make_sampler=sampler_of(propose),
        repeats="it is one point" if name == STATIC else "it steers",
        learned_from=(_JUDGED,),
        steering=answers.schedule if name == PHASES else None,
    )
