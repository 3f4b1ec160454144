"""The policies of the catalogue are whole, small, and fit the presets and environments of now."""

import csv
from pathlib import Path

import numpy as np
import pytest

from damoos.rl.policy import load_policy, policy_names
from damoos.rl.strategy import policy_strategy
from damoos.tune.preset import load_env

LARGEST_BYTES = 2_000_000


@pytest.mark.parametrize("name", policy_names())
def test_it_is_whole_and_small_and_fits(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name and policy.network is not None
    policy_strategy(name).check(load_env(policy.preset).space, subject=True)
    assert sum(path.stat().st_size for path in policy.folder.iterdir()) < LARGEST_BYTES
    seen = np.random.default_rng(0).random((100, policy.observations))
    actions = policy.actor()(seen, np.zeros(100, bool))
    assert actions.shape == (100, policy.actions) and np.abs(actions).max() <= 1.0


@pytest.mark.parametrize("name", policy_names())
def test_it_learned_and_never_saw_the_test_split(name: str) -> None:
    policy = load_policy(name)
    with (policy.folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(float(row["reward"]) for row in rows)
    assert best > float(rows[0]["reward"])
    assert policy.training["command_line"].startswith("damoos rl train")
    texts = [*policy.training["workloads"], *policy.training["validation"]]
    assert not [text for text in texts if "generated-test" in text or Path(text).is_absolute()]
