"""How many runs a study spends on being sure, by what a run costs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Counts. `repeats`: runs of a trial; `finalists`: trials in one of at most `rounds` rounds of the final, each run
    `final_seeds` times; `verify_seeds`: runs of each of what is compared in the end."""

    repeats: int
    finalists: int
    rounds: int
    final_seeds: int
    verify_seeds: int

    @property
    def text(self) -> str:
        """What comes after the search, in words."""
        return (
            f"{self.finalists} finalists of {self.final_seeds} runs in at most {self.rounds} rounds, "
            f"{self.verify_seeds} runs of verification"
        )


SIMULATED = Effort(repeats=3, finalists=5, rounds=4, final_seeds=6, verify_seeds=10)
"""Where a run takes milliseconds."""
REAL = Effort(repeats=2, finalists=3, rounds=2, final_seeds=3, verify_seeds=5)
"""Where a run takes as long as the workload, and the machine has noise of its own."""
VIRTUAL = dataclasses.replace(REAL, repeats=1, final_seeds=4, verify_seeds=4)
"""Where it takes as long, but only DAMON's own chance makes one run differ from the next, and two go side by side."""

_BY_TIME = {"simulated": SIMULATED, "virtual": VIRTUAL, "real": REAL}


def effort_for(time_kind: str) -> Effort:
    """The effort for a backend of that kind of time."""
    return _BY_TIME[time_kind]
