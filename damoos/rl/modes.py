"""What can be learned: the environments of a preset, each a batch that is made by the same arguments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from damoos.errors import InputError

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

ONLY_TRAINING = ("seeds", "randomise", "landscapes", "vary_runs", "relative", "power")
"""Arguments that say what episodes are drawn from, not what a policy sees and does."""


@dataclass(frozen=True)
class Mode:
    """`env_id`: the single environment; `batch`: module and name of what makes many; `version`: module of its
    `OBSERVATION_VERSION`. `title`: one line."""

    env_id: str
    batch: str
    version: str
    title: str


MODES: dict[str, Mode] = {
    "control": Mode(
        "damoos/Control-v0",
        "damoos.env.batch:ControlVectorEnv",
        "damoos.env.signals",
        "within a run; an action holds for the next second",
    ),
    "tuning": Mode(
        "damoos/Tuning-v0",
        "damoos.env.tuning:TuningVectorEnv",
        "damoos.env.tuning",
        "an action is a run; an episode is a session of them",
    ),
    "oneshot": Mode(
        "damoos/OneShot-v0",
        "damoos.env.one_shot_batch:one_shot_vector_env",
        "damoos.env.one_shot",
        "an action is one whole run",
    ),
}


def find_mode(name: str) -> Mode:
    """The mode of that name. Raises InputError."""
    if name not in MODES:
        raise InputError("unknown mode", field="--mode", value=name, allowed=", ".join(MODES))
    return MODES[name]


def observation_version(mode: str) -> int:
    """By how its observations are made now; a policy that was trained on others can't be used."""
    return int(importlib.import_module(find_mode(mode).version).OBSERVATION_VERSION)


def make_batch(
    mode: str,
    count: int,
    workloads: Sequence[str],
    preset: str,
    backend: str,
    arguments: Mapping[str, Any],
    threads: int | None = None,
) -> VectorEnv[Any, Any, Any]:
    """`count` environments whose episodes are of `workloads`. Raises InputError, also for an unknown argument."""
    module, _, name = find_mode(mode).batch.partition(":")
    make = getattr(importlib.import_module(module), name)
    try:
        return make(count, list(workloads), env=preset, backend=backend, threads=threads, **arguments)
    except TypeError as error:
        unknown = [key for key in arguments if f"'{key}'" in str(error)]
        if not unknown:
            raise
        raise InputError(
            "no such argument", field=f"arguments of {mode}", value=unknown[0], allowed="see docs/rl.md"
        ) from error
