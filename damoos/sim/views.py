"""How compiled code sees an array of a run: its address and its sizes, nothing else.

numba's own arrays carry strides and an owner, take negative indices and count references; lowering and optimising that
at some two thousand places took most of the time of a compilation. A `Grid` has rows, which are `Row`s; both are
indexed by integers from 0 and know `size` or `shape`.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import lower_builtin, lower_getattr, models, register_model

_WORD = ir.IntType(64)


class Row(types.Type):
    """A contiguous array of one dimension."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Row({dtype})")


class Grid(types.Type):
    """A contiguous array of two dimensions."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.row = Row(dtype)
        super().__init__(name=f"Grid({dtype})")


@register_model(Row)
class _RowModel(models.StructModel):
    def __init__(self, manager: Any, kind: Row) -> None:
        super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("size", types.intp)])


@register_model(Grid)
class _GridModel(models.StructModel):
    def __init__(self, manager: Any, kind: Grid) -> None:
        members = [("data", types.CPointer(kind.dtype)), ("rows", types.intp), ("columns", types.intp)]
        super().__init__(manager, kind, members)


def view(context: Any, builder: Any, kind: Any, *members: Any) -> Any:
    """The value of type `kind`, Row or Grid, with these members."""
    value = context.get_value_type(kind)(ir.Undefined)
    for i, member in enumerate(members):
        value = builder.insert_value(value, member, i)
    return value


def _index_of(kind: Any, index: Any) -> Any:
    # The type that an index is cast to: (type, type of what is there); None: not an index.
    if isinstance(index, types.Integer):
        return (types.intp, kind.dtype if isinstance(kind, Row) else kind.row)
    if isinstance(kind, Grid) and isinstance(index, types.UniTuple | types.Tuple) and len(index.types) == 2:
        return (types.UniTuple(types.intp, 2), kind.dtype)
    return None


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        kind, index = args
        found = _index_of(kind, index) if isinstance(kind, Row | Grid) else None
        return signature(found[1], kind, found[0]) if found else None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        kind, index, _ = args
        found = _index_of(kind, index) if isinstance(kind, Row | Grid) else None
        return signature(types.none, kind, found[0], kind.dtype) if found and found[1] == kind.dtype else None


@infer_getattr
class _RowAttributes(AttributeTemplate):
    key = Row

    def resolve_size(self, kind: Row) -> Any:
        return types.intp

    def resolve_shape(self, kind: Row) -> Any:
        return types.UniTuple(types.intp, 1)


@infer_getattr
class _GridAttributes(AttributeTemplate):
    key = Grid

    def resolve_shape(self, kind: Grid) -> Any:
        return types.UniTuple(types.intp, 2)


@lower_getattr(Row, "size")
def _size(context: Any, builder: Any, kind: Row, row: Any) -> Any:
    return builder.extract_value(row, 1)


@lower_getattr(Row, "shape")
def _row_shape(context: Any, builder: Any, kind: Row, row: Any) -> Any:
    return cgutils.pack_array(builder, [builder.extract_value(row, 1)])


@lower_getattr(Grid, "shape")
def _grid_shape(context: Any, builder: Any, kind: Grid, grid: Any) -> Any:
    return cgutils.pack_array(builder, [builder.extract_value(grid, 1), builder.extract_value(grid, 2)])


def _cell_of_row(builder: Any, row: Any, index: Any) -> Any:
    return builder.gep(builder.extract_value(row, 0), [index])


def _cell_of_grid(builder: Any, grid: Any, i: Any, j: Any) -> Any:
    return builder.gep(builder.extract_value(grid, 0), [builder.add(builder.mul(i, builder.extract_value(grid, 2)), j)])


@lower_builtin(operator.getitem, Row, types.intp)
def _get_of_row(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load(_cell_of_row(builder, *arguments))


@lower_builtin(operator.setitem, Row, types.intp, types.Any)
def _set_of_row(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    row, index, value = arguments
    builder.store(value, _cell_of_row(builder, row, index))


@lower_builtin(operator.getitem, Grid, types.intp)
def _row_of_grid(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    grid, i = arguments
    first = _cell_of_grid(builder, grid, i, _WORD(0))
    return view(context, builder, signature.return_type, first, builder.extract_value(grid, 2))


@lower_builtin(operator.getitem, Grid, types.UniTuple(types.intp, 2))
def _get_of_grid(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    grid, pair = arguments
    return builder.load(_cell_of_grid(builder, grid, builder.extract_value(pair, 0), builder.extract_value(pair, 1)))


@lower_builtin(operator.setitem, Grid, types.UniTuple(types.intp, 2), types.Any)
def _set_of_grid(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    grid, pair, value = arguments
    cell = _cell_of_grid(builder, grid, builder.extract_value(pair, 0), builder.extract_value(pair, 1))
    builder.store(value, cell)
