"""Where a training goes on after a stop: a folder with the model, the normaliser, a replay buffer, how far it is."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from damoos.catalogue import POLICY
from damoos.errors import StudyError
from damoos.files import write_whole
from damoos.tune.preset import load_env

from .request import Training

FOLDER = "checkpoint"
MODEL, NORMALISER, REPLAY = "model.zip", "normaliser.pkl", "replay.pkl"
CURVE_COLUMNS = (
    "steps",
    "seconds",
    "training_reward",
    "score",
    "reward",
    "feasible",
    "runtime_overhead_percent",
    "rss_overhead_percent",
)
"""Of the learning curve: what follows the training's own reward is of the validation episodes, means."""

_STATE = "state.json"


@dataclass
class State:
    """How far a training is: environment steps, seconds of this machine, what is kept so far and the learning curve."""

    steps: int = 0
    seconds: float = 0.0
    best_reward: float | None = None
    best_score: float | None = None
    curve: list[list[float]] = field(default_factory=list)

    def curve_text(self) -> str:
        """The learning curve as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CURVE_COLUMNS)
        writer.writerows([f"{number:.8g}" for number in row] for row in self.curve)
        return text.getvalue()


def check_folder(training: Training, resume: bool) -> None:
    """Raises StudyError where the folder holds a training and none is to go on, or another one or none is."""
    there = training.out / FOLDER / _STATE
    if not resume:
        if there.is_file() or (training.out / POLICY).is_file():
            raise StudyError(f"{training.out} holds a training; --resume goes on with it, or give another --out")
        return
    if not there.is_file():
        raise StudyError(f"{there} is missing: there is nothing to go on with")
    old, new = json.loads(there.read_text(encoding="utf-8"))["training"], _identity(training)
    for key, value in new.items():
        if old.get(key) != value:
            raise StudyError(f"{training.out} holds another training: {key} {old.get(key)} there, {value} asked")


def read_state(training: Training) -> State:
    """What `write_state` wrote."""
    table = json.loads((training.out / FOLDER / _STATE).read_text(encoding="utf-8"))
    return State(**{f.name: table[f.name] for f in dataclasses.fields(State)})


def write_state(training: Training, state: State) -> None:
    """Writes the state beside the model, last, so that a checkpoint with a state is whole."""
    table = {"training": _identity(training), **asdict(state)}
    write_whole(training.out / FOLDER / _STATE, json.dumps(table, indent=1))


def folder_of(training: Training) -> Path:
    """The checkpoint's folder, made if need be."""
    folder = training.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _identity(training: Training) -> dict[str, Any]:
    # What has to stay when a training goes on, as JSON has it.
    preset = load_env(training.preset)
    kept = {
        "preset": preset.name,
        "content": preset.sha256,
        "mode": training.mode,
        "algorithm": training.algorithm,
        "arguments": dict(training.arguments),
        "workloads": training.workloads,
        "envs": training.settings.envs,
        "net": training.settings.net,
    }
    return json.loads(json.dumps(kept))
