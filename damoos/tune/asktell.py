"""Asking a strategy for a point and telling it what came of it, on an Optuna study that is kept elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

    from .space import Space, Value, Values

CONSTRAINT = "runtime_overhead"


def new_study(objectives: int = 1) -> optuna.Study:
    """A study in memory, all of whose `objectives` are maximised."""
    import optuna

    # Optuna reports each trial by itself, and the same again as progress of ours would be noise.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=["maximize"] * objectives)


def ask(
    study: optuna.Study, sampler: BaseSampler, space: Space, fixed: Values | None = None
) -> tuple[optuna.Trial, dict[str, Value]]:
    """The study's next trial and the values of its active parameters on the space's grid: `fixed`, or what `sampler`
    thinks of the others."""
    if fixed is not None:
        study.enqueue_trial(dict(fixed))
    study.sampler = sampler
    trial = study.ask()
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if not space.active(parameter, values):
            continue
        if parameter.kind == "choice":
            chosen = trial.suggest_categorical(parameter.name, parameter.choices)
            assert chosen is not None
            values[parameter.name] = chosen
            continue
        log = parameter.scale == "log"
        low, high, step = parameter.low, parameter.high, parameter.step
        if parameter.kind == "percent":
            raw: float = trial.suggest_float(parameter.name, low, high, log=log, step=step)
        else:
            raw = trial.suggest_int(parameter.name, int(low), int(high), log=log, step=int(step or 1))
        values[parameter.name] = parameter.snap(raw)
    return trial, values


def tell(study: optuna.Study, trial: optuna.Trial, values: Sequence[float], excess_percent: float | None) -> None:
    """Ends the trial with what its objectives came to. `excess_percent`: by how much it passes the objective's limit,
    None if it failed; then `values` don't matter."""
    from optuna.trial import TrialState

    if excess_percent is None:
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.set_constraint(CONSTRAINT, excess_percent)
        study.tell(trial, list(values))


def tell_stopped(study: optuna.Study, trial: optuna.Trial, value: float | None, excess_percent: float) -> None:
    """Ends a trial that was not run to its end, as a pruned one. `value`: what its one objective was, or would be at
    the most, None if nothing says; `excess_percent`: by how much it passes the limit at the least."""
    from optuna.trial import TrialState

    trial.set_constraint(CONSTRAINT, excess_percent)
    if value is not None:
        trial.report(value, 0)
    study.tell(trial, state=TrialState.PRUNED)
