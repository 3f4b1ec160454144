"""One block of memory for all arrays of a run, and the table by which compiled code finds them.

The block follows from the declaration of `State`: a field's annotation names its dtype and its shape, in numbers or in
sizes of the run (`A` areas, ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from .blocks import BLOCKS

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
    """Where the fields are for given sizes: (dtype, shape, offset in bytes) by name; buffers come last."""

    sizes: dict[str, int]
    places: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]
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
    return Plan(of, places, offset, zeroed, table, np.array([f.entry for f in fields]))


class Arena:
    """Base of a class whose annotations declare arrays; they are made when they are asked for.

    `block`: uint8, the memory of all; `address`: where its table is, whose field, named `table`, comes first.
    """

    def __init__(self, at: Plan, like: Arena | None = None) -> None:
        """Arrays of zeros, or as those of `like`, which has the same plan; in buffers is whatever was there before."""
        self._memory = BLOCKS.take(at.n_bytes)
        block: np.ndarray = np.frombuffer(self._memory, np.uint8)
        block[: at.n_zeroed] = 0 if like is None else like.block[: at.n_zeroed]
        self.plan: Plan = at
        self.block: np.ndarray = block
        self.address: int = block.ctypes.data
        table = self.__getattr__("table")
        table[:] = at.table
        table[at.addresses] += self.address

    def __del__(self) -> None:
        memory = self.__dict__.get("_memory")
        self.__dict__.clear()
        if memory is not None:
            BLOCKS.give_back(memory)

    def __getattr__(self, name: str) -> Any:
        try:
            dtype, shape, offset = self.__dict__["plan"].places[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no array {name!r}") from None
        array = self.__dict__[name] = np.ndarray(shape, dtype, self._memory, offset)
        return array

    def copy_buffers(self, like: Arena, names: Iterable[str], count: int) -> None:
        """Takes over the first `count` rows of one-dimensional buffers of `like`, which has the same plan."""
        for name in names:
            dtype, _, offset = self.plan.places[name]
            rows = slice(offset, offset + count * dtype.itemsize)
            self.block[rows] = like.block[rows]
