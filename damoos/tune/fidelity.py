"""Short runs first: how much of a workload a trial runs and how often, and who goes on to more.

A part of a masim workload is its beginning, at its own pace: the phases up to a share of its time. Ages and intervals
mean there what they mean in the whole; in one whose phases are all shortened they don't, and short parts rank points by
what they save before anything has grown old (measured: docs/strategies.md). What is only watched is watched for a part
of the time. A command can't be cut, since nothing says how far it is: all its runs are whole.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from damoos.backend.base import Workload
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload
from damoos.workload.masim import MasimWorkload, Phase
from damoos.workload.processes import AnyMasim, ProcessesWorkload


@dataclass(frozen=True)
class Fidelity:
    """How faithful a trial is: a `share` of the workload's time, 0..1, run once or `often`, as often as the study's
    trials are."""

    share: float = 1.0
    often: bool = True


WHOLE = Fidelity()


@dataclass(frozen=True)
class Slot:
    """The place of a trial in a ladder: its rung, from 0; numbers of the trials of its bracket on the rung below (none
    where the bracket begins) and before it on this one."""

    rung: int
    below: range
    beside: range


@dataclass(frozen=True)
class Ladder:
    """Successive halving: `rungs` from the least faithful up to `WHOLE`; `brackets`, which follow each other over and
    over, each (its first rung, how many points it has there, how many of them go on to the next rung, …).

    Trial 0 is not on the ladder: it is the default, and whole.
    """

    rungs: tuple[Fidelity, ...]
    brackets: tuple[tuple[int, tuple[int, ...]], ...]

    def slot(self, number: int) -> Slot:
        """The place of trial `number`, from 1."""
        size = sum(sum(counts) for _, counts in self.brackets)
        begin = 1 + (number - 1) // size * size
        for first, counts in self.brackets:
            below = range(begin, begin)
            for rung, count in enumerate(counts, first):
                if number < begin + count:
                    return Slot(rung, below, range(begin, number))
                below, begin = range(begin, begin + count), begin + count
        raise AssertionError("the brackets make up the cycle")

    def fidelity(self, number: int) -> Fidelity:
        """How faithful trial `number` is."""
        return self.rungs[self.slot(number).rung] if number else WHOLE


def share_of(workload: Workload, fidelity: Fidelity) -> float:
    """The share of the workload that a run of that fidelity is: 1 of a command, whatever is asked."""
    return 1.0 if isinstance(workload, CommandWorkload) else fidelity.share


def part_of(workload: Workload, share: float) -> Workload:
    """The beginning of the workload: `share` of its nominal time, 0 < share <= 1; all of a command."""
    if share >= 1.0 or isinstance(workload, CommandWorkload):
        return workload
    if isinstance(workload, AttachedWorkload):
        return dataclasses.replace(workload, duration_s=workload.duration_s * share)
    return _beginning(workload, share)


def _beginning(workload: AnyMasim, share: float) -> AnyMasim:
    ms = max(round(workload.duration_ms * share), 1)
    if isinstance(workload, ProcessesWorkload):
        return dataclasses.replace(workload, processes=tuple(_first(process, ms) for process in workload.processes))
    return _first(workload, ms)


def _first(workload: MasimWorkload, ms: int) -> MasimWorkload:
    left_ms, phases = ms, list[Phase]()
    for phase in workload.phases:
        if left_ms > 0:
            phases.append(dataclasses.replace(phase, ms=min(phase.ms, left_ms)))
        left_ms -= phase.ms
    return dataclasses.replace(workload, phases=tuple(phases))
