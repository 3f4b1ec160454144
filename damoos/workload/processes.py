"""Several masim workloads that run at once, each a process of its own.

As a file, in TOML, beside the configurations that it names:

    processes = ["kvstore", "batch.cfg"]         # names of the catalogue, or files seen from this file's folder

and, of a workload of the catalogue, what else describes one (see `about`). All of them start together; the workload
runs until the last has ended.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from damoos.catalogue import check_keys, find, line_of, read_toml
from damoos.errors import ConfigError

from . import masim
from .masim import MasimWorkload

KEY = "processes"
DESCRIPTION = ("title", "description", "footprint", "length_s", "tags", "source")
"""Keys that the description of a workload has, see `about`."""
MOST = 16


@dataclass(frozen=True)
class ProcessesWorkload:
    """Masim workloads with different names that run at once. `name` is the file's stem."""

    name: str
    processes: tuple[MasimWorkload, ...]

    @property
    def footprint_bytes(self) -> int:
        """Sum of the sizes of all regions."""
        return sum(process.footprint_bytes for process in self.processes)

    @property
    def duration_ms(self) -> int:
        """Nominal milliseconds of the process that takes longest."""
        return max(process.duration_ms for process in self.processes)


def processes_of(workload: MasimWorkload | ProcessesWorkload) -> tuple[MasimWorkload, ...]:
    """What runs, a masim workload a process."""
    return workload.processes if isinstance(workload, ProcessesWorkload) else (workload,)


def names_processes(path: str | Path) -> bool:
    """Whether a TOML file is of this form. Raises ConfigError if it can't be read."""
    return KEY in read_toml(path)


def load(path: str | Path) -> ProcessesWorkload:
    """Reads such a file; a workload that is named more than once is numbered from its second process on.

    Raises ConfigError with file, line, field and what is allowed.
    """
    table = read_toml(path)
    check_keys(table, (KEY, *DESCRIPTION), path)
    named = table.get(KEY)
    if not isinstance(named, list) or not 2 <= len(named) <= MOST or not all(isinstance(n, str) for n in named):
        raise ConfigError(
            "wrong value",
            file=path,
            line=line_of(path, KEY),
            field=KEY,
            value=named,
            allowed=f"a list of 2 to {MOST} names or files of masim workloads",
        )
    seen: Counter[str] = Counter()
    found = []
    for name in named:
        process = masim.load(_file(Path(path), name))
        seen[process.name] += 1
        number = seen[process.name]
        found.append(process if number == 1 else replace(process, name=f"{process.name}-{number}"))
    return ProcessesWorkload(Path(path).stem, tuple(found))


def _file(path: Path, name: str) -> Path:
    beside = path.parent / name
    try:
        found = beside if beside.is_file() else find("workloads", name)
    except ConfigError as error:
        raise error.at(file=path, line=line_of(path, KEY)) from None
    if found.suffix != ".cfg":
        raise ConfigError(
            "not a masim workload", file=path, line=line_of(path, KEY), field=KEY, value=name, allowed="a .cfg file"
        )
    return found
