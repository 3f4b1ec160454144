"""The trials before, as strategies that think in points see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..space import Space, Value

if TYPE_CHECKING:
    from optuna import Study

State = Literal["complete", "stopped", "failed", "running"]
RECORD = "damoos:trial"
"""User attribute of an Optuna trial: all that was measured, a `damoos.tune.outcome.Trial` as plain values."""


_STATES: Mapping[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "stopped",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "running",
}


@dataclass(frozen=True)
class Seen:
    """A trial. `score`: larger is better, None if it failed or still runs; `excess`: by how much it passes the limit,
    feasible where not above 0. Of one that was stopped early both are bounds: its score is not higher (None if nothing
    says), its excess not lower. `rss_overhead_percent`: None where nothing measured it. `scores`: one an objective.
    `swapped_in`, `swapped_out`: bytes, the sum of its runs; None as above."""

    number: int
    values: dict[str, Value]
    score: float | None
    excess: float
    state: State
    rss_overhead_percent: float | None = None
    scores: tuple[float, ...] = ()
    swapped_in: int | None = None
    swapped_out: int | None = None

    @property
    def feasible(self) -> bool:
        """Whether it ran and kept the limit."""
        return self.score is not None and self.excess <= 0


def seen_trials(space: Space, study: Study, before: int) -> tuple[Seen, ...]:
    """The trials of `study` with a number below `before`, in order; their values as the space snaps them."""
    known = {parameter.name: parameter for parameter in space.parameters}
    found = []
    for trial in study.get_trials(deepcopy=False)[:before]:
        values = {
            name: value if known[name].kind == "choice" else known[name].snap(value)
            for name, value in trial.params.items()
        }
        state = _STATES[trial.state.name]
        told = state in ("complete", "stopped")
        scores = tuple(trial.values) if told and trial.values else ()
        record = trial.user_attrs.get(RECORD, {})
        found.append(
            Seen(
                number=trial.number,
                values=values,
                score=scores[0] if scores else None,
                excess=max(trial.constraints.values(), default=0.0) if told else np.inf,
                state=state,
                scores=scores,
                rss_overhead_percent=record.get("rss_overhead_percent"),
                swapped_in=_sum(record, "swap_in_bytes"),
                swapped_out=_sum(record, "swap_out_bytes"),
            )
        )
    return tuple(found)


def _sum(record: Mapping[str, Any], name: str) -> int | None:
    runs = [repeat["run"] for repeat in record.get("repeats", ())]
    return sum(run[name] for run in runs) if runs else None


def best(seen: Iterable[Seen]) -> Seen | None:
    """The feasible trial with the highest score, of equal ones the first; none that was stopped."""
    return max(
        (trial for trial in seen if trial.feasible and trial.state == "complete"),
        key=lambda trial: trial.score or 0.0,
        default=None,
    )


def penalised(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """A score for each trial, whatever became of it: one that broke the limit or failed gets the lowest score of those
    that did not, less its excess over the limit (DAMOOS 2021 gives it the lowest score alone)."""
    kept = [trial.score for trial in seen if trial.feasible and trial.score is not None]
    floor = min(kept, default=0.0)
    worst = max((trial.excess for trial in seen if np.isfinite(trial.excess)), default=0.0)
    return np.array(
        [
            trial.score
            if trial.feasible and trial.score is not None
            else floor - max(trial.excess if np.isfinite(trial.excess) else worst, 0.0)
            for trial in seen
        ],
        dtype=np.float64,
    )
