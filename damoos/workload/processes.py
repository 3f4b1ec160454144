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

from . import generated, masim
from .about import KINDS, PROCESSES
from .masim import MasimWorkload, Region

MOST = 16
"""Processes of a workload."""


@dataclass(frozen=True)
class ProcessesWorkload:
    """Masim workloads with different names that run at once. `name` is the file's stem."""

    name: str
    processes: tuple[MasimWorkload, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of all, with the names of their processes before their own."""
        return tuple(replace(r, name=f"{p.name}: {r.name}") for p in self.processes for r in p.regions)

    @property
    def footprint_bytes(self) -> int:
        """Sum of the sizes of all regions."""
        return sum(process.footprint_bytes for process in self.processes)

    @property
    def duration_ms(self) -> int:
        """Nominal milliseconds of the process that takes longest."""
        return max(process.duration_ms for process in self.processes)


AnyMasim = MasimWorkload | ProcessesWorkload
"""What the simulator runs."""


def processes_of(workload: AnyMasim) -> tuple[MasimWorkload, ...]:
    """What runs, a masim workload a process."""
    return workload.processes if isinstance(workload, ProcessesWorkload) else (workload,)


def find_masim(name_or_path: str) -> AnyMasim:
    """The workload of a catalogue's name, a generated one's, or a file: a masim configuration, or one that names
    several. Raises ConfigError."""
    if (drawn := generated.named(name_or_path)) is not None:
        return drawn
    path = find("workloads", name_or_path)
    return load(path) if path.suffix == ".toml" else masim.load(path)


def dumps(workload: AnyMasim) -> str:
    """All that decides what runs, as text: each process's name, of several, and configuration."""
    if isinstance(workload, MasimWorkload):
        return masim.dumps(workload)
    return "\n".join(f"{process.name}\n\n{masim.dumps(process)}" for process in workload.processes)


def names_processes(path: str | Path) -> bool:
    """Whether a TOML file is of this form. Raises ConfigError if it can't be read."""
    return PROCESSES in read_toml(path)


def load(path: str | Path) -> ProcessesWorkload:
    """Reads a file that names several; one that is named more than once is numbered from its second process on.

    Raises ConfigError with file, line, field and what is allowed.
    """
    table = read_toml(path)
    check_keys(table, (PROCESSES, *KINDS), path)
    named = table.get(PROCESSES)
    if not isinstance(named, list) or not 2 <= len(named) <= MOST or not all(isinstance(n, str) for n in named):
        raise ConfigError(
            "wrong value",
            file=path,
            line=line_of(path, PROCESSES),
            field=PROCESSES,
            value=named,
            allowed=f"a list of 2 to {MOST} names or files of masim workloads",
        )
    seen: Counter[str] = Counter()
    found = []
    for name in named:
        process = generated.named(name) or masim.load(_file(Path(path), name))
        seen[process.name] += 1
        number = seen[process.name]
        found.append(process if number == 1 else replace(process, name=f"{process.name}-{number}"))
    return ProcessesWorkload(Path(path).stem, tuple(found))


def _file(path: Path, name: str) -> Path:
    beside = path.parent / name
    try:
        found = beside if beside.is_file() else find("workloads", name)
    except ConfigError as error:
        raise error.at(file=path, line=line_of(path, PROCESSES)) from None
    if found.suffix != ".cfg":
        raise ConfigError(
            "not a masim workload",
            file=path,
            line=line_of(path, PROCESSES),
            field=PROCESSES,
            value=name,
            allowed="a .cfg file",
        )
    return found
