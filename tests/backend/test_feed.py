"""What is fed to goals while a run goes on."""

import numpy as np
import pytest

from damoos.backend.feed import SIGNALS, SWAP_IN_S
from damoos.backend.result import Samples


def samples(t_s: float, resident: int, swapped: int, faults: int) -> Samples:
    none = np.zeros(1, np.int64)
    memory = np.array([resident]), np.array([swapped])
    return Samples(np.array([t_s]), *memory, np.array([faults]), none, none, np.zeros(1), none)


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("swap_kb", 300.0),
        # 2,500 more faults in half a second.
        ("major_faults_per_s", 5_000.0),
        # 75 % of the memory is out, and swap-ins take a tenth of the time: half of 75 - 10 points.
        ("score", 100 * 0.5 * (75.0 - 100 * 5_000.0 * SWAP_IN_S)),
    ],
)
def test_signals_are_of_the_moment(signal: str, expected: float) -> None:
    now = samples(2.0, 100 << 10, 300 << 10, 3_000)
    assert SIGNALS[signal](now, 1.5, 500) == pytest.approx(expected)
