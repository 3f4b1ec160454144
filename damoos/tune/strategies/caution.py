"""Which way is more cautious: what is known of the shape of all such landscapes.

Page-out saves more and costs more the sooner it comes. So along a parameter that says how soon, the runtime limit is
broken on one side of a border, and beyond it the benefit falls. `Lead` is that parameter, on an axis from the most
aggressive end (0) to the most cautious one (1).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from damoos.damon.schemes import Action

from ..space import Parameter, Space, Value, Values

# Most telling first; +1: a larger value is more cautious.
_DIRECTIONS: tuple[tuple[str, int], ...] = (
    ("access_pattern.age.min", 1),
    ("access_pattern.nr_accesses.max", -1),
    ("quotas.bytes", -1),
    ("quotas.ms", -1),
    ("access_pattern.sz.min", 1),
)
_COLD = (Action.PAGEOUT, Action.COLD, Action.LRU_DEPRIO, Action.MIGRATE_COLD)
"""Actions on what is not used: the sooner, the more of it is wanted back."""
_SCHEME = re.compile(r"schemes\[(\d+)\]")
_FINEST = 1 / 60
"""On a linear scale: the share of the range that is as far from the aggressive end as a factor of two is farther on."""


@dataclass(frozen=True)
class Lead:
    """The parameter number `index` of the space, and whether larger values are more cautious (`sign` 1) or less (-1).

    The axis is logarithmic in the distance from the aggressive end, since ages, sizes and quotas act by ratio.
    """

    parameter: Parameter
    index: int
    sign: int

    def position(self, value: Value) -> float:
        """Where on the axis a value is, 0 to 1."""
        u = self.parameter.coordinate(value)
        u = u if self.sign > 0 else 1.0 - u
        if self.parameter.scale == "log":
            return u
        return math.log1p(u / self._finest) / math.log1p(1.0 / self._finest)

    def coordinate(self, position: float) -> float:
        """The space's coordinate of a position on the axis."""
        u = min(max(position, 0.0), 1.0)
        if self.parameter.scale != "log":
            u = self._finest * math.expm1(u * math.log1p(1.0 / self._finest))
        return u if self.sign > 0 else 1.0 - u

    @property
    def _finest(self) -> float:
        parameter = self.parameter
        return _FINEST if parameter.step is None else parameter.step / (parameter.high - parameter.low)


def lead_of(space: Space) -> Lead | None:
    """The parameter along which caution is best known; None if no scheme for unused memory has one that always
    counts."""
    for ending, sign in _DIRECTIONS:
        for index, parameter in enumerate(space.parameters):
            if parameter.place.endswith(ending) and parameter.kind != "choice" and parameter.when is None:
                scheme = _SCHEME.match(parameter.place)
                if scheme is not None and space.base.context.schemes[int(scheme[1])].action in _COLD:
                    return Lead(parameter, index, sign)
    return None


def to_point(space: Space, lead: Lead | None, values: Values) -> NDArray[np.float64]:
    """The point [d] of values, with the lead's position on its axis in place of its coordinate."""
    point = space.encode(values)
    if lead is not None:
        point[lead.index] = lead.position(values[lead.parameter.name])
    return point


def from_point(lead: Lead | None, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [..., d] as the space decodes them, of points as `to_point` makes them."""
    if lead is None:
        return point
    plain = point.copy()
    plain[..., lead.index] = np.vectorize(lead.coordinate, otypes=[np.float64])(point[..., lead.index])
    return plain
