"""The values of an experiment's file, key by key: read, checked, given their defaults. `damoos.experiment.matrix` says
what they mean. All raise ConfigError with the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from damoos.catalogue import check_keys
from damoos.errors import ConfigError
from damoos.units import parse_percent

from .figures import NEAR

BACKEND = "sim:zram"
_OF_ENVS = ("backend", "workloads")


@dataclass(frozen=True)
class Named:
    """A task by the names in the file."""

    env: str
    workload: str
    backend: str


def named_tasks(table: dict[str, Any]) -> list[Named]:
    """Each env with its workloads, where it runs them; those of the file unless it has its own."""
    envs = table.get("envs", [])
    backend = text(table, "backend") or BACKEND
    if not isinstance(envs, dict):
        workloads = names(table, "workloads")
        return [Named(env, workload, backend) for env in names(table, "envs") for workload in workloads]
    found = []
    for env, own in envs.items():
        where = f"envs.{env}"
        if not isinstance(own, dict):
            raise ConfigError("not a table", field=where, value=own, allowed=f"[{where}] with backend, workloads")
        check_keys(own, _OF_ENVS, where=where)
        try:
            at = text(own, "backend") or backend
            workloads = names(own if "workloads" in own else table, "workloads")
        except ConfigError as error:
            raise error.at(field=where) from None
        found += [Named(env, workload, at) for workload in workloads]
    if not found:
        raise ConfigError("missing", field="envs", allowed="one and more")
    return found


def text(table: dict[str, Any], key: str) -> str:
    """A text, "" where it may be missing."""
    value = table.get(key, "")
    if not isinstance(value, str) or (not value.strip() and key in ("title", "description")):
        raise ConfigError("missing" if key not in table else "not a text", field=key, value=value or None)
    return value.strip()


def names(table: dict[str, Any], key: str) -> tuple[str, ...]:
    """A list of names, each once; empty only where nothing was trained on."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError("not a list of names", field=key, value=value)
    if not value and key != "training":
        raise ConfigError("missing", field=key, allowed="a list of one name and more")
    twice = sorted({entry for entry in value if value.count(entry) > 1})
    if twice:
        raise ConfigError("is there twice", field=key, value=twice[0])
    return tuple(value)


def number(table: dict[str, Any], key: str, least: int, default: int | None = None) -> int:
    """A whole number of `least` and more."""
    value = table.get(key, default)
    if value is None:
        raise ConfigError("missing", field=key, allowed=f"{least} and more")
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError("not such a number", field=key, value=value, allowed=f"{least} and more")
    return value


def share(text: str) -> float:
    """`near`, more than 0, 1 at most."""
    if not text:
        return NEAR
    value = float(parse_percent(text, field="near")) / 100.0
    if not 0.0 < value <= 1.0:
        raise ConfigError("out of range", field="near", value=text, allowed="more than 0 %, 100 % at most")
    return value


def counts(table: dict[str, Any], budget: int) -> tuple[int, ...]:
    """`counts` in order, the last of them `budget`."""
    value = table.get("counts", [])
    whole = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    if not whole or not all(2 <= n <= budget for n in value):
        raise ConfigError("not counts of runs", field="counts", value=value, allowed=f"a list of 2 to {budget}")
    return tuple(sorted({*value, budget}))
