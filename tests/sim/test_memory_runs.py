"""Whole runs with huge pages, nodes, physical memory and a limit: looking changes nothing, and commits take effect."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.schemes import AccessPattern, Action, Scheme
from damoos.sim.backend import SimBackend
from damoos.sim.machine import Node
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import machine

WORKLOAD = MasimWorkload(
    "turns",
    (Region("a", 32 << 20), Region("b", 48 << 20)),
    tuple(Phase(f"{turn}", 900, (Pattern("ab"[turn % 2], turn % 3 > 0, 4096, 1),)) for turn in range(5)),
)
HOT = AccessPattern.of(access=("5 samples", "max"), age=("200 ms", "max"))
COLD = AccessPattern.of(access=("0 samples", "0 samples"), age=("300 ms", "max"))
NODES = (Node(memory_bytes=40 << 20), Node(random_factor=2.0, sequential_factor=1.5))

CASES = {
    "huge": (machine(thp="always", huge_random_gain=0.2), Context(schemes=(Scheme(Action.PAGEOUT, COLD),)), False),
    "collapse": (machine(thp="madvise", huge_random_gain=0.2), Context(schemes=(Scheme(Action.COLLAPSE, HOT),)), True),
    "tiers": (
        machine(nodes=NODES),
        Context(
            schemes=(
                Scheme(Action.MIGRATE_COLD, COLD, target_nid=1),
                Scheme(Action.MIGRATE_HOT, HOT, target_nid=0),
            )
        ),
        True,
    ),
    "physical": (
        machine(memory_bytes=256 << 20),
        Context(ops="paddr", schemes=(Scheme(Action.PAGEOUT, COLD), Scheme(Action.LRU_PRIO, HOT))),
        True,
    ),
    "limit": (machine(limit_bytes=60 << 20, lru_noise=0.3), Context(schemes=(Scheme(Action.STAT, COLD),)), True),
}


@pytest.mark.parametrize("name", CASES)
def test_looking_in_between_changes_nothing(name: str) -> None:
    of, context, prefault = CASES[name]
    backend = SimBackend(of, Pace(prefault=prefault))
    value = Kdamonds((Kdamond((context,)),))
    with backend.start(WORKLOAD, value, 7) as session:
        straight = session.finish()
    with backend.start(WORKLOAD, value, 7) as session:
        while not session.done:
            session.advance(0.13)
            session.snapshot()
        watched = session.finish()
    assert watched.runtime_s == straight.runtime_s
    assert watched.scheme_stats == straight.scheme_stats
    for field in dataclasses.fields(straight.samples):
        assert np.array_equal(getattr(watched.samples, field.name), getattr(straight.samples, field.name)), field.name
    again = backend.start(WORKLOAD, value, 8).finish()
    assert again.runtime_s != straight.runtime_s


def test_an_action_on_huge_pages_can_be_committed_later() -> None:
    context = Context(schemes=(Scheme(Action.STAT, HOT),))
    value = Kdamonds((Kdamond((context,)),))
    with SimBackend(machine(thp="madvise"), Pace(prefault=True)).start(WORKLOAD, value, 1) as session:
        before = session.advance(1.0)
        session.commit(value.with_context(dataclasses.replace(context, schemes=(Scheme(Action.COLLAPSE, HOT),))))
        after = session.advance(1.0)
    assert before.huge_bytes.max() == 0 and after.huge_bytes[-1] > 10 << 20
