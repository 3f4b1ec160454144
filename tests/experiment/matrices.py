"""Experiments in files, for tests."""

from pathlib import Path
from typing import Any

from tests.tune import fake

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
    """An experiment of two workloads in `folder`; changes to None leave a key out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.cfg").write_text(fake.WORKLOAD)
    (folder / "other.cfg").write_text(fake.WORKLOAD.replace("2000", "3000"))
    path = folder / "experiment.toml"
    entries = {key: value for key, value in {**DEFAULTS, **changes}.items() if value is not None}
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in entries.items()))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
