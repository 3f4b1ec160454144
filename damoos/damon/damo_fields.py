"""Reading a tree of JSON or YAML strictly: every mistake is an error with the path of its field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from damoos.errors import ConfigError
from damoos.units import U32_MAX, parse_bp, parse_permil

T = TypeVar("T")

_RAW_SHARE = re.compile(r"\d+\.\d{6}")


@dataclass(frozen=True)
class Table:
    """A mapping whose keys are known to be the right ones, at `path` of its file."""

    values: dict[str, Any]
    path: str

    def at(self, key: str) -> str:
        """The path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def read(self, key: str, parse: Callable[..., T], **limits: int) -> T:
        """The value of a key that is there, by a parser of damoos.units or one that is called like them."""
        return parse(self.values[key], field=self.at(key), **limits)

    def read_or(self, key: str, default: T, parse: Callable[..., T], **limits: int) -> T:
        """The same, or `default` where the key is absent or null."""
        return self.read(key, parse, **limits) if self.has(key) else default

    def items(self, key: str) -> list[tuple[Any, str]]:
        """The entries of a list with their paths; none where the key is absent."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise ConfigError("not a list", field=self.at(key), value=value)
        return [(item, f"{self.at(key)}[{i}]") for i, item in enumerate(value)]

    def table(self, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
        """The mapping under a key that is there."""
        return table(self.values[key], self.at(key), required, optional)

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def need(self, key: str, reason: str) -> None:
        """Raises ConfigError if a key that only some tables need is absent or null."""
        if not self.has(key):
            raise ConfigError(f"missing, {reason}", field=self.at(key))

    def refuse(self, key: str, empty: object, problem: str) -> None:
        """Raises ConfigError unless the key is absent, null or `empty`: for what damo knows and Linux 7.3 has not."""
        if self.values.get(key) not in (None, empty):
            raise ConfigError(problem, field=self.at(key), value=self.values[key])


def table(tree: object, path: str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """`tree` as a mapping with all `required` keys and no others but `optional` ones. Raises ConfigError."""
    if not isinstance(tree, dict):
        raise ConfigError("not a mapping", field=path, value=tree)
    allowed = (*required, *optional)
    for key in tree:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1, cutoff=0.6)
            problem = f'unknown key, did you mean "{near[0]}"?' if near else "unknown key"
            raise ConfigError(problem, field=f"{path}.{key}" if path else str(key), allowed=", ".join(allowed))
    for key in required:
        if key not in tree:
            raise ConfigError("missing", field=f"{path}.{key}" if path else key)
    return Table(tree, path)


def word(words: Sequence[str]) -> Callable[..., str]:
    """A parser for one of `words`."""

    def parse(value: object, *, field: str) -> str:
        if not isinstance(value, str) or value not in words:
            near = difflib.get_close_matches(str(value), words, n=1, cutoff=0.6)
            problem = f'unknown word, did you mean "{near[0]}"?' if near else "unknown word"
            raise ConfigError(problem, field=field, value=value, allowed=", ".join(words))
        return value

    return parse


def text(value: object, *, field: str) -> str:
    """A parser for text."""
    if not isinstance(value, str):
        raise ConfigError("not text", field=field, value=value)
    return value


def permil(value: object, *, field: str, maximum: int = U32_MAX) -> int:
    """parse_permil, but refuses what only `damo --raw` writes."""
    _refuse_raw(value, field)
    return parse_permil(value, field=field, maximum=maximum)


def basis_points(value: object, *, field: str) -> int:
    """parse_bp, but refuses what only `damo --raw` writes."""
    _refuse_raw(value, field)
    return parse_bp(value, field=field)


def in_order(low: int, high: int, path: str) -> None:
    """Raises ConfigError if `low` is above `high`, the bounds of what is at `path`."""
    if low > high:
        raise ConfigError("min is above max", field=path, value=low, allowed=f"min up to {high}")


def _refuse_raw(value: object, field: str) -> None:
    # With --raw times are in other units than damo reads; shares with six decimals are what gives such a file away.
    if isinstance(value, str) and _RAW_SHARE.fullmatch(value):
        raise ConfigError(
            "written by damo with --raw, whose times can't be read back; write it without --raw",
            field=field,
            value=value,
        )
