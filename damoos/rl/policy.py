"""A saved policy: one folder with all that it takes to act elsewhere as it did where it was trained.

| file | what |
| --- | --- |
| `policy.toml` | format, mode, preset and arguments of its environment, the space, algorithm, training, versions |
| `weights.npz` | `weights_0`, `biases_0`, … of the layers, and what normalises observations |
| `model.zip` | instead of layers, a policy with a memory as stable-baselines3 keeps it |
| `curve.csv` | how it learned |

A folder without one of them, or with one that does not fit the others, is refused by the name of what is missing.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.catalogue import POLICY, check_keys, find, line_of, names, read_toml
from damoos.errors import ConfigError
from damoos.files import write_whole
from damoos.tune.space import Space

from .algorithms import algorithm_class
from .network import ACTIVATIONS, OUTPUTS, Floats, Network, Normaliser

FORMAT = 1
WEIGHTS, MODEL, CURVE = "weights.npz", "model.zip", "curve.csv"

_TEXTS = ("title", "mode", "env_id", "preset", "algorithm", "activation", "output")
_NUMBERS = ("format", "observation_version", "observations", "actions")
_TABLES = ("arguments", "space", "normaliser", "training", "versions")

Actor = Callable[[Floats, NDArray[np.bool_]], NDArray[np.float32]]
"""Actions [N, d] for observations [N, D]; which of the N have just begun an episode counts for those with a memory."""


@dataclass(frozen=True)
class Policy:
    """A policy that was loaded. `mode`: "control", "tuning" or "oneshot", with the `arguments` of its environment;
    `preset`: the env; `space`: its parameters in words, as `space_texts` has them; `training` and `versions`: what it
    was trained on, how and with what, for the record. `network` is None for one with a memory, in `model.zip`."""

    name: str
    folder: Path
    title: str
    mode: str
    env_id: str
    preset: str
    algorithm: str
    arguments: Mapping[str, Any]
    space: Mapping[str, str]
    observation_version: int
    observations: int
    actions: int
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    network: Network | None = field(repr=False)
    normaliser: Normaliser | None = field(repr=False)

    def actor(self) -> Actor:
        """What acts, deterministically. Raises MissingExtraError where it takes torch and that is not installed."""
        return self.network_actor() or self._remembering()

    def network_actor(self) -> Actor | None:
        """The same without torch; None for a policy with a memory."""
        network = self.network
        return None if network is None else lambda observations, begun: network(observations)

    def _remembering(self) -> Actor:
        from .remembering import RememberingActor  # torch takes seconds to load

        return RememberingActor(
            algorithm_class(self.algorithm).load(self.folder / MODEL, device="cpu"), self.normaliser
        )

    def check_space(self, space: Space, env: str) -> None:
        """Raises ConfigError if `space`, of the preset `env`, is not the one that it was trained in."""
        there = space_texts(space)
        if dict(self.space) != there:
            name = next(n for n in (*self.space, *there) if self.space.get(n) != there.get(n))
            raise ConfigError(
                f"policy {self.name} was trained in another space than that of {env}",
                field=name,
                value=there.get(name, "no such parameter"),
                allowed=self.space.get(name, f"only {', '.join(self.space)}"),
            )


def space_texts(space: Space) -> dict[str, str]:
    """Each parameter of a space in words: range, scale, default and place, all that a policy's numbers stand for."""
    return {
        p.name: f"{p.range_text}, {p.info().scale}, default {p.text(p.default)}, {p.place}" for p in space.parameters
    }


def policy_names() -> tuple[str, ...]:
    """The policies of the catalogues."""
    return names("policies")


def find_policy(name_or_folder: str | Path) -> Path:
    """The folder of a catalogue's policy, or the given one. Raises ConfigError naming the nearest."""
    given = Path(name_or_folder)
    return given if (given / POLICY).is_file() else find("policies", name_or_folder).parent


def load_policy(name_or_folder: str | Path) -> Policy:
    """The policy of that name or folder. Raises ConfigError for one that is not whole."""
    folder = find_policy(name_or_folder)
    path = folder / POLICY
    table = read_toml(path)
    check_keys(table, (*_TEXTS, *_NUMBERS, *_TABLES), path)
    for keys, kind in ((_NUMBERS, int), (_TEXTS, str), (_TABLES, dict)):
        for key in keys:
            if not isinstance(table.get(key), kind):
                problem = "missing" if key not in table else f"not a {kind.__name__}"
                raise ConfigError(problem, file=path, line=line_of(path, key), field=key, value=table.get(key))
    if table["format"] != FORMAT:
        raise ConfigError("is of another damoos", file=path, field="format", value=table["format"], allowed=str(FORMAT))
    for name in (WEIGHTS, CURVE, *((MODEL,) if table["output"] == "model" else ())):
        if not (folder / name).is_file():
            raise ConfigError("is missing, and part of a policy", file=folder / name)
    network, normaliser = _read_network(folder / WEIGHTS, table, path)
    return Policy(
        name=folder.resolve().name,
        folder=folder,
        network=network,
        normaliser=normaliser,
        **{key: table[key] for key in _TEXTS if key not in ("activation", "output")},
        **{key: table[key] for key in _NUMBERS if key != "format"},
        **{key: table[key] for key in _TABLES if key != "normaliser"},
    )


def save_policy(policy: Policy, curve: str) -> None:
    """Writes the policy into its folder, which exists, with `curve` as CSV; of one with a memory the model is to be
    there already. Raises OSError."""
    network, normaliser = policy.network, policy.normaliser
    arrays: dict[str, NDArray[Any]] = {}
    if normaliser is not None:
        arrays |= {"observation_mean": normaliser.mean, "observation_variance": normaliser.variance}
    if network is not None:
        for i, (weights, biases) in enumerate(network.layers):
            arrays |= {f"weights_{i}": weights, f"biases_{i}": biases}
        if network.grid is not None:
            arrays["grid"] = network.grid
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    table: dict[str, Any] = {"format": FORMAT, **{key: getattr(policy, key) for key in _TEXTS[:5]}}
    table |= {key: getattr(policy, key) for key in _NUMBERS if key != "format"}
    table["activation"] = "none" if network is None else network.activation
    table["output"] = "model" if network is None else network.output
    table["normaliser"] = {} if normaliser is None else {"clip": normaliser.clip, "epsilon": normaliser.epsilon}
    table |= {key: dict(getattr(policy, key)) for key in _TABLES if key != "normaliser"}
    write_whole(policy.folder / WEIGHTS, buffer.getvalue())
    write_whole(policy.folder / CURVE, curve)
    write_whole(policy.folder / POLICY, toml_text(table))


def toml_text(table: Mapping[str, Any], name: str = "") -> str:
    """A table of texts, numbers, flags, lists of them and tables of such as TOML, the tables inside as of table `name`;
    None is left out."""
    flat = [f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if not isinstance(value, Mapping | None)]
    inner = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            full = f"{name}.{_key(key)}" if name else _key(key)
            inner.append(f"\n[{full}]\n{toml_text(value, full)}")
    return "".join(flat + inner)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _read_network(path: Path, table: dict[str, Any], where: Path) -> tuple[Network | None, Normaliser | None]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"can't be read: {error}", file=path) from error

    def array(name: str) -> NDArray[Any]:
        if name not in arrays:
            raise ConfigError("missing", file=path, field=name)
        return arrays[name]

    normaliser = None
    if table["normaliser"]:
        for key in ("clip", "epsilon"):
            if not isinstance(table["normaliser"].get(key), float):
                raise ConfigError("missing", file=where, field=f"normaliser.{key}")
        mean, variance = array("observation_mean"), array("observation_variance")
        normaliser = Normaliser(mean, variance, table["normaliser"]["clip"], table["normaliser"]["epsilon"])
    if table["output"] == "model":
        return None, normaliser
    for key, allowed in (("activation", ACTIVATIONS), ("output", OUTPUTS)):
        if table[key] not in allowed:
            raise ConfigError("unknown", file=where, field=key, value=table[key], allowed=", ".join(allowed))
    count = sum(name.startswith("weights_") for name in arrays)
    layers = tuple((array(f"weights_{i}"), array(f"biases_{i}")) for i in range(max(count, 1)))
    grid = array("grid") if table["output"] == "argmax" else None
    try:
        network = Network(layers, table["activation"], table["output"], normaliser, grid)
    except ConfigError as error:
        raise error.at(file=path) from None
    for name, there, asked in (
        ("observations", network.observations, table["observations"]),
        ("actions", network.actions, table["actions"]),
    ):
        if there != asked:
            raise ConfigError(f"does not fit {where.name}", file=path, field=name, value=there, allowed=str(asked))
    return network, normaliser
