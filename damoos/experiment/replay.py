"""Tables of measured points as tasks: no backend runs, a trial is a look at what was measured there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from damoos.errors import ConfigError, InputError
from damoos.tune.fidelity import Fidelity
from damoos.tune.preset import Env
from damoos.tune.space import Parameter, Space, Values
from damoos.tune.strategies.base import Strategy

from .table import Column, Table, read_tables
from .task import Measured

VIOLATION = -20.0
"""A score that is not above this one broke the limit, and is worth this much: DAMOOS gives -1000 above 20 % of runtime
overhead, which would drown all else in a mean."""


@dataclass(frozen=True)
class ReplayTask:
    """A table as a task. A point between those that were measured is the nearest of them, in the space's coordinates.

    `points` [m, d]: the coordinates of the different points; `scores`: what was measured at each of them. One that was
    measured several times gives one of its scores at random, and is worth their mean.
    """

    name: str
    space: Space
    points: NDArray[np.float64]
    scores: tuple[tuple[float, ...], ...]
    repeats: int = 1

    @property
    def best(self) -> float:
        """The highest worth of a point."""
        return max(_worth(scores) for scores in self.scores)

    def under(self, strategy: Strategy) -> Self:
        """The same; a strategy with kdamonds of its own is refused."""
        strategy.check(self.space)
        if strategy.brings is not None:
            raise InputError(
                f"brings kdamonds of its own, and only those of {self.name} were measured",
                field=f"strategy {strategy.name}",
                allowed="an env and a workload instead of a replay",
            )
        return self

    def at(self, fidelity: Fidelity) -> tuple[Self, float]:
        """The same: what was measured was whole."""
        return self, 1.0

    def baseline(self, seed: int) -> None:
        """None: scores are against runs that somebody made before."""

    def measure(self, values: Values, seed: int, number: int) -> Measured:
        """One of the scores at the nearest point."""
        nearest = self._nearest(values)
        scores = self.scores[nearest]
        drawn = 0 if len(scores) == 1 else int(np.random.default_rng([seed, number]).integers(len(scores)))
        score = max(scores[drawn], VIOLATION)
        return Measured(score, 1.0 if score <= VIOLATION else -1.0)

    def subject(self, seed: int) -> None:
        """Nothing: what was measured can't be watched."""

    def judge(self, values: Values) -> float:
        """The mean of the scores at the nearest point."""
        return _worth(self.scores[self._nearest(values)])

    def trade(self, values: Values) -> None:
        """None: a score doesn't say what it is made of."""

    def _nearest(self, values: Values) -> int:
        return int(np.argmin(((self.points - self.space.encode(values)) ** 2).sum(axis=1)))


def read_replay(path: Path, env: Env) -> tuple[ReplayTask, ...]:
    """The landscapes of a file (see `table`); `env` says where their parameters go. Raises ConfigError."""
    try:
        return tuple(_task(table, env) for table in read_tables(path))
    except ConfigError as error:
        raise error.at(file=path) from None


def _task(table: Table, env: Env) -> ReplayTask:
    space = Space(tuple(_parameter(table, column, env) for column in table.columns), env.space.base)
    rows: dict[tuple[float, ...], list[float]] = {}
    stacked = np.column_stack([column.values for column in table.columns])
    for row, score in zip(stacked.tolist(), table.scores.tolist(), strict=True):
        point = space.encode({p.name: value for p, value in zip(space.parameters, row, strict=True)})
        rows.setdefault(tuple(point.tolist()), []).append(score)
    return ReplayTask(table.name, space, np.array(list(rows)), tuple(tuple(scores) for scores in rows.values()))


def _parameter(table: Table, column: Column, env: Env) -> Parameter:
    known = {parameter.name: parameter for parameter in env.space.parameters if parameter.kind == column.kind}
    where = f"{table.name}.{column.name}"
    if column.name not in known:
        allowed = ", ".join(known) or f"none: env {env.name} has no {column.kind}"
        raise ConfigError(f"not a {column.kind} of env {env.name}", field=where, value=column.name, allowed=allowed)
    model, levels = known[column.name], np.unique(column.values)
    if len(levels) < 2:
        raise ConfigError("has only one value", field=where, value=float(levels[0]), allowed="two and more")
    gaps = np.diff(levels)
    step = float(gaps[0]) if np.allclose(gaps, gaps[0], rtol=1e-9) else None
    log = step is None and model.scale == "log" and levels[0] > 0
    assert isinstance(model.default, int | float)
    nearest = float(levels[np.argmin(np.abs(levels - model.default))])
    whole = column.kind != "percent"
    return dataclasses.replace(
        model,
        low=float(levels[0]),
        high=float(levels[-1]),
        default=int(nearest) if whole else nearest,
        scale="log" if log else "linear",
        step=step,
        when=None,
    )


def _worth(scores: tuple[float, ...]) -> float:
    return sum(max(score, VIOLATION) for score in scores) / len(scores)
