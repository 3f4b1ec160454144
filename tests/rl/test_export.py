"""What acts without torch acts as stable-baselines3 does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib")

from stable_baselines3.common.vec_env import VecNormalize

from damoos.rl.algorithms import ALGORITHMS, algorithm_class
from damoos.rl.export import network_of, normaliser_of
from damoos.rl.grid import GridActions, grid_of
from damoos.rl.policy import load_policy, save_policy
from damoos.rl.sb3 import BatchedVecEnv
from tests.rl.batches import batch
from tests.rl.policies import a_policy

PLAIN = [name for name, algorithm in ALGORITHMS.items() if algorithm.policy == "MlpPolicy"]


def learned(name: str, normalise: bool) -> tuple[Any, Any, Any]:
    """A model that has learned a little, its environment, and its grid if it has one."""
    algorithm = ALGORITHMS[name]
    grid = grid_of(3, 2) if algorithm.discrete else None
    vec: Any = BatchedVecEnv(batch(2))
    vec = vec if grid is None else GridActions(vec, grid)
    vec = VecNormalize(vec) if normalise else vec
    options: dict[str, Any] = {"learning_starts": 10} if algorithm.replays else {"n_steps": 64}
    model = algorithm_class(name)(
        algorithm.policy, vec, seed=0, device="cpu", policy_kwargs={"net_arch": [8, 8]}, **options
    )
    model.learn(128)
    return model, vec, grid


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("normalise", [True, False])
def test_actions_are_those_of_stable_baselines(name: str, normalise: bool, tmp_path: Path) -> None:
    model, vec, grid = learned(name, normalise)
    network = network_of(model, normaliser_of(vec), grid)
    assert network is not None
    save_policy(a_policy(tmp_path, network=network), "steps\n0\n")
    again = load_policy(tmp_path).actor()
    seen = np.random.default_rng(0).uniform(-9, 9, (200, 3)).astype(np.float32)
    theirs, _ = model.predict(vec.normalize_obs(seen) if normalise else seen, deterministic=True)
    theirs = theirs if grid is None else grid[theirs]
    ours = again(seen, np.zeros(200, bool))
    assert ours.dtype == np.float32 and np.ptp(ours, axis=0).max() > 0
    assert np.abs(ours - theirs).max() < 1e-6


def test_a_policy_with_a_memory_has_no_network() -> None:
    model, vec, _ = learned("recurrent-ppo", True)
    assert network_of(model, normaliser_of(vec)) is None
