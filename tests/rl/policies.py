"""Policies to keep, to break and to act with, none of which learned anything."""

from pathlib import Path
from typing import Any

import numpy as np

from damoos.rl.network import Network, Normaliser
from damoos.rl.policy import Policy, space_texts
from damoos.tune.preset import load_env


def a_network(observations: int = 3, actions: int = 2, seed: int = 0, normalises: bool = True) -> Network:
    rng = np.random.default_rng(seed)
    widths = (observations, 8, actions)
    layers = tuple(
        (rng.normal(size=(after, before)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in zip(widths[:-1], widths[1:], strict=True)
    )
    mean, variance = rng.normal(size=observations), rng.uniform(0.5, 2.0, observations)
    return Network(layers, "tanh", "clip", Normaliser(mean, variance, 10.0, 1e-8) if normalises else None)


def a_policy(folder: Path, network: Network | None = None, **changes: Any) -> Policy:
    network = network or a_network()
    settings: dict[str, Any] = {
        "name": folder.name,
        "folder": folder,
        "title": "a test's",
        "mode": "oneshot",
        "env_id": "damoos/OneShot-v0",
        "preset": "reclaim",
        "algorithm": "ppo",
        "arguments": {},
        "space": space_texts(load_env("reclaim").space),
        "observation_version": 1,
        "observations": network.observations,
        "actions": network.actions,
        "training": {"workloads": ["zigzag"], "steps": 10, "settings": {"net": [8]}},
        "versions": {"damoos": "0.1.0"},
        "network": network,
        "normaliser": network.normaliser,
    }
    return Policy(**(settings | changes))
