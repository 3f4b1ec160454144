"""What the strategies that begin with short runs have in common: who goes on to a longer one, and where new points come
from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler

from ..fidelity import Ladder
from ..space import Value
from .base import Ask, fresh
from .cube import ask_point, cube_study
from .seen import Seen


def propose_on(ladder: Ladder, ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """The best point of the rung below that has not gone on yet; where the bracket begins, or nothing is known of the
    rung below, a new one. Trial 0 is the default."""
    if ask.number == 0:
        return fresh(ask, seen, [ask.space.encode(ask.space.defaults())])
    slot = ladder.slot(ask.number)
    gone_on = [trial.values for trial in seen if trial.number in slot.beside]
    below = [trial for trial in seen if trial.number in slot.below and trial.score is not None]
    for trial in sorted(below, key=_loss):
        if trial.values not in gone_on:
            return dict(trial.values)
    return _new(ladder, ask, seen)


def _loss(trial: Seen) -> tuple[float, float, int]:
    # Those that break the limit follow the others, by how much they do.
    return max(trial.excess, 0.0), -(trial.score or 0.0), trial.number


def _new(ladder: Ladder, ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    """By a Parzen estimator of the most faithful rung that knows enough points; at random before."""
    by_rung: list[list[Seen]] = [[] for _ in ladder.rungs]
    for trial in seen:
        if trial.score is not None:
            by_rung[ladder.slot(trial.number).rung if trial.number else -1].append(trial)
    known = next((trials for trials in reversed(by_rung) if len(trials) > ask.space.dimensions), None)
    if known is None:
        return fresh(ask, seen, [])
    study = cube_study(ask.space, ((trial, (trial.score or 0.0,), trial.excess) for trial in known))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.sampler = TPESampler(n_startup_trials=0, multivariate=True, seed=ask.sampler_seed)
    return fresh(ask, seen, [ask_point(ask.space, study)])
