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
BUFFER = object()
"""Marks a field as a buffer in its annotation."""
TABLE = "numbers of the table"
"""The table's own size, in its shape."""


class Field(NamedTuple):
    """How a field is declared; `entry` is its first number in the table. A buffer has a count of what is valid in it,
    so that it needs no initial values."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]
    entry: int
    is_buffer: bool


def declared(state: type) -> tuple[Field, ...]:
    """The fields of a class like `State`, with annotations Annotated[NDArray[dtype], size, ...], BUFFER last or not."""
    fields = []
    for i, (name, hint) in enumerate(get_type_hints(state, include_extras=True).items()):
        array, *notes = get_args(hint)
        shape = tuple(note for note in notes if note is not BUFFER)
        dtype = np.dtype(get_args(get_args(array)[1])[0])
        fields.append(Field(name, dtype, shape, i * _ENTRIES, BUFFER in notes))
    return tuple(fields)


class Plan(NamedTuple):
    """Where the fields are for given sizes: (dtype, shape, offset in bytes) each; buffers come last."""

    places: tuple[tuple[np.dtype[Any], tuple[int, ...], int], ...]
    n_bytes: int
    n_zeroed: int  # bytes before the buffers
    table: np.ndarray  # int64 [_ENTRIES * fields] with offsets for addresses
    addresses: np.ndarray  # int64, which of these are addresses


def plan(fields: tuple[Field, ...], sizes: Mapping[str, int]) -> Plan:
    """Where the `fields` are in a block; `sizes` says what the names in their shapes stand for."""
    of = {**sizes, TABLE: _ENTRIES * len(fields)}
    places, offset, zeroed = {}, 0, 0
    table = np.zeros(of[TABLE], np.int64)
    for field in sorted(fields, key=lambda f: f.is_buffer):
        shape = tuple(of[x] if isinstance(x, str) else x for x in field.shape)
        places[field.name] = (field.dtype, shape, offset)
        table[field.entry] = offset
        table[field.entry + 1 : field.entry + 1 + len(shape)] = shape
        offset += -(-int(np.prod(shape)) * field.dtype.itemsize // _ALIGN) * _ALIGN
        if not field.is_buffer:
            zeroed = offset
    return Plan(tuple(places[f.name] for f in fields), offset, zeroed, table, np.array([f.entry for f in fields]))


def place(at: Plan, like: np.ndarray | None = None) -> list[np.ndarray]:
    """The fields' arrays in a new block: zeros, or as in the block `like`, but whatever was there in buffers; the
    table, which is the first field, is filled in."""
    block = np.empty(at.n_bytes, np.uint8)
    block[: at.n_zeroed] = 0 if like is None else like[: at.n_zeroed]
    arrays = [np.ndarray(shape, dtype, block, offset) for dtype, shape, offset in at.places]
    table = arrays[0]
    table[:] = at.table
    table[at.addresses] += block.ctypes.data
    return arrays
