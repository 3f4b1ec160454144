"""damoos/OneShot-v0 as Gymnasium and stable-baselines3 want it, and what it tells."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import damoos.env
from damoos.damon.damo_format import from_damo
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.env.one_shot import OneShotEnv
from damoos.env.profile import FEATURES
from damoos.errors import InputError
from damoos.tune.objective import Objective
from tests.tune import fake


@pytest.fixture
def workload(tmp_path: Path) -> str:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    return str(path)


def make(workload: str, **options: Any) -> OneShotEnv:
    made = gymnasium.make("damoos/OneShot-v0", workload=workload, **({"backend": "fake"} | options)).unwrapped
    assert isinstance(made, OneShotEnv)
    return made


def test_gymnasiums_checker_has_nothing_to_say(workload: str) -> None:
    from gymnasium.utils.env_checker import check_env

    check_env(make(workload))


def test_stable_baselines_checker_has_nothing_to_say() -> None:
    from stable_baselines3.common.env_checker import check_env

    check_env(gymnasium.make("damoos/OneShot-v0", workload="zigzag", env="reclaim", backend="sim:zram", repeats=1))


def test_importing_the_package_registers() -> None:
    assert set(damoos.env.ENVIRONMENTS) <= set(gymnasium.registry)
    damoos.env.register()


def test_the_default_point_is_the_documented_example(workload: str) -> None:
    env = make(workload)
    env.reset(seed=1)
    action = 2 * env.space.encode(env.space.defaults()) - 1
    _, reward, terminated, truncated, info = env.step(action)
    assert (terminated, truncated) == (True, False)
    assert from_damo(info["kdamonds"]) == Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
    assert info["params"]["min_age"] == "5 s"
    assert reward == pytest.approx(info["score"])


def test_the_reward_is_the_objectives_and_its_parts_are_told(workload: str) -> None:
    env = make(workload, repeats=3)
    for seed in range(10):
        env.reset(seed=seed)
        action = np.random.default_rng(seed).uniform(-1, 1, 5)
        _, reward, *_, info = env.step(action)
        runtime, rss = info["runtime_overhead_percent"], info["rss_overhead_percent"]
        assert info["score"] == pytest.approx(-(runtime + rss) / 2)
        excess = max(runtime - Objective().limit_percent, 0)
        assert reward == pytest.approx(info["score"] - 10 * excess)
        assert info["feasible"] == (excess == 0)
        assert len(info["seeds"]) == 3 and info["time_kind"] == "simulated"


def test_seeds_decide_everything_and_differ_between_episodes(workload: str) -> None:
    env, action = make(workload, repeats=2), np.zeros(5)

    def episode(**options: Any) -> tuple[Any, ...]:
        observation, before = env.reset(**options)
        _, reward, *_, info = env.step(action)
        assert before["seeds"] == info["seeds"]
        return observation.tolist(), reward, info["seeds"]

    first, second = episode(seed=5), episode()
    assert first[2] != second[2]
    assert (episode(seed=5), episode()) == (first, second)


def test_actions_outside_are_clipped(workload: str) -> None:
    env = make(workload)
    env.reset(seed=0)
    inside = env.step(np.array([1, -1, 1, -1, 1.0]))[4]["params"]
    assert env.step(np.array([9, -9, 2, -1.5, 1.1]))[4]["params"] == inside


def test_what_can_not_run_is_punished_and_explained(workload: str) -> None:
    env = make(workload, backend="fake:broken")
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(np.array([0, 0, 0, 1.0, 0]))
    assert reward == env.FAILED and terminated
    assert info["error"] == "too slow for this machine" and not info["feasible"]


def test_a_step_needs_a_reset(workload: str) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        make(workload).step(np.zeros(5))


@pytest.mark.parametrize("options", [{"repeats": 0}, {"env": "nothing"}, {"backend": "cloud"}])
def test_bad_options_are_input_errors(workload: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(workload, **options)


def test_the_docstrings_table_has_all_features() -> None:
    text = OneShotEnv.__doc__ or ""
    assert f"float32 [{len(FEATURES)}]" in text and "| 13, 14 |" in text and len(FEATURES) == 15
