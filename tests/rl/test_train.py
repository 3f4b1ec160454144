"""Training learns, is kept at any time, and goes on after a stop."""

import dataclasses
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib")

from gymnasium.vector import SyncVectorEnv
from stable_baselines3 import PPO

from damoos.errors import StudyError
from damoos.rl import modes
from damoos.rl.policy import load_policy
from damoos.rl.request import Progress, Training
from damoos.rl.settings import Settings
from damoos.rl.train import train
from tests.rl.batches import batch

OBSERVATION_VERSION = 3


def counters(count: int, workloads: Sequence[str], **arguments: Any) -> SyncVectorEnv:
    return batch(count)


@pytest.fixture(autouse=True)
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(modes.MODES, "counter", modes.Mode("none", f"{__name__}:counters", __name__, "a test's"))
    yield


def a_training(out: Path, algorithm: str = "ppo", steps: int = 6_000, **options: Any) -> Training:
    given = {"learning_rate": 3e-3, "gamma": 0.5}
    if algorithm in ("ppo", "recurrent-ppo"):
        given |= {"n_steps": 32, "batch_size": 128}
    settings = Settings(envs=8, steps=steps, net=(16,), episodes=8, evaluations=3, options=given | options)
    return Training("reclaim", "counter", algorithm, ("a",), ("a",), "sim:zram", out, settings, {"seeds": 4})


def test_it_learns_and_the_best_policy_is_in_the_folder(tmp_path: Path) -> None:
    told: list[Progress] = []
    policy = train(a_training(tmp_path), on_progress=told.append)
    # The best action is 0.5, whatever is seen.
    seen = np.array([[0, 0, 2], [2, 1, 5]], np.float32)
    assert np.abs(policy.actor()(seen, np.zeros(2, bool)) - 0.5).max() < 0.15
    assert (policy.mode, policy.observation_version, policy.observations, policy.actions) == ("counter", 3, 3, 2)
    assert policy.training["seeds"] == 4 and "seeds" not in policy.arguments
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert len(lines) - 1 == sum(now.evaluated for now in told) >= 4
    assert told[-1].share == 1.0 and told[-1].steps >= 6_000
    logged = (tmp_path / "log" / "progress.csv").read_text().splitlines()
    assert {"validation/score", "rollout/ep_rew_mean"} <= set(logged[0].split(","))
    assert tomllib.loads((tmp_path / "policy.toml").read_text())["training"]["settings"]["n_steps"] == 32


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "trpo", "recurrent-ppo"])
def test_it_begins_with_the_best_action_that_never_changes(tmp_path: Path, algorithm: str) -> None:
    given = a_training(tmp_path, algorithm, steps=16)
    train(dataclasses.replace(given, settings=dataclasses.replace(given.settings, constants=40)))
    # A row before the first step: 0.5 earns 0 and is the outermost, the untrained 0 earns -0.5 a step of 2 to 5.
    first = (tmp_path / "curve.csv").read_text().splitlines()[1].split(",")
    assert int(first[0]) == 0 and float(first[4]) > -0.1


def test_noise_ends_as_small_as_it_is_told(tmp_path: Path) -> None:
    given = a_training(tmp_path, steps=2_000)
    train(dataclasses.replace(given, settings=dataclasses.replace(given.settings, log_std=-0.5, log_std_last=-4.0)))
    model = PPO.load(tmp_path / "checkpoint" / "model.zip")
    # The last rollout began before the end.
    assert model.policy.log_std.max().item() < -3.0


@pytest.mark.parametrize("algorithm", ["sac", "td3", "tqc", "dqn", "trpo", "a2c", "recurrent-ppo"])
def test_every_algorithm_trains_and_its_policy_acts(algorithm: str, tmp_path: Path) -> None:
    replays = algorithm in ("sac", "td3", "tqc", "dqn")
    settings: dict[str, Any] = {"learning_starts": 40} if replays else {}
    policy = train(a_training(tmp_path, algorithm, 160, **settings))
    act = policy.actor()
    assert act(np.zeros((8, 3), np.float32), np.ones(8, bool)).shape == (8, 2)
    assert (tmp_path / "model.zip").is_file() == (algorithm == "recurrent-ppo")


def test_the_same_seed_learns_the_same(tmp_path: Path) -> None:
    for name in "ab":
        train(a_training(tmp_path / name, steps=1_000))
    one, two = (load_policy(tmp_path / name).network for name in "ab")
    assert one is not None and two is not None
    assert all(np.array_equal(a, b) for a, b in zip(one.layers[0], two.layers[0], strict=True))


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_it_goes_on_after_an_interrupt(tmp_path: Path, algorithm: str) -> None:
    settings: dict[str, Any] = {"learning_starts": 40} if algorithm == "sac" else {}
    training = a_training(tmp_path, algorithm, 800, **settings)

    def interrupt(now: Progress) -> None:
        if now.steps > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(training, on_progress=interrupt)
    before = (tmp_path / "curve.csv").read_text()
    told: list[Progress] = []
    train(training, resume=True, on_progress=told.append)
    after = (tmp_path / "curve.csv").read_text()
    assert after.startswith(before) and len(after) > len(before)
    assert told[0].steps > 0 and told[-1].steps >= 800


def test_folders_are_not_mixed_up(tmp_path: Path) -> None:
    training = a_training(tmp_path / "one", steps=256)
    with pytest.raises(StudyError, match="nothing to go on with"):
        train(training, resume=True)
    train(training)
    with pytest.raises(StudyError, match="holds a training"):
        train(training)
    with pytest.raises(StudyError, match="another training: arguments"):
        train(dataclasses.replace(training, arguments={"seeds": 5}), resume=True)


def test_minutes_end_it(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(dataclasses.replace(a_training(tmp_path, steps=10**8), minutes=0.02), on_progress=told.append)
    assert told[-1].seconds < 30 and told[-1].share == 1.0
