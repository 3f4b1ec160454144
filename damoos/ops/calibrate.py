"""Measures a machine by small runs on it: a machine model for the simulator.

    with contextlib.closing(open_backend("vm:7.3")) as backend:
        found = calibrate(backend, load_machine("vm-lab"))
    write_model(Path("mine.toml"), model_text(found, title="Mine", command="damoos calibrate …", date="2026-11-24"))

Only the backend's seam is used, so the simulator itself can be calibrated: what comes out must be what went in.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from damoos.backend.base import Backend, Capabilities
from damoos.errors import InputError
from damoos.sim.machine import Machine, imitated

from .calibrate_runs import STAGES, Bench

REPEATS = 3
_COSTS = tuple(
    f.name
    for f in dataclasses.fields(Machine)
    if f.default is dataclasses.MISSING and f.name not in ("name", "title", "description")
)
_ONLY_SHARED = ("switch_us", "start_us", "wait_share")

Progress = Callable[[str, int, int], None]
"""Told the stage that begins (or "" at the end), how many are done, and how many there are."""


@dataclass(frozen=True)
class Calibration:
    """What was found: `values` of every key of a machine model; `measured` the repeats' of those that were measured;
    the others are those of the machine model `like`, or do not apply: keys in `unused` matter only where kdamond and
    the workload share a CPU."""

    capabilities: Capabilities
    values: Mapping[str, float]
    measured: Mapping[str, tuple[float, ...]]
    unused: tuple[str, ...]
    like: str

    @property
    def taken_over(self) -> tuple[str, ...]:
        """Keys whose values are those of `like`."""
        return tuple(name for name in _COSTS if name not in self.measured and name not in self.unused)

    @property
    def swaps(self) -> bool:
        """Whether memory could be paged out there; without, all that has to do with swap is taken over."""
        return "pageout_page_us" in self.measured

    def machine(self, name: str, title: str, description: str) -> Machine:
        """The machine model."""
        kinds: dict[str, Callable[[float], float]] = {"int": round, "bool": bool, "float": float}
        types = {f.name: str(f.type) for f in dataclasses.fields(Machine)}
        values = {key: kinds[types[key]](value) for key, value in self.values.items()}
        kernel = imitated(self.capabilities.kernel)
        return Machine(name=name, title=title, description=description, kernel=kernel, **values)  # type: ignore[arg-type]


def calibrate(
    backend: Backend, like: Machine, repeats: int = REPEATS, progress: Progress = lambda stage, done, total: None
) -> Calibration:
    """Measures the machine of `backend` `repeats` (1 or more) times; a value is the median of the repeats'.

    What a run can't tell, and what not all repeats could, is that of `like`. Takes about 30 s of the machine's time a
    repeat. Raises InputError, and BackendError where a run fails.
    """
    if repeats < 1:
        raise InputError("too few", field="repeats", value=repeats, allowed="1 or more")
    capabilities = backend.probe()
    bench = Bench(backend)
    total = repeats * len(STAGES)
    found: list[dict[str, float]] = []
    for repeat in range(repeats):
        now: dict[str, float] = {}
        for i, (name, stage) in enumerate(STAGES):
            progress(name, repeat * len(STAGES) + i, total)
            now.update(stage(bench, {**_values(like), **now}, repeat))
        found.append(now)
    progress("", total, total)
    measured = {name: tuple(now[name] for now in found) for name in _COSTS if all(name in now for now in found)}
    values = _values(like) | {name: statistics.median(each) for name, each in measured.items()}
    # Repeats that disagree, with an even number of them, are a shared CPU that was not noticed every time.
    values["shared_cpu"] = float(values["shared_cpu"] >= 0.5)
    unused = () if values["shared_cpu"] else _ONLY_SHARED
    measured = {name: each for name, each in measured.items() if name not in unused}
    return Calibration(capabilities, values | dict.fromkeys(unused, 0.0), measured, unused, like.name)


def _values(machine: Machine) -> dict[str, float]:
    return {name: float(getattr(machine, name)) for name in _COSTS}
