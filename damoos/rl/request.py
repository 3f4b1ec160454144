"""What is to be trained, and what is told meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import Settings


@dataclass(frozen=True)
class Training:
    """What to train. `workloads` and `validation`: names, ranges or folders as `damoos.env.draw.workload_names` reads
    them. `arguments`: of the environment. `out`: the folder of the policy. `minutes`: ends it, too, where the steps of
    the settings are not over by then. `threads`: of the simulator. `command_line`: for the record."""

    preset: str
    mode: str
    algorithm: str
    workloads: tuple[str, ...]
    validation: tuple[str, ...]
    backend: str
    out: Path
    settings: Settings
    arguments: Mapping[str, Any]
    seed: int = 0
    minutes: float = math.inf
    threads: int | None = None
    command_line: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a training is: steps, of `total` unless time ends it, and the share of either. `left_s` of this machine's
    time is None while nothing tells it. `score`: the latest validation score, percent, and `best` that of the policy
    that is kept; None before the first. `evaluated`: whether `score` is new."""

    steps: int
    total: int
    share: float
    seconds: float
    left_s: float | None
    score: float | None
    best: float | None
    evaluated: bool = False
