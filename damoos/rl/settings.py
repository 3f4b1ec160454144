"""How a training goes unless told otherwise: `training/MODE.toml`, or `training/MODE-PRESET.toml` where there is one.

    title = "…"

    [arguments]                 # of the environment, while it trains
    controls = ["min_age"]
    seeds = 8

    [ppo]                       # one table an algorithm
    envs = 64                   # environments side by side
    steps = 1_000_000           # of all of them together
    net = [64, 64]              # hidden layers
    n_steps = 32                # what stable-baselines3's PPO takes
    …

`extends = "NAME"` lays the file over another one.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from damoos.catalogue import check_keys, find, line_of, names, read_extended
from damoos.errors import ConfigError, InputError

from .algorithms import ALGORITHMS, find_algorithm, options_of


@dataclass(frozen=True)
class Settings:
    """`envs` side by side, for `steps` steps of all together. `net`: hidden layers, with `activation` ("tanh" or
    "relu") after each; `log_std`: log of the first standard deviation of actions, where the algorithm learns one, and
    `log_std_last` what it is at most in the end (in between it goes straight from one to the other): what an agent does
    without noise is then what it learned with little. Not with `use_sde`.
    `normalise_observations`, `normalise_rewards`: by running means and variances. `anneal`: the learning rate goes down
    to 0 in the end. `constants`: how many actions that never change are tried first, to begin with the best of them, of
    an on-policy algorithm (0: none). `levels`: points of each control's range, of an algorithm that chooses among
    points. `evaluations` on validation workloads, of `episodes` each, spread over the training. `options`: what the
    algorithm itself takes.
    """

    envs: int = 16
    steps: int = 100_000
    net: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    log_std: float = -0.5
    log_std_last: float = math.inf
    normalise_observations: bool = True
    normalise_rewards: bool = True
    anneal: bool = False
    constants: int = 0
    levels: int = 9
    evaluations: int = 20
    episodes: int = 64
    options: Mapping[str, Any] = field(default_factory=dict)


_OWN = {f.name: f.default for f in fields(Settings) if f.name != "options"}
_ON_POLICY = ("constants", "log_std_last")
_TABLES = ("title", "extends", "arguments", *ALGORITHMS)


def settings_file(mode: str, preset: str, given: str | Path | None = None) -> Path:
    """The given file, or the catalogue's for a preset in a mode. Raises ConfigError."""
    if given is not None:
        return find("training", given)
    special = f"{mode}-{Path(preset).stem}"
    return find("training", special if special in names("training") else mode)


def load_settings(
    path: Path, algorithm: str, changes: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[Settings, dict[str, Any]]:
    """The settings of the algorithm in a file and the arguments of the environment, each with `changes` on top.

    Raises ConfigError with file, line, key and what is allowed; InputError for an unknown algorithm, MissingExtraError
    without the extra `rl`.
    """
    find_algorithm(algorithm)
    table = read_extended("training", path)
    check_keys(table, _TABLES, path)
    for name, inner in table.items():
        if not isinstance(inner, str if name == "title" else dict):
            raise ConfigError("not a table" if name != "title" else "not a text", file=path, field=name, value=inner)
    allowed = (*_OWN, *options_of(algorithm))
    check_keys(table.get(algorithm, {}), allowed, path, algorithm)
    check_keys(dict(changes), allowed, where="--set")
    asked = {**table.get(algorithm, {}), **changes}
    for key in _ON_POLICY:
        if asked.get(key, _OWN[key]) != _OWN[key] and ALGORITHMS[algorithm].replays:
            others = ", ".join(name for name, kind in ALGORITHMS.items() if not kind.replays)
            raise ConfigError("not of this algorithm", file=path, field=f"{algorithm}.{key}", allowed=others)
    own = {key: _own(path, algorithm, key, value) for key, value in asked.items() if key in _OWN}
    options = {key: value for key, value in asked.items() if key not in _OWN}
    return Settings(**own, options=options), {**table.get("arguments", {}), **arguments}


def parse_changes(texts: Sequence[str], option: str) -> dict[str, Any]:
    """`KEY=VALUE` texts as a table, values as TOML writes them; a word needs no quotes. Raises InputError."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.strip()):
            raise InputError("not understood", field=option, value=text, allowed="KEY=VALUE")
        try:
            found[key.strip()] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value.strip()
    return found


def _own(path: Path, table: str, key: str, value: Any) -> Any:
    kind = type(_OWN[key])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, list) and all(isinstance(n, int) and n > 0 for n in value):
        return tuple(value)
    least = 0 if key == "constants" else 1
    fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    if not fits or (kind is int and value < least) or (key == "activation" and value not in ("tanh", "relu")):
        allowed = {
            int: f"{least} and more",
            float: "a number",
            tuple: "a list of widths",
            str: "tanh, relu",
            bool: "true, false",
        }
        line = line_of(path, key, table)
        raise ConfigError(
            "wrong value", file=path, line=line, field=f"{table}.{key}", value=value, allowed=allowed.get(kind)
        )
    return value
