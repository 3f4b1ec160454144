"""BatchedVecEnv: what stable-baselines3 sees of a batch is what single environments do."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from damoos.errors import InputError
from damoos.rl.sb3 import BatchedVecEnv, rows
from tests.rl.batches import Counter, batch


def test_trajectories_are_those_of_single_environments_with_the_next_episode_begun_in_the_same_step() -> None:
    count, rng = 3, np.random.default_rng(1)
    vec = BatchedVecEnv(batch(count))
    vec.seed(7)
    seen = vec.reset()
    singles = [Counter() for _ in range(count)]
    expected = np.array([single.reset(seed=7 + i)[0] for i, single in enumerate(singles)])
    assert np.array_equal(seen, expected)
    cut = ended = 0
    for _ in range(40):
        actions = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
        seen, rewards, dones, infos = vec.step(actions)
        for i, single in enumerate(singles):
            after, reward, terminated, truncated, info = single.step(actions[i])
            assert rewards[i] == np.float32(reward) and dones[i] == (terminated or truncated)
            if dones[i]:
                assert np.array_equal(infos[i]["terminal_observation"], after)
                assert infos[i]["TimeLimit.truncated"] == truncated
                assert infos[i]["episode_score"] == info["episode_score"] and infos[i]["workload"] == "counter"
                after, begun = single.reset()
                assert vec.reset_infos[i]["length"] == begun["length"]
                cut, ended = cut + truncated, ended + terminated
            else:
                assert infos[i] == {}
            assert np.array_equal(seen[i], after)
    assert cut and ended


def test_what_was_returned_is_not_written_over() -> None:
    vec = BatchedVecEnv(batch(2))
    first = vec.reset()
    kept = first.copy()
    vec.step(np.ones((2, 2), np.float32))
    assert np.array_equal(first, kept)


def test_seeds_count_for_one_reset() -> None:
    vec = BatchedVecEnv(batch(4))
    vec.seed(3)
    lengths = [vec.reset()[:, 2].tolist() for _ in range(5)]
    vec.seed(3)
    assert vec.reset()[:, 2].tolist() == lengths[0]
    assert any(other != lengths[0] for other in lengths[1:])


def test_wrappers_of_sb3_work_on_it() -> None:
    vec = VecNormalize(VecMonitor(BatchedVecEnv(batch(2))))
    vec.seed(0)
    vec.reset()
    lengths = []
    for _ in range(20):
        _, _, dones, infos = vec.step(np.zeros((2, 2), np.float32))
        lengths += [infos[i]["episode"]["l"] for i in np.flatnonzero(dones)]
    assert lengths and all(2 <= length <= 5 for length in lengths)


def test_modes_that_hide_the_last_observation_are_refused() -> None:
    with pytest.raises(InputError, match="autoreset_mode.*NEXT_STEP.*allowed"):
        BatchedVecEnv(batch(2, AutoresetMode.NEXT_STEP))


def test_single_environments_cant_be_called() -> None:
    vec = BatchedVecEnv(batch(2))
    with pytest.raises(InputError, match="single"):
        vec.env_method("reset")
    with pytest.raises(InputError, match="all environments"):
        vec.set_attr("x", 1, [0])
    assert vec.get_attr("render_mode") == [None, None] and vec.env_is_wrapped(Counter) == [False, False]


def test_infos_are_told_apart() -> None:
    told = {"a": np.array([1, 2]), "_a": np.array([False, True]), "b": {"c": np.array([3, 4])}, "_b": np.array([1, 0])}
    assert rows(told, 2) == [{"b": {"c": 3}}, {"a": 2}]
