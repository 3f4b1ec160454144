from __future__ import annotations

import numpy as np
import pytest

from damoos.report.heatmap import Heatmap, expected_map, terminal_lines
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region

MIB = 2**20


def drawing(workload: MasimWorkload, columns: int, rows: int) -> list[str]:
    return [line.plain.rstrip() for line in terminal_lines(expected_map(workload, 60_000, columns=columns, rows=rows))]


def test_a_small_region_gets_a_row_of_its_own() -> None:
    regions = (Region("tiny", 4096), Region("large", 64 * MIB))
    phases = (
        Phase("one", 5000, (Pattern("tiny", False, 64, 1),)),
        Phase("two", 5000, (Pattern("large", False, 4096, 1),)),
    )
    assert drawing(MasimWorkload("w", regions, phases), 20, 3) == [
        " tiny 4.00 KiB │@@@@@@@@@@",
        "large 64.0 MiB │          @@@@@@@@@@",
        "               │          @@@@@@@@@@",
        "               │          @@@@@@@@@@",
        "               └────────────────────",
        "                0 s       5       10",
        "                . >0  : >0.3 %  - >1 %  = >3 %  + >10 %  # >30 %  @ >70 %",
    ]


def test_levels_are_told_apart_with_and_without_colour() -> None:
    heat = np.array([0.0, 0.001, 0.005, 0.02, 0.05, 0.2, 0.5, 1.0])[:, None]
    heatmap = Heatmap(heat, np.arange(9.0), ("x",))
    plain, coloured = terminal_lines(heatmap)[0], terminal_lines(heatmap, colour=True)[0]
    assert plain.plain == "x │ .:-=+#@"
    assert coloured.plain == "x │        "
    assert len({str(span.style) for span in coloured.spans}) == 7


def test_ascii_is_enough() -> None:
    heatmap = Heatmap(np.ones((30, 2)), np.linspace(0, 3, 31), ("x", ""))
    assert "".join(line.plain for line in terminal_lines(heatmap, unicode=False)).isascii()


@pytest.mark.parametrize(
    ("seconds", "axis"),
    [
        (0.0, "0 s"),
        (0.05, "0 s     0.01    0.02    0.03    0.04"),
        (59.0, "0 s           20           40"),
        (60.0, "0 s          20            40         60"),
        (3600.0, "0 s                 1800            3600"),
        (1e6, "0 s                                1e+06"),
    ],
)
def test_times_are_round_and_have_room(seconds: float, axis: str) -> None:
    heatmap = Heatmap(np.zeros((40, 1)), np.linspace(0, seconds, 41), ("x",))
    assert terminal_lines(heatmap)[2].plain.strip() == axis
