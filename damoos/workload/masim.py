"""masim workloads: regions and phases, in masim's own configuration format.

A file is paragraphs of lines. The first one lists regions, each further one is a phase:

    # name, bytes[, file with initial data | none]
    hot, 67108864, none
    cold, 268435456

    name of the phase
    5000
    # region, 1 random | 0 sequential, stride, probability[, ro | wo | rw]
    hot, 1, 0, 9, ro
    cold, 0, 4096, 1

Facts of masim (damonitor/masim, masim.c of 2024) that this module's values stand for:

- Lines that start with `#` are removed before anything else, so they don't end a paragraph; numbers are decimal.
- Regions are allocated, not touched: memory is resident after the first access, or after the initial data was copied
  in (the file must be at least as large as the region). `--repeat` starts anew each time, with fresh memory.
- A phase ends after its milliseconds of wall time, checked between batches; it makes at least one batch.
- A batch is 131,072 accesses of one byte (`--nr_accesses_per_region`) by one pattern, which is chosen anew for each
  batch with its probability over the sum of the phase's. A phase whose sum is 0 accesses nothing, on a busy CPU.
- A sequential pattern goes on where its last batch in this phase stopped, adds the stride first and returns to 0 at
  the region's end. Its place starts at 0 in every phase.
- A random pattern ignores its stride: any byte of the region, from a table of 1,000,000 numbers.
- Without a fifth field a pattern writes (`--default_rw_mode` changes that); `rw` reads and writes each byte.

Read more generously than masim does: several blank lines, lines of white space, CRLF, a last line without newline
(masim drops it), white space around names, comments behind values and behind white space, phases without patterns (the
workload sleeps).
Refused, though masim takes it, because it can only be a mistake: text behind a number, negative numbers, a second
region of the same name, regions of zero bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from damoos.errors import ConfigError

RW_MODES = ("ro", "wo", "rw")
DEFAULT_RW_MODE = "wo"

_INT_MAX = 2**31 - 1  # masim reads all numbers but sizes as C int
_SIZE_MAX = 2**63 - 1
_NAME_MAX = 255


@dataclass(frozen=True)
class Region:
    """A piece of memory: `sz` bytes, mapped at the start; `data_file` fills it at the start (None: left untouched)."""

    name: str
    sz: int
    data_file: str | None = None


@dataclass(frozen=True)
class Pattern:
    """How a phase accesses one region: sequential with `stride` bytes, or `random`; chosen with weight `probability`.

    A sequential `stride` of 0 accesses the first byte only. `rw_mode`: "ro", "wo" or "rw".
    """

    region: str
    random: bool
    stride: int
    probability: int
    rw_mode: str = DEFAULT_RW_MODE


@dataclass(frozen=True)
class Phase:
    """Patterns that are run side by side for `ms` milliseconds; without patterns the workload sleeps."""

    name: str
    ms: int
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class MasimWorkload:
    """A masim configuration. `name` is the file's stem."""

    name: str
    regions: tuple[Region, ...]
    phases: tuple[Phase, ...]

    @property
    def footprint_bytes(self) -> int:
        """Sum of the regions' sizes."""
        return sum(region.sz for region in self.regions)

    @cached_property
    def duration_ms(self) -> int:
        """Sum of the phases' nominal milliseconds."""
        return sum(phase.ms for phase in self.phases)


def load(path: str | Path) -> MasimWorkload:
    """Reads a masim configuration file. Raises ConfigError with file, line, field, value and what is allowed."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't be read: {os.strerror(error.errno or 0)}", file=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=path) from error
    return parse(text, Path(path).stem, path)


def parse(text: str, name: str, file: str | Path | None = None) -> MasimWorkload:
    """The workload in `text`; `name` becomes its name, `file` is for messages. Raises ConfigError."""
    paragraphs = list(_paragraphs(text))
    if not paragraphs:
        raise ConfigError("has no regions", file=file, allowed="a paragraph of lines `name, bytes`, then phases")
    if len(paragraphs) == 1:
        last = paragraphs[0][-1][0]
        raise ConfigError(
            "has no phases", file=file, line=last, allowed="a blank line, then a phase's name, ms, patterns"
        )
    try:
        regions: dict[str, Region] = {}
        for number, line in paragraphs[0]:
            region = _region(number, line)
            if region.name in regions:
                raise ConfigError("region is there twice", line=number, field="name", value=region.name)
            regions[region.name] = region
        phases = tuple(_phase(lines, regions) for lines in paragraphs[1:])
    except ConfigError as error:
        raise error.at(file=file) from None
    return MasimWorkload(name, tuple(regions.values()), phases)


def dumps(workload: MasimWorkload) -> str:
    """The configuration as masim reads it. `parse(dumps(w), w.name) == w` for each workload that `parse` returns."""
    paragraphs = [[f"{r.name}, {r.sz}, {r.data_file or 'none'}" for r in workload.regions]]
    for phase in workload.phases:
        lines = [phase.name, str(phase.ms)]
        lines += [f"{p.region}, {int(p.random)}, {p.stride}, {p.probability}, {p.rw_mode}" for p in phase.patterns]
        paragraphs.append(lines)
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def _paragraphs(text: str) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        if line.strip():
            block.append((number, line.strip()))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _region(number: int, line: str) -> Region:
    fields = _fields(line)
    if len(fields) not in (2, 3):
        raise ConfigError(
            "wrong number of fields", line=number, field="region", value=line, allowed="name, bytes[, file]"
        )
    name = _region_name(fields[0], number)
    sz = _number(fields[1], number, "bytes", 1, _SIZE_MAX)
    source = fields[2] if len(fields) == 3 else "none"
    if not source or re.search(r"\s", source):
        raise ConfigError(
            "bad file name", line=number, field="file", value=source, allowed="`none`, or a path without spaces"
        )
    return Region(name, sz, None if source == "none" else source)


def _region_name(name: str, number: int) -> str:
    if not 0 < len(name.encode()) <= _NAME_MAX:
        raise ConfigError("bad name", line=number, field="name", value=name, allowed=f"1 to {_NAME_MAX} bytes")
    return name


def _phase(lines: list[tuple[int, str]], regions: dict[str, Region]) -> Phase:
    number, name = lines[0]
    if len(lines) < 2:
        raise ConfigError(
            "phase without a duration", line=number, field="phase", value=name, allowed="a line of ms below its name"
        )
    ms = _number(re.split(r"\s#", lines[1][1])[0].strip(), lines[1][0], "ms", 0, _INT_MAX)
    patterns = tuple(_pattern(number, line, regions) for number, line in lines[2:])
    if sum(p.probability for p in patterns) > _INT_MAX:
        raise ConfigError("sum is too large", line=number, field="probability", allowed=f"up to {_INT_MAX}")
    return Phase(name, ms, patterns)


def _pattern(number: int, line: str, regions: dict[str, Region]) -> Pattern:
    fields = _fields(line)
    if len(fields) not in (4, 5):
        raise ConfigError(
            "wrong number of fields",
            line=number,
            field="pattern",
            value=line,
            allowed="region, random, stride, probability[, mode]",
        )
    if fields[0] not in regions:
        raise ConfigError("unknown region", line=number, field="region", value=fields[0], allowed=", ".join(regions))
    mode = fields[4] if len(fields) == 5 else DEFAULT_RW_MODE
    if mode not in RW_MODES:
        raise ConfigError("unknown mode", line=number, field="mode", value=mode, allowed=", ".join(RW_MODES))
    return Pattern(
        region=fields[0],
        random=_number(fields[1], number, "random", 0, _INT_MAX) != 0,
        stride=_number(fields[2], number, "stride", 0, _INT_MAX),
        probability=_number(fields[3], number, "probability", 0, _INT_MAX),
        rw_mode=mode,
    )


def _fields(line: str) -> list[str]:
    # behind a value masim's number conversion stops at the comment, so people write them
    return [field.strip() for field in re.split(r"\s#", line)[0].split(",")]


def _number(text: str, line: int, field: str, low: int, high: int) -> int:
    if not re.fullmatch(r"\+?[0-9]+", text):
        raise ConfigError("not a decimal number", line=line, field=field, value=text, allowed=f"{low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise ConfigError("out of range", line=line, field=field, value=value, allowed=f"{low} to {high}")
    return value
