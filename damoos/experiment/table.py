"""Tables of measured points, as JSON or CSV.

    {"meta": {…}, "landscapes": {"NAME": {"min_age_s": [0, 1, …], "score": [-1000, 25.8, …]}, …}}

or a CSV file whose column `landscape` says to which one a row belongs (without it the file is one):

    landscape,min_age_s,min_size_kib,score
    blackscholes,5,4,25.8

Every column but `score` is a parameter, with its unit at the end of its name: _us, _ms, _s, _min; _bytes, _kib, _mib,
_gib; _percent; none for a count. A point that is there several times was measured several times: that is its noise.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.errors import ConfigError
from damoos.tune.place import Kind

SCORE, LANDSCAPE = "score", "landscape"

UNITS: Mapping[str, tuple[Kind, float]] = {
    "us": ("time", 1.0),
    "ms": ("time", 1e3),
    "s": ("time", 1e6),
    "min": ("time", 60e6),
    "bytes": ("size", 1.0),
    "kib": ("size", 1024.0),
    "mib": ("size", 1024.0**2),
    "gib": ("size", 1024.0**3),
    "percent": ("percent", 1.0),
}
"""Ending of a column's name: the kind of quantity, and how many of `damoos.tune.space`'s units one of it is."""


@dataclass(frozen=True)
class Column:
    """A parameter's values [n] in the unit of its `kind`."""

    name: str
    kind: Kind
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Measured points of one landscape: n rows, one column a parameter, and the scores [n]."""

    name: str
    columns: tuple[Column, ...]
    scores: NDArray[np.float64]


def read_tables(path: Path) -> tuple[Table, ...]:
    """The landscapes of a file, in its order. Raises ConfigError with file and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=path) from error
    try:
        raw = _from_csv(text, path) if path.suffix == ".csv" else _from_json(text)
        if not raw:
            raise ConfigError("has no landscapes", allowed="one and more")
        return tuple(_table(name, columns) for name, columns in raw.items())
    except ConfigError as error:
        raise error.at(file=path) from None


def _from_json(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", line=error.lineno) from None
    found = tree.get("landscapes") if isinstance(tree, dict) else None
    if not isinstance(found, dict):
        raise ConfigError("missing", field="landscapes", allowed="an object of landscapes by name")
    return found


def _from_csv(text: str, path: Path) -> dict[str, Any]:
    reader = csv.DictReader(text.splitlines())
    found: dict[str, dict[str, list[Any]]] = {}
    for row in reader:
        if None in row or None in row.values():
            allowed = ", ".join(reader.fieldnames or ())
            raise ConfigError("a row with too many or too few fields", line=reader.line_num, allowed=allowed)
        columns = found.setdefault(row.pop(LANDSCAPE, path.stem), {})
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return found


def _table(name: str, columns: Any) -> Table:
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise ConfigError("not lists by column", field=name)
    if SCORE not in columns or len(columns) < 2:
        allowed = "a column score, and one and more with parameters"
        raise ConfigError("columns are missing", field=name, value=", ".join(columns), allowed=allowed)
    numbers = {column: _numbers(f"{name}.{column}", values) for column, values in columns.items()}
    scores = numbers.pop(SCORE)
    for column, values in numbers.items():
        if len(values) != len(scores) or len(scores) == 0:
            allowed = f"as many as scores, {len(scores)}, and one at least"
            raise ConfigError("wrong number of values", field=f"{name}.{column}", value=len(values), allowed=allowed)
    return Table(name, tuple(_column(column, values) for column, values in numbers.items()), scores)


def _column(name: str, values: NDArray[np.float64]) -> Column:
    stem, _, ending = name.rpartition("_")
    if stem and ending in UNITS:
        kind, factor = UNITS[ending]
        return Column(stem, kind, values * factor)
    return Column(name, "count", values)


def _numbers(where: str, values: Sequence[Any]) -> NDArray[np.float64]:
    found = []
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError("not a number", field=where, value=value)
        found.append(number)
    return np.array(found, np.float64)
