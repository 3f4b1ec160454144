"""Strategies that are made by name: `policy:NAME` acts by a learned policy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from damoos.catalogue import Kind, names
from damoos.errors import InputError

if TYPE_CHECKING:
    from .base import Strategy


@dataclass(frozen=True)
class Family:
    """`place`: module and function that makes the strategy of what follows the colon. `catalogue`: what there is."""

    place: str
    catalogue: Kind

    @property
    def members(self) -> tuple[str, ...]:
        """What may follow the colon; folders of one's own may, too."""
        return names(self.catalogue)


# Named, not imported: they are made of rooms above.
FAMILIES: dict[str, Family] = {"policy": Family("damoos.rl.strategy:policy_strategy", "policies")}


def family_names() -> tuple[str, ...]:
    """The strategies of the catalogues, such as `policy:control-reclaim`."""
    return tuple(f"{name}:{member}" for name, family in FAMILIES.items() for member in family.members)


def family_of(name: str) -> Family | None:
    """The family of a name with a colon; None for a name without. Raises InputError for an unknown family."""
    family, colon, _ = name.partition(":")
    if not colon:
        return None
    if family not in FAMILIES:
        allowed = ", ".join(f"{known}:NAME" for known in FAMILIES)
        raise InputError("unknown kind of strategy", field="strategy", value=name, allowed=allowed)
    return FAMILIES[family]


def make(family: Family, name: str) -> Strategy:
    """The strategy of that whole name. Raises InputError where there is no such member."""
    module, _, attribute = family.place.partition(":")
    found: Callable[[str], Strategy] = getattr(importlib.import_module(module), attribute)
    return found(name.partition(":")[2])
