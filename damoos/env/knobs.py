"""Which parameters of a preset an agent has in its hands, and its actions as their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.errors import InputError
from damoos.tune.space import Space, Value, Values
from damoos.tune.space_many import Decoder

Action = NDArray[np.floating[Any]]


class Knobs:
    """The parameters `controls` of a space, in the space's order; None: all. Others stay at their default.

    An action is [dimensions] in [-1, 1], the space's [0, 1] of each parameter. Raises InputError for unknown names.
    """

    def __init__(self, space: Space, controls: Sequence[str] | None = None) -> None:
        names = [parameter.name for parameter in space.parameters]
        chosen = names if controls is None else list(controls)
        unknown = [name for name in chosen if name not in names]
        if unknown or not chosen:
            raise InputError(
                "not among the parameters", field="controls", value=", ".join(unknown), allowed=", ".join(names)
            )
        self.space = space
        self.names = tuple(name for name in names if name in chosen)
        self._at = [i for i, name in enumerate(names) if name in chosen]
        self._default = space.encode(space.defaults())
        self._decoder = Decoder(space, self._default, self._at)

    @property
    def dimensions(self) -> int:
        """Numbers of an action."""
        return len(self._at)

    def values(self, action: Action) -> dict[str, Value]:
        """The values of all active parameters at an action; outside of [-1, 1] is clipped."""
        point = self._default.copy()
        point[self._at] = _coordinates(action)
        return self.space.decode(point)

    def many(self, actions: Action) -> NDArray[np.float64]:
        """As `values`, of actions [n, dimensions], in the form of `decode_many`: float64 [n, space.dimensions]."""
        return self._decoder(_coordinates(actions))

    def action(self, values: Values) -> NDArray[np.float64]:
        """An action that gives `values`, but for parameters that are not among the controls."""
        return 2.0 * self.space.encode(values)[self._at] - 1.0


def _coordinates(actions: Action) -> NDArray[np.float64]:
    return (np.asarray(actions, np.float64) + 1.0) / 2.0
