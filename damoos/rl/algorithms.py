"""The algorithms that can train, of stable-baselines3 and sb3-contrib, by the names that users type."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from typing import Any

from damoos.errors import InputError, MissingExtraError


@dataclass(frozen=True)
class Algorithm:
    """`place`: module and class. `title`: one line. `replays`: learns from a buffer of old steps. `discrete`: chooses
    among points of a grid instead of numbers. `policy`: SB3's name of its network."""

    place: str
    title: str
    replays: bool = False
    discrete: bool = False
    policy: str = "MlpPolicy"


ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm("stable_baselines3:PPO", "proximal policy optimisation; the fast one with many environments"),
    "a2c": Algorithm("stable_baselines3:A2C", "advantage actor-critic"),
    "trpo": Algorithm("sb3_contrib:TRPO", "trust region policy optimisation"),
    "recurrent-ppo": Algorithm(
        "sb3_contrib:RecurrentPPO", "PPO with an LSTM, which needs torch to act", policy="MlpLstmPolicy"
    ),
    "sac": Algorithm("stable_baselines3:SAC", "soft actor-critic; few steps, each of them dear", replays=True),
    "td3": Algorithm("stable_baselines3:TD3", "twin delayed deterministic policy gradient", replays=True),
    "tqc": Algorithm("sb3_contrib:TQC", "truncated quantile critics", replays=True),
    "dqn": Algorithm(
        "stable_baselines3:DQN", "deep Q-learning over a grid of points, for few controls", replays=True, discrete=True
    ),
}


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of that name. Raises InputError naming the nearest."""
    if name not in ALGORITHMS:
        near = difflib.get_close_matches(name, ALGORITHMS, n=3, cutoff=0.5) or ALGORITHMS
        raise InputError("unknown algorithm", field="--algo", value=name, allowed=", ".join(near))
    return ALGORITHMS[name]


def algorithm_class(name: str) -> Any:
    """SB3's class. Raises InputError, MissingExtraError without the extra `rl`."""
    module, _, attribute = find_algorithm(name).place.partition(":")
    for package in ("torch", "stable_baselines3", module):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "rl")
    return getattr(importlib.import_module(module), attribute)


def options_of(name: str) -> tuple[str, ...]:
    """The settings that the algorithm itself takes, by its constructor."""
    ours = (
        "self",
        "policy",
        "env",
        "seed",
        "device",
        "verbose",
        "tensorboard_log",
        "policy_kwargs",
        "_init_setup_model",
    )
    return tuple(
        option for option in inspect.signature(algorithm_class(name).__init__).parameters if option not in ours
    )
