"""The fewest writes that bring a tree to what is wanted, without doing any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import abi
from .tree import Wanted


@dataclass(frozen=True)
class Write:
    """One write: absolute path, what the file holds before (a fresh one its default), what it is to hold."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Difference:
    """A field that the kernel has otherwise than asked; None where one side has no such entry."""

    field: str
    asked: object
    applied: object


def plan(current: Mapping[str, str], wanted: Iterable[Wanted]) -> tuple[Write, ...]:
    """The writes that turn `current` (path below KDAMONDS -> text) into `wanted`, in order.

    A count is written only if it differs: the kernel answers any write to it with fresh folders, whose files then hold
    defaults and are not written unless something else is wanted.
    """
    state = dict(current)
    writes = []
    for row in wanted:
        path = row.path
        file = abi.BY_PATTERN[abi.pattern_of(path)]
        old = state.get(path, file.default)
        if old == row.value:
            continue
        writes.append(Write(f"{abi.KDAMONDS}/{path}", old, row.value))
        if file.kind is abi.Kind.COUNT:
            forget_below(state, path)
        state[path] = row.value
    return tuple(writes)


def plan_afresh(count: str, values: Mapping[str, str]) -> tuple[Write, ...]:
    """The writes that bring back `values`, a tree's inputs as read earlier, whatever the tree holds now.

    `count`: what `nr_kdamonds` reads now. It is written even if it is right, unless both are 0: results of runs may lie
    in the folders, and only fresh ones are without.
    """
    wanted = as_wanted(values)
    if count == values["nr_kdamonds"]:
        count = "0" if count == "0" else ""
    return plan({"nr_kdamonds": count}, wanted)


def forget_below(state: dict[str, str], count: str) -> None:
    """Drops from `state`, by path, what is in the numbered folders beside the count file at path `count`."""
    folder = count.rpartition("/")[0]
    start = f"{folder}/" if folder else ""
    for path in [path for path in state if path.startswith(start) and path[len(start) :].split("/")[0].isdecimal()]:
        del state[path]


def differences(asked: Any, applied: Any, field: str = "") -> tuple[Difference, ...]:
    """Where two configurations differ, field by field; nothing if they are equal."""
    if asked == applied:
        return ()
    if dataclasses.is_dataclass(asked) and type(asked) is type(applied):
        found: list[Difference] = []
        for entry in dataclasses.fields(asked):
            where = f"{field}.{entry.name}" if field else entry.name
            found += differences(getattr(asked, entry.name), getattr(applied, entry.name), where)
        return tuple(found)
    if isinstance(asked, tuple) and isinstance(applied, tuple):
        found = []
        for i in range(max(len(asked), len(applied))):
            one, other = (side[i] if i < len(side) else None for side in (asked, applied))
            found += differences(one, other, f"{field}[{i}]")
        return tuple(found)
    return (Difference(field, asked, applied),)


def as_wanted(values: Mapping[str, str]) -> tuple[Wanted, ...]:
    """What a tree holds (path below KDAMONDS -> text), as something to write again: inputs only, counts first."""
    inputs = [path for path in values if is_input(path)]
    # A count file lies higher than anything inside the folders that it counts.
    return tuple(Wanted(path, values[path], path) for path in sorted(inputs, key=lambda path: (path.count("/"), path)))


def is_input(path: str) -> bool:
    """Whether a file below KDAMONDS holds part of a configuration; `state`, a command, does not."""
    file = abi.file_of(path)
    return file is not None and file.writable and file.pattern != "#/state"
