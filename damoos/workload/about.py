"""What a workload of the catalogue stands for: the `.toml` file beside its `.cfg`, or that names its processes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from damoos.catalogue import check_keys, line_of, read_toml
from damoos.errors import ConfigError

if TYPE_CHECKING:
    from .processes import AnyMasim

PROCESSES = "processes"
"""The key of a file that names several workloads, see `processes`."""
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
KINDS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "description": str,
    "footprint": str,
    "length_s": (int, float),
    "tags": list,
    "source": str,
}
"""The keys of a description, with the types of their values."""


@dataclass(frozen=True)
class About:
    """`title`: one line; `description`: what it stands for; `footprint`: as written, such as `384 MiB`; `length_s`:
    nominal duration; `tags`: words to choose by; `source`: where the pattern comes from."""

    title: str
    description: str
    footprint: str
    length_s: float
    tags: tuple[str, ...]
    source: str


def about(path: str | Path, workload: AnyMasim) -> About | None:
    """The description beside the configuration file `path` of `workload`, or in it if it is TOML; None: there is none.

    Raises ConfigError if a key is missing, unknown or of a wrong type, or if it doesn't agree with the workload.
    """
    file = Path(path).with_suffix(".toml")
    if not file.is_file():
        return None
    table = read_toml(file)
    if Path(path).suffix == ".toml":
        table.pop(PROCESSES, None)
        if not table:
            return None
    check_keys(table, KINDS, file)
    for key, kind in KINDS.items():
        if key not in table:
            raise ConfigError("missing", file=file, field=key)
        if not isinstance(table[key], kind) or isinstance(table[key], bool):
            raise _wrong(file, key, table[key], "a text" if kind is str else "a list" if kind is list else "a number")
    if not all(isinstance(tag, str) for tag in table["tags"]):
        raise _wrong(file, "tags", table["tags"], "a list of words")
    if _bytes(table["footprint"]) != workload.footprint_bytes:
        raise _wrong(file, "footprint", table["footprint"], f"{workload.footprint_bytes / 2**20:g} MiB")
    if table["length_s"] * 1000 != workload.duration_ms:
        raise _wrong(file, "length_s", table["length_s"], f"{workload.duration_ms / 1000:g}")
    return About(
        title=table["title"],
        description=" ".join(table["description"].split()),
        footprint=table["footprint"],
        length_s=float(table["length_s"]),
        tags=tuple(table["tags"]),
        source=table["source"],
    )


def _wrong(file: Path, key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError("wrong value", file=file, line=line_of(file, key), field=key, value=value, allowed=allowed)


def _bytes(text: str) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) (KiB|MiB|GiB)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None
