"""How compiled code holds a run's arrays: by the address of a table of their addresses and shapes.

To kernels a handle looks like the `State` it stands for. Passing the named tuple itself would pass every array's
descriptor by value at every call, and references to arrays would be counted; compiling that took three times as long.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, intrinsic, lower_getattr_generic, models, register_model, typeof_impl, unbox
from numba.np.numpy_support import from_dtype

from .state import FIELDS, State
from .views import Grid, Row, view

_WORD = ir.IntType(64)
_ENTRY = {field.name: field.entry for field in FIELDS}
_DIMENSIONS = {field.name: len(field.shape) for field in FIELDS}
_KIND = {field.name: (Row, Grid)[len(field.shape) - 1](from_dtype(field.dtype)) for field in FIELDS}


class Handle:
    """A reference to the arrays of a `State`, for compiled code that Python calls; valid while that state is."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address


def handle_of(state: State) -> Handle:
    """The handle of a state."""
    return Handle(state.address)


class _HandleType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="StateHandle")


_HANDLE = _HandleType()


@register_model(_HandleType)
class _HandleModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORD.as_pointer())


@typeof_impl.register(Handle)
def _type_of_handle(value: Handle, context: Any) -> Any:
    return _HANDLE


@unbox(_HandleType)
def _unbox_handle(kind: Any, value: Any, c: Any) -> Any:
    address = c.pyapi.object_getattr_string(value, "address")
    word = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(c.builder.inttoptr(word, _WORD.as_pointer()))


@intrinsic
def handle_at(typing: Any, address: Any) -> Any:
    """The handle, in compiled code, of the state whose `table` is at that address, int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], _WORD.as_pointer())

    return _HANDLE(types.int64), generate


@infer_getattr
class _HandleAttributes(AttributeTemplate):
    key = _HandleType

    def generic_resolve(self, kind: Any, name: str) -> Any:  # type: ignore[override]
        return _KIND.get(name)


@lower_getattr_generic(_HandleType)
def _array(context: Any, builder: Any, kind: Any, table: Any, name: str) -> Any:
    def entry(i: int) -> Any:
        word = builder.load(builder.gep(table, [_WORD(_ENTRY[name] + i)]))
        # The table stays as it is, whatever is stored through the addresses in it.
        word.set_metadata("invariant.load", builder.module.add_metadata([]))
        return word

    array = _KIND[name]
    data = builder.inttoptr(entry(0), context.get_value_type(types.CPointer(array.dtype)))
    return view(context, builder, array, data, *(entry(1 + d) for d in range(_DIMENSIONS[name])))
