"""What an episode is about, drawn at random: a workload on a machine with a seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.errors import ConfigError, InputError
from damoos.sim.backend import SimBackend
from damoos.sim.machine import Machine
from damoos.workload.processes import AnyMasim, find_masim

_RANGE = re.compile(r"(.+-)(\d+):(\d+)")
_KEY = 0x6472
_SEEDS = 2**31

COSTS: tuple[tuple[str, ...], ...] = (
    ("sequential_per_ms", "random_per_ms"),
    ("major_fault_us", "major_fault_hard_us", "minor_fault_us"),
    ("sample_us", "region_sample_us"),
    ("pageout_page_us", "pageout_hard_page_us", "scan_page_us", "swapin_page_us"),
    ("lru_noise",),
)
"""Fields of a machine that are scaled together when machines are randomised."""
MOST_FACTOR = 2.0
"""Each group is scaled by a factor between 1 / MOST_FACTOR and MOST_FACTOR, uniform on a log scale."""


@dataclass(frozen=True)
class Task:
    """One episode's setting; on the simulator all that decides what happens but the actions."""

    workload: AnyMasim
    backend: Backend
    seed: int

    def __hash__(self) -> int:
        # What is inside takes long to hash, and names tell nearly all tasks apart.
        return hash((self.workload.name, self.backend.name, self.seed))


@dataclass(frozen=True)
class TaskSource:
    """Where tasks come from: `workloads`, names as `find_masim` takes them, × `machines`, backends × seeds.

    `seeds`: how many different ones each workload has, None: always new ones. `randomise`: whether the costs of the
    simulated machine are scaled anew for each seed (see `COSTS`).
    """

    workloads: tuple[str, ...]
    machines: tuple[Backend, ...]
    seeds: int | None = None
    randomise: bool = False

    @classmethod
    def of(
        cls,
        workloads: str | Sequence[str],
        machines: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        timing: str = "work",
    ) -> TaskSource:
        """A source of texts: workloads as `workload_names` reads them, backends as `open_backend` does.

        Raises InputError for what is unknown, for seeds below 1, and for machines that can't be randomised.
        """
        names = tuple(workload_names(workloads))
        for name in names:
            found(name)
        if seeds is not None and seeds < 1:
            raise InputError("too small", field="seeds", value=seeds, allowed="1 and more, or None")
        texts = _texts(machines)
        backends = tuple(open_backend(text, timing=timing) for text in texts)
        if not names or not backends:
            raise InputError("none is given", field="workloads" if backends else "backend")
        for text, backend in zip(texts, backends, strict=True):
            if randomise and not isinstance(backend, SimBackend):
                raise InputError("can't be randomised", field="backend", value=text, allowed="sim:MACHINE")
        return cls(names, backends, seeds, randomise)

    def draw(self, rng: np.random.Generator) -> Task:
        """A task; all of them are equally likely. The same state of `rng` gives the same one."""
        at = int(rng.integers(len(self.workloads)))
        backend = self.machines[int(rng.integers(len(self.machines)))]
        if self.seeds is None:
            seed = int(rng.integers(_SEEDS))
        else:
            number = int(rng.integers(self.seeds))
            seed = _seed(at, number)
        if self.randomise and isinstance(backend, SimBackend):
            # By the seed, so that with few seeds there are few machines, and baselines can be kept.
            backend = replace(backend, machine=randomised(backend.machine, np.random.default_rng([_KEY, seed])))
        return Task(found(self.workloads[at]), backend, seed)


@lru_cache(maxsize=65536)
def _seed(at: int, number: int) -> int:
    return int(np.random.default_rng([_KEY, at, number]).integers(_SEEDS))


@lru_cache(maxsize=4096)
def found(name: str) -> AnyMasim:
    """The workload of that name, read or made once. Raises ConfigError."""
    return find_masim(name)


def workload_names(workloads: str | Sequence[str]) -> Iterator[str]:
    """The workloads that a text, of parts between commas, or several texts mean.

    A part is a name or file, a folder (all its .cfg files, by name), or numbered workloads such as
    `generated-train-0:64`: from 0 to 63. Raises ConfigError for an empty folder or range.
    """
    for text in _texts(workloads):
        numbered = _RANGE.fullmatch(text)
        if numbered is not None:
            first, end = int(numbered[2]), int(numbered[3])
            if first >= end:
                raise ConfigError("an empty range", field="workload", value=text, allowed="FIRST:END with FIRST < END")
            yield from (f"{numbered[1]}{number}" for number in range(first, end))
        elif Path(text).is_dir():
            files = sorted(Path(text).glob("*.cfg"))
            if not files:
                raise ConfigError("no workloads", field="workload", value=text, allowed="a folder with .cfg files")
            yield from (str(file) for file in files)
        else:
            yield text


def randomised(machine: Machine, rng: np.random.Generator) -> Machine:
    """The machine with its `COSTS` scaled by factors drawn from `rng`."""
    changes: dict[str, float] = {}
    for group in COSTS:
        factor = MOST_FACTOR ** rng.uniform(-1.0, 1.0)
        changes.update((name, getattr(machine, name) * factor) for name in group)
    changes["lru_noise"] = min(changes["lru_noise"], 1.0)
    return replace(machine, **changes)  # type: ignore[arg-type]


def _texts(given: str | Sequence[str]) -> list[str]:
    texts = given.split(",") if isinstance(given, str) else given
    return [text.strip() for text in texts if text.strip()]
