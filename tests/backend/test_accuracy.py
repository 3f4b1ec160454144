"""What DAMON took to be in use against what was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.backend.accuracy import hot_set_percent
from damoos.backend.result import PhaseResult
from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.snapshot import Snapshot
from damoos.sim.backend import open_sim
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.processes import ProcessesWorkload

MIB = 2**20
BASE = 0x7000_0000_0000
WORKLOAD = MasimWorkload(
    "halves",
    (Region("a", 8 * MIB), Region("b", 8 * MIB)),
    (Phase("first", 1000, (Pattern("a", False, 4096, 1),)), Phase("second", 1000, (Pattern("b", False, 4096, 1),))),
)
PLACED = (("a", BASE, BASE + 8 * MIB), ("b", BASE + 8 * MIB, BASE + 16 * MIB))
# The second phase took twice its nominal time.
PHASES = (PhaseResult("first", 1000, 1000, 60_000_000), PhaseResult("second", 1000, 2000, 60_000_000))


def look(t_s: float, borders_mib: list[int], accesses: list[int]) -> Snapshot:
    edges = BASE + np.array(borders_mib, np.int64) * MIB
    zeros = np.zeros(len(accesses), np.int64)
    return Snapshot(t_s, edges[:-1], edges[1:], np.array(accesses, np.int64), zeros, 5_000, 100_000)


def percent(*snapshots: Snapshot) -> float | None:
    return hot_set_percent(WORKLOAD, PLACED, PHASES, 3.0, snapshots)


def test_who_is_always_right_has_found_everything() -> None:
    assert percent(look(0.0, [0, 8, 16], [20, 0]), look(1.0, [0, 8, 16], [0, 20])) == pytest.approx(100)


def test_what_is_known_too_late_is_missed_and_wrong_meanwhile() -> None:
    # Of the second phase's nominal second half a second has passed at 2 s: 1.5 right, 0.5 wrong, 0.5 missed.
    late = percent(look(0.0, [0, 8, 16], [20, 0]), look(2.0, [0, 8, 16], [0, 20]))
    assert late == pytest.approx(100 * 3 / (3 + 0.5 + 0.5))


def test_a_region_that_is_too_large_is_half_wrong() -> None:
    assert percent(look(0.0, [0, 16], [20])) == pytest.approx(100 * 2 / (2 + 1))


def test_memory_that_no_region_covers_is_not_known() -> None:
    assert percent(look(0.0, [8, 16], [0])) == 0
    assert percent(look(0.0, [4, 16], [20])) == pytest.approx(100 * 2 * 12 / (2 * 12 + 12 + 4))


def test_without_a_look_nothing_is_said() -> None:
    assert percent() is None


def test_more_regions_know_more_on_the_simulator() -> None:
    regions = tuple(Region(f"r{i}", MIB) for i in range(64))
    hot = tuple(Pattern(region.name, False, 4096, 1) for region in regions[::4])
    first = Phase("all", 200, tuple(Pattern(region.name, False, 4096, 1) for region in regions))
    comb = MasimWorkload("comb", regions, (first, Phase("some", 6_000, hot)))
    found = []
    for least in (10, 300):
        backend = open_sim("nvme-swap")
        looks = []
        with backend.start(comb, Kdamonds.of(Intervals(), NrRegions(least, 1000)), 1) as session:
            while not session.done:
                session.advance(0.5)
                if not session.done:
                    looks.append(session.snapshot())
            result, placed = session.finish(), session.placed()
        known = hot_set_percent(comb, placed, result.phases, result.runtime_s, looks)
        assert known is not None
        found.append(known)
    assert 20 < found[0] < found[1] <= 100


def test_of_several_processes_each_is_known_by_its_target() -> None:
    def program(name: str, seconds: int, hot: int) -> MasimWorkload:
        regions = (Region("hot", hot * MIB), Region("cold", 48 * MIB))
        first = Phase("all", 200, tuple(Pattern(region.name, False, 4096, 1) for region in regions))
        return MasimWorkload(name, regions, (first, Phase("some", seconds * 1000, (Pattern("hot", False, 4096, 1),))))

    both = ProcessesWorkload("both", (program("long", 8, 16), program("short", 3, 32)))
    looks = []
    with open_sim("nvme-swap").start(both, Kdamonds.of(), 1) as session:
        while not session.done:
            session.advance(0.5)
            if not session.done:
                looks.append(session.snapshot())
        result, placed = session.finish(), session.placed()
    assert [name for name, _, _ in placed] == ["hot", "cold"] * 2
    known = hot_set_percent(both, placed, result.phases, result.runtime_s, looks)
    assert known is not None and known > 75
    # Taken for each other's, they are known much worse.
    swapped = [dataclasses.replace(look, target=1 - look.target) for look in looks]
    wrong = hot_set_percent(both, placed, result.phases, result.runtime_s, swapped)
    assert wrong is not None and wrong < known - 15
