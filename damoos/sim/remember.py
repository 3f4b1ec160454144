"""Caching of pure functions of immutable values that are slow to hash, such as whole workloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def remember(size: int, *, by_value: bool = True) -> Callable[[Function], Function]:
    """Keeps the results for up to `size` different (positional) arguments.

    Only arguments that are not the same objects as before are hashed, since the repeats of a trial bring the same ones;
    without `by_value` they are not even then, but taken for new ones.
    """

    def decorate(function: Function) -> Function:
        known = lru_cache(maxsize=size)(function) if by_value else function
        # The arguments are kept with their result, so an id stands for the same object as long as it is in here.
        recent: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]] = {}

        @wraps(function)
        def call(*arguments: Any) -> Any:
            key = tuple([x if type(x) is int else id(x) for x in arguments])
            found = recent.get(key)
            if found is None:
                if len(recent) >= size:
                    recent.clear()
                found = recent[key] = (arguments, known(*arguments))
            return found[1]

        return call  # type: ignore[return-value]

    return decorate
