"""How compiled code holds a run's arrays: by one reference.

Passing the named tuple itself would pass every array's descriptor by value at every call; with some fifty arrays that
made compilation three times and a run eight times slower (numba 0.68).
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.experimental import structref

from .jit import entry
from .state import State


@structref.register
class _HandleType(types.StructRef):
    def preprocess_fields(self, fields: Any) -> Any:
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class Handle(structref.StructRefProxy):
    """A reference to the arrays of a `State`, with the same field names; made by `handle_of`."""


structref.define_proxy(Handle, _HandleType, list(State._fields))


@entry
def handle_of(state):
    """The handle of a state's arrays; valid while that state's arrays are."""
    return Handle(*state)
