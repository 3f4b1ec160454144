"""Experiments in files, for tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from damoos.tune.strategies.random import STRATEGY as RANDOM
from tests.tune import fake

NEEDY = replace(RANDOM, name="needy", needs=(("no_such_package", "search"),))
"""A strategy that can't run here; `STRATEGIES` takes it as `AT`."""
AT = "tests.experiment.matrices:NEEDY"

DEFAULTS: dict[str, Any] = {
    "title": "A small one",
    "description": "For tests.",
    "backend": "fake",
    "envs": ["reclaim"],
    "workloads": ["toy.cfg", "other.cfg"],
    "training": ["zigzag"],
    "strategies": ["random", "damoos-polyfit", "border"],
    "against": "random",
    "budget": 8,
    "counts": [4, 8],
    "seeds": 3,
    "few_seeds": "it is a test",
}


def write_matrix(folder: Path, **changes: Any) -> Path:
    """An experiment of two workloads in `folder`; changes to None leave a key out, a dictionary is a
    table of tables."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.cfg").write_text(fake.WORKLOAD)
    (folder / "other.cfg").write_text(fake.WORKLOAD.replace("2000", "3000"))
    path = folder / "experiment.toml"
    entries = {key: value for key, value in {**DEFAULTS, **changes}.items() if value is not None}
    tables = {key: entries.pop(key) for key in list(entries) if isinstance(entries[key], dict)}
    lines = [f"{key} = {_toml(value)}\n" for key, value in entries.items()]
    for key, table in tables.items():
        for name, own in table.items():
            lines += [f'[{key}."{name}"]\n', *(f"{entry} = {_toml(value)}\n" for entry, value in own.items())]
    path.write_text("".join(lines))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
