"""damoos/Tuning-v0, alone and many side by side."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import damoos.env  # noqa: F401  registers
from damoos.backend.registry import open_backend
from damoos.env.history import SCORE_SCALE
from damoos.env.profile import profile
from damoos.env.tuning import TuningEnv, TuningVectorEnv
from damoos.errors import InputError
from damoos.tune.seeds import Stream, run_seeds, watch_seed
from damoos.workload.generated import generate
from tests.tune import fake

SIM: dict[str, Any] = {"workloads": "generated-train-0:3", "seeds": 2}


@pytest.fixture
def toy(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    return {"workloads": str(path), "backend": "fake"}


def make(**options: Any) -> TuningEnv:
    made = gymnasium.make("damoos/Tuning-v0", **options).unwrapped
    assert isinstance(made, TuningEnv)
    return made


def test_the_checkers_have_nothing_to_say(toy: dict[str, Any]) -> None:
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_env_sb3

    check_env(make(**toy))
    check_env_sb3(gymnasium.make("damoos/Tuning-v0", **SIM))


@pytest.mark.parametrize("backend", ["fake", "fake:broken"])
def test_rewards_add_up_to_the_best_feasible_score(toy: dict[str, Any], backend: str) -> None:
    env = make(**toy | {"backend": backend}, runs=6)
    rng = np.random.default_rng(0)
    for seed in range(8):
        env.reset(seed=seed)
        total, best, last = 0.0, 0.0, False
        for number in range(6):
            assert not last
            seen, reward, last, truncated, info = env.step(rng.uniform(-1, 1, 5))
            trial = info["trial"]
            total += reward
            if trial["feasible"] and trial["score"] > best:
                best, overhead = trial["score"], trial["runtime_overhead_percent"]
            assert SCORE_SCALE * total == pytest.approx(best, abs=1e-9)
            assert env.observation_space.contains(seen) and not truncated
            assert seen[15] == pytest.approx(1 - (number + 1) / 6)
        assert last and info["episode_score"] == info["reward_total"] == best and info["feasible"]
        assert best == 0.0 or info["runtime_overhead_percent"] == overhead
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(np.zeros(5))


def test_what_can_not_run_is_told_and_improves_nothing(toy: dict[str, Any]) -> None:
    env = make(**toy | {"backend": "fake:broken"})
    env.reset(seed=0)
    *_, info = env.step(np.zeros(5))
    seen, reward, *_, broken = env.step(np.array([0, 0, 0, 1.0, 0]))
    assert info["trial"]["error"] is None and broken["trial"]["error"] == "too slow for this machine"
    assert reward == 0.0 and not broken["trial"]["feasible"]


def test_the_default_point_is_shown_as_what_was_chosen(toy: dict[str, Any]) -> None:
    env = make(**toy)
    env.reset(seed=1)
    action = 2 * env.space.encode(env.space.defaults()) - 1
    seen, *_, info = env.step(action)
    assert info["trial"]["params"]["min_age"] == "5 s"
    newest = 15 + 2 + 5
    assert seen[newest + 3 : newest + 8].tolist() == pytest.approx(action.tolist())
    assert seen[newest + 1] == pytest.approx(info["trial"]["score"] / 20)
    assert seen[newest + 2] == pytest.approx(info["trial"]["runtime_overhead_percent"] / 20 - 1)


def test_seeds_are_those_of_a_study_and_the_profile_has_another() -> None:
    env = make(**SIM)
    seen, info = env.reset(seed=3)
    name = info["workload"]
    workload = generate("train", int(name.rsplit("-")[-1]))
    studies = [task.seed for task in env._session._runner._begun]  # type: ignore[attr-defined]
    assert info["seeds"] == list(run_seeds(studies[0], Stream.SEARCH, 1)) and info["time_kind"] == "simulated"
    expected = profile(open_backend("sim:zram"), workload, watch_seed(studies[0]))
    assert seen[:15].tolist() == expected.tolist()


def test_sessions_may_be_of_all_lengths(toy: dict[str, Any]) -> None:
    env = make(**toy, runs=4, vary_runs=True)
    lengths = []
    for seed in range(30):
        left = round(4 * float(env.reset(seed=seed)[0][15]))
        last, number = False, 0
        while not last:
            seen, _, last, *_ = env.step(np.zeros(5))
            number += 1
            assert seen[15] == (left - number) / 4
        assert number == left
        lengths.append(left)
    assert set(lengths) == {1, 2, 3, 4}


def test_options_leave_out_what_ablations_leave_out(toy: dict[str, Any]) -> None:
    full, short = make(**toy, runs=4), make(**toy, runs=4, history=1, profile=False, controls=["min_age"])
    assert full.observation_space.shape == (15 + 2 + 5 + 4 * 8,)
    assert short.observation_space.shape == (2 + 1 + 4,) and short.action_space.shape == (1,)
    short.reset(seed=0)
    *_, info = short.step(np.array([-1.0]))
    assert info["trial"]["params"] == short.space.texts(short.space.defaults() | {"min_age": 100_000})


@pytest.mark.parametrize("options", [{"runs": 0}, {"repeats": 0}, {"history": -1}, {"env": "no"}, {"controls": ["x"]}])
def test_bad_options_are_input_errors(toy: dict[str, Any], options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(**toy | options)


@pytest.mark.parametrize("threads", [1, 3])
def test_side_by_side_sessions_go_as_those_alone(threads: int) -> None:
    options: dict[str, Any] = SIM | {"runs": 2, "randomise": True}
    many = TuningVectorEnv(3, threads=threads, **options)
    alone = [make(**options) for _ in range(3)]
    assert many.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    rng = np.random.default_rng(0)
    seen, infos = many.reset(seed=7)
    for i, env in enumerate(alone):
        one, info = env.reset(seed=7 + i)
        assert one.tolist() == seen[i].tolist() and info["workload"] == infos["workload"][i]
    for _ in range(2):
        for _ in range(2):
            actions = rng.uniform(-1, 1, (3, 5)).astype(np.float32)
            seen, rewards, ended, truncated, infos = many.step(actions)
            for i, env in enumerate(alone):
                one, reward, last, _, info = env.step(actions[i])
                assert (one.tolist(), reward, last) == (seen[i].tolist(), rewards[i], ended[i])
                if last:
                    assert info["episode_score"] == infos["episode_score"][i] and infos["_episode_score"][i]
            assert not truncated.any()
        assert ended.all()
        seen, _ = many.reset(options={"reset_mask": ended})
        assert seen.tolist() == [env.reset()[0].tolist() for env in alone]
    many.close()


def test_only_those_in_the_mask_are_reset(toy: dict[str, Any]) -> None:
    many = TuningVectorEnv(2, **toy, runs=1)
    many.reset(seed=0)
    before, *_ = many.step(np.zeros((2, 5), np.float32))
    after, infos = many.reset(options={"reset_mask": np.array([False, True])})
    assert after[0].tolist() == before[0].tolist() and after[1, 15] == 1.0
    assert infos["_workload"].tolist() == [False, True]
    with pytest.raises(gymnasium.error.ResetNeeded):
        many.step(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.ones(2)])
def test_a_mask_that_does_not_fit_is_refused(toy: dict[str, Any], mask: Any) -> None:
    with pytest.raises(InputError, match="reset_mask"):
        TuningVectorEnv(2, **toy).reset(options={"reset_mask": mask})
    with pytest.raises(InputError, match="seed"):
        TuningVectorEnv(2, **toy).reset(seed=[1, 2, 3])
