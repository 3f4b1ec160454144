"""Caching of pure functions of immutable values that are slow to hash, such as whole workloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def remember(size: int) -> Callable[[Function], Function]:
    """Keeps the results for up to `size` different arguments; hashes only arguments that are not the same objects as
    before, since the repeats of a trial bring the same ones."""

    def decorate(function: Function) -> Function:
        by_value = lru_cache(maxsize=size)(function)
        # The arguments are kept with their result, so an id stands for the same object as long as it is in here.
        by_identity: dict[tuple[int, ...], tuple[tuple[Any, ...], Any]] = {}

        @wraps(function)
        def call(*arguments: Any) -> Any:
            key = tuple(map(id, arguments))
            known = by_identity.get(key)
            if known is None:
                if len(by_identity) >= size:
                    by_identity.clear()
                known = by_identity[key] = (arguments, by_value(*arguments))
            return known[1]

        return call  # type: ignore[return-value]

    return decorate
