"""Configurations that somebody published, as strategies without anything to tune."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from damoos.damon.kdamonds import Context
from damoos.damon.schemes import Action, Scheme
from damoos.errors import InputError

from ..space import Space
from .base import Propose

REPEATS = "it is one configuration"
"""`Strategy.repeats` of such a strategy."""


def schemes_of(
    schemes: Mapping[Action, Scheme], monitored: Callable[[Context], Context] = lambda context: context
) -> Callable[[Space], Space]:
    """`Strategy.brings`: the env's default point with each scheme replaced by that of its action, no parameters, and
    what `monitored` makes of the rest. Target nodes stay the env's. Raises InputError if no scheme is replaced."""

    def brings(space: Space) -> Space:
        context = space.kdamonds(space.defaults()).context
        if not any(scheme.action in schemes for scheme in context.schemes):
            raise InputError(
                "is for other schemes",
                value=", ".join(scheme.action for scheme in context.schemes) or "none",
                allowed=f"an env with a scheme of action {' or '.join(schemes)}",
            )
        replaced = tuple(
            dataclasses.replace(schemes[old.action], target_nid=old.target_nid) if old.action in schemes else old
            for old in context.schemes
        )
        return Space((), space.base.with_context(dataclasses.replace(monitored(context), schemes=replaced)))

    return brings


def nothing_to_tune() -> Propose:
    """Proposes the one point there is."""
    return lambda ask, seen: {}
