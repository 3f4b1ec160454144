"""One block of memory for all arrays of a run, and the table by which compiled code finds them.

The block follows from the declaration of `State`: a field's annotation names its dtype and its shape, in numbers or in
sizes of the run (`A` areas, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

_ALIGN = 64
_ENTRIES = 3
"""Numbers that the table has for a field: its address and its shape."""
TABLE = "numbers of the table"
"""The table's own size, in its shape."""


class Field(NamedTuple):
    """How a field is declared; `entry` is its first number in the table."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]
    entry: int


def declared(state: type) -> tuple[Field, ...]:
    """The fields of a class like `State`, whose annotations are Annotated[NDArray[dtype], size, ...]."""
    fields = []
    for i, (name, hint) in enumerate(get_type_hints(state, include_extras=True).items()):
        array, *shape = get_args(hint)
        dtype = np.dtype(get_args(get_args(array)[1])[0])
        fields.append(Field(name, dtype, tuple(shape), i * _ENTRIES))
    return tuple(fields)


class Plan(NamedTuple):
    """Where the fields are for given sizes: (dtype, shape, offset in bytes) each."""

    places: tuple[tuple[np.dtype[Any], tuple[int, ...], int], ...]
    n_bytes: int
    table: np.ndarray  # int64 [_ENTRIES * fields] with offsets for addresses
    addresses: np.ndarray  # int64, which of these are addresses


def plan(fields: tuple[Field, ...], sizes: Mapping[str, int]) -> Plan:
    """Where the `fields` are in a block; `sizes` says what the names in their shapes stand for."""
    of = {**sizes, TABLE: _ENTRIES * len(fields)}
    places, offset = [], 0
    table = np.zeros(of[TABLE], np.int64)
    for field in fields:
        shape = tuple(of[x] if isinstance(x, str) else x for x in field.shape)
        places.append((field.dtype, shape, offset))
        table[field.entry] = offset
        table[field.entry + 1 : field.entry + 1 + len(shape)] = shape
        offset += -(-int(np.prod(shape)) * field.dtype.itemsize // _ALIGN) * _ALIGN
    return Plan(tuple(places), offset, table, np.array([f.entry for f in fields]))


def place(at: Plan, block: np.ndarray) -> list[np.ndarray]:
    """The fields' arrays in `block`, uint8 of at least `n_bytes`; the table's own field, the first, is filled in."""
    arrays = [np.ndarray(shape, dtype, block, offset) for dtype, shape, offset in at.places]
    table = arrays[0]
    table[:] = at.table
    table[at.addresses] += block.ctypes.data
    return arrays
