from __future__ import annotations

import pytest

from damoos.sim.layout import lay_out, three_ranges
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        ([(10, 20), (20, 25), (200, 210), (210, 220), (300, 305), (307, 330)], [(10, 25), (200, 220), (300, 330)]),
        ([(0, 1), (5, 6), (20, 21), (30, 31)], [(0, 6), (20, 21), (30, 31)]),
        ([(0, 1), (11, 12), (22, 23), (33, 34)], [(0, 1), (11, 12), (22, 34)]),  # equal gaps: the first ones stay
        ([(0, 10), (20, 30)], []),
    ],
)
def test_three_ranges_lie_around_the_two_largest_gaps(mapped, expected) -> None:
    assert three_ranges(mapped) == expected


def test_first_region_lies_highest_and_pages_are_rounded_up() -> None:
    workload = MasimWorkload(
        "w", (Region("a", 4097), Region("b", 4096 * 5)), (Phase("p", 10, (Pattern("a", False, 64, 1),)),)
    )
    layout = lay_out(workload)
    a, b = (layout.areas[i] for i in layout.region_area)
    assert (b.start, b.end, a.start, a.end) == (0, 5, 5, 7)
    assert layout.mapped[1] == ("[workload]", 0, 7)
    assert [x.start for x in layout.areas] == sorted(x.start for x in layout.areas)
    for left, right in zip(layout.areas, layout.areas[1:], strict=False):
        assert left.end <= right.start


@pytest.mark.parametrize("phases", [1, 2, 9, 40, 300])
def test_pages_of_phases_follow_each_other(phases: int) -> None:
    workload = MasimWorkload(
        "w", (Region("a", 1 << 20),), tuple(Phase(f"p{i}", 10, (Pattern("a", False, 64, 1),)) for i in range(phases))
    )
    pages = [a for a in lay_out(workload).areas if a.name == "[phases]"]
    assert 1 <= len(pages) <= 8
    assert (pages[0].first_phase, pages[-1].last_phase) == (0, phases - 1)
    for left, right in zip(pages, pages[1:], strict=False):
        assert (left.end <= right.start) and (left.last_phase + 1 == right.first_phase)


def test_what_kdamond_sees_of_an_interpreter() -> None:
    workload = MasimWorkload("w", (Region("r", 1 << 20),), (Phase("p", 1, (Pattern("r", False, 4096, 1),)),))
    small, large = lay_out(workload), lay_out(workload, 350, 175)
    (extra,) = (area for area in large.areas if area.name == "[interpreter]")
    assert (extra.end - extra.start, extra.hot_pages) == (350, 175)
    (program,), (before,) = ([m for m in layout.mapped if m[0] == "[program]"] for layout in (large, small))
    assert program == (before[0], before[1], before[2] + 350) and extra.end == program[2]
    assert large.base_address == small.base_address
