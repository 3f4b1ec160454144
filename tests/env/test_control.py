"""damoos/Control-v0, alone and many side by side: what it shows, what it rewards, and that one is as the other."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import damoos.env
from damoos import catalogue
from damoos.env import episodes
from damoos.env.batch import ControlVectorEnv
from damoos.env.control import ControlEnv
from damoos.env.runs import Runs
from damoos.env.signals import IDLE_EDGES_S, RATE_EDGES, SIGNALS
from damoos.errors import InputError
from damoos.tune.objective import Objective, run_of
from damoos.tune.outcome import Run
from damoos.tune.preset import load_env
from damoos.tune.running import running_reward
from tests.tune import fake

SHORT = """hot, 8388608
cold, 67108864
warm, 33554432

load
1000
hot, 0, 4096, 1
cold, 0, 4096, 1
warm, 0, 4096, 1

first
6000
hot, 1, 0, 1

second
4000
cold, 1, 0, 1
warm, 0, 4096, 1
"""
REFUSED = {
    "monitoring": "step by step",
    "monitoring-goal": "step by step",
    "reclaim-feedback": "can't be controlled",
}


@pytest.fixture
def workload(tmp_path: Path) -> str:
    path = tmp_path / "short.cfg"
    path.write_text(SHORT)
    return str(path)


def run(env: ControlEnv, seed: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[float], dict[str, Any]]:
    observations, rewards = [env.reset(seed=seed)[0]], []
    while True:
        action = rng.uniform(-1.0, 1.0, env.action_space.shape or ()).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            return observations, rewards, info


@pytest.mark.parametrize("preset", ["reclaim", "reclaim-quota"])
def test_the_checkers_have_nothing_to_say(workload: str, preset: str) -> None:
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_sb3

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make("damoos/Control-v0", workloads=workload, env=preset)
        check_env(made.unwrapped, skip_render_check=True)
        check_sb3(made)
    made.close()


@pytest.mark.parametrize(("name", "preset"), [("short", "reclaim"), ("zigzag", "reclaim-quota")])
def test_rewards_sum_to_the_objectives_reward_of_the_run(workload: str, name: str, preset: str) -> None:
    env = ControlEnv(workload if name == "short" else name, env=preset)
    for seed in range(3):
        _, rewards, info = run(env, seed, np.random.default_rng(seed))
        session, base = env.episodes.sessions[0], env.episodes.baselines[0]
        assert session is not None and base is not None
        objective = load_env(preset).objective
        repeat = objective.repeat(run_of(session.finish()), base.run)
        assert sum(rewards) == pytest.approx(objective.reward([repeat]), abs=1e-9)
        for key, value in (
            ("reward_total", objective.reward([repeat])),
            ("episode_score", repeat.score),
            ("runtime_overhead_percent", repeat.runtime_overhead_percent),
            ("rss_overhead_percent", repeat.rss_overhead_percent),
        ):
            assert info[key] == pytest.approx(value, abs=1e-9)


def test_no_single_step_has_all_of_the_reward(workload: str) -> None:
    _, rewards, _ = run(ControlEnv(workload), 0, np.random.default_rng(0))
    assert np.abs(rewards).max() < 0.9 * np.abs(rewards).sum()


@pytest.mark.parametrize("preset", catalogue.names("envs"))
def test_every_preset_can_be_controlled_or_is_refused(workload: str, preset: str) -> None:
    if preset in REFUSED:
        with pytest.raises(InputError, match=REFUSED[preset]):
            ControlEnv(workload, env=preset)
        return
    env = ControlEnv(workload, env=preset, backend="sim:tiered" if preset == "tiering" else "sim:zram")
    observations, _, info = run(env, 3, np.random.default_rng(3))
    assert all(env.observation_space.contains(observation) for observation in observations)
    assert np.isfinite(info["reward_total"])


def test_wrong_arguments_are_refused(workload: str) -> None:
    with pytest.raises(InputError, match="min_age"):
        ControlEnv(workload, controls=("nonsense",))
    with pytest.raises(InputError, match="step_s"):
        ControlEnv(workload, step_s=0.0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        ControlEnv(workload).step(np.zeros(5))


def test_who_controls_one_parameter_leaves_the_others_at_their_defaults(workload: str) -> None:
    env = ControlEnv(workload, controls=("min_age",))
    assert env.action_space.shape == (1,)
    env.reset(seed=0)
    env.step(np.array([1.0], np.float32))
    session = env.episodes.sessions[0]
    assert session is not None
    space = load_env("reclaim").space
    assert session.finish().asked == space.kdamonds(space.defaults() | {"min_age": 60_000_000})


def test_what_changes_nothing_is_not_committed(workload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = ControlEnv(workload)
    observation, _ = env.reset(seed=0)
    default = observation[len(SIGNALS) :]
    committed: list[np.ndarray] = []
    runs = env.episodes.runs
    assert runs is not None
    monkeypatch.setattr(runs, "commit", lambda values, which: committed.append(which))
    env.step(default)
    assert not committed
    env.step(-default)
    assert len(committed) == 1


def test_an_agent_that_is_not_told_the_progress_sees_none(workload: str) -> None:
    names = [name for name, _, _ in SIGNALS]
    told: list[np.ndarray] = []
    untold: list[np.ndarray] = []
    for progress, seen in ((True, told), (False, untold)):
        observations, _, _ = run(ControlEnv(workload, progress=progress), 0, np.random.default_rng(0))
        seen.extend(observations[:-1])
    for name in ("progress", "speed", "mean_speed"):
        at = names.index(name)
        assert not np.array(untold)[:, at].any()
        assert np.array(told)[1:, at].all()


def test_an_episode_that_takes_too_long_is_truncated(workload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "LONGEST", 0.5)
    env = ControlEnv(workload)
    _, rewards, info = run(env, 0, np.random.default_rng(0))
    assert 5 <= len(rewards) <= 8
    assert info["feasible"] is False
    assert sum(rewards) == pytest.approx(info["reward_total"], abs=1e-9)


def test_many_side_by_side_are_as_each_alone(workload: str) -> None:
    """Environments whose episodes end at different times, reset by masks, twice around."""
    count, options = 4, {"workloads": [workload, "generated-train-5"], "seeds": 3, "randomise": True, "step_s": 2.0}
    many = ControlVectorEnv(count, **options)  # type: ignore[arg-type]
    alone = [ControlEnv(**options) for _ in range(count)]  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    seen, infos = many.reset(seed=7)
    for i, env in enumerate(alone):
        observation, info = env.reset(seed=7 + i)
        assert (seen[i] == observation).all()
        assert infos["workload"][i] == info["workload"]
    ended = 0
    while ended < 6:
        actions = rng.uniform(-1.0, 1.0, many.action_space.shape or ()).astype(np.float32)
        seen, rewards, terminated, truncated, infos = many.step(actions)
        for i, env in enumerate(alone):
            observation, reward, *ends, info = env.step(actions[i])
            assert (seen[i] == observation).all()
            assert (rewards[i], terminated[i], truncated[i]) == (reward, *ends)
            if any(ends):
                assert infos["_episode_score"][i] and infos["episode_score"][i] == info["episode_score"]
        over = terminated | truncated
        if over.any():
            ended += int(over.sum())
            with pytest.raises(gymnasium.error.ResetNeeded):
                many.step(actions)
            before = seen.copy()
            seen, _ = many.reset(options={"reset_mask": over})
            assert (seen[~over] == before[~over]).all()
            for i in np.flatnonzero(over).tolist():
                assert (seen[i] == alone[i].reset()[0]).all()
    many.close()


def test_many_are_made_by_name(workload: str) -> None:
    made = gymnasium.make_vec("damoos/Control-v0", num_envs=2, workloads=workload)
    assert made.reset(seed=1)[0].shape == (2, len(SIGNALS) + 5)
    with pytest.raises(InputError, match="reset_mask"):
        made.reset(options={"reset_mask": np.ones(3, bool)})
    made.close()


def test_the_first_reset_is_of_all_also_after_a_close(workload: str) -> None:
    episodes_of_two = ControlVectorEnv(2, workload).episodes
    generators = [(i, np.random.default_rng(i)) for i in range(2)]
    for _ in range(2):
        with pytest.raises(gymnasium.error.ResetNeeded, match="all environments"):
            episodes_of_two.begin(generators[:1])
        assert episodes_of_two.begin(generators).shape == (2, len(SIGNALS) + 5)
        episodes_of_two.step(np.zeros((2, 5)))
        episodes_of_two.close()


def test_the_documented_table_is_as_long_as_the_observation() -> None:
    assert f"| {len(SIGNALS)}..{len(SIGNALS) - 1}+d |" in (ControlEnv.__doc__ or "")


@pytest.mark.parametrize("kind", ["damoos", "metric"])
def test_what_a_run_comes_to_at_its_end_is_the_objectives_reward(kind: str) -> None:
    base = Run(0, 10.0, 100.0, 100, 0, 0, 0, 0.0)
    objective = Objective(weight=0.3, limit_percent=5.0) if kind == "damoos" else Objective("metric", metrics=("rss",))
    one = np.ones(1)
    for runtime_s, rss in ((10.0, 60.0), (10.4, 60.0), (11.0, 120.0)):
        repeat = objective.repeat(Run(0, runtime_s, rss, 100, 0, 0, 0, 0.0), base)
        now = running_reward(objective, one * runtime_s / 10.0, one * rss / 100.0, one, one)
        assert now[0] == pytest.approx(objective.reward([repeat]) if kind == "damoos" else 0.0)


def test_a_run_like_its_baseline_is_at_0_all_the_way() -> None:
    share = np.linspace(0.1, 1.0, 7)
    mean = np.array([1.0, 1.3, 0.8, 0.9, 1.0, 1.1, 1.0])
    found = running_reward(Objective(), share, mean, share, share * mean)
    assert found == pytest.approx(np.zeros(7), abs=1e-12)


def test_backends_that_are_not_simulated_are_steered_session_by_session(tmp_path: Path) -> None:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    env = ControlEnv(str(path), backend="fake", step_s=0.5)
    _, rewards, info = run(env, 0, np.random.default_rng(0))
    assert len(rewards) == 4
    assert sum(rewards) == pytest.approx(info["reward_total"], abs=1e-9)


def test_steered_session_by_session_a_simulated_run_goes_as_in_a_fleet(
    workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, fleet_rewards, fleet_info = run(ControlEnv(workload, env="reclaim-quota"), 5, np.random.default_rng(5))

    def one_by_one(self: episodes.Episodes) -> Runs:
        sessions = [session for session in self.sessions if session is not None]
        return Runs(sessions, self._kdamonds, rate_edges=RATE_EDGES, idle_edges_s=IDLE_EDGES_S)

    monkeypatch.setattr(episodes.Episodes, "_alongside", one_by_one)
    alone, rewards, info = run(ControlEnv(workload, env="reclaim-quota"), 5, np.random.default_rng(5))
    assert info == pytest.approx(fleet_info)
    # Times are those of samples here; before the first step there is none.
    assert np.array(alone)[1:] == pytest.approx(np.array(fleet)[1:], abs=0.08)
    assert np.array(alone)[1:, :10] == pytest.approx(np.array(fleet)[1:, :10], abs=1e-6)
    assert rewards == pytest.approx(fleet_rewards, abs=0.5)


def test_importing_the_package_registers() -> None:
    assert "damoos/Control-v0" in damoos.env.ENVIRONMENTS
    assert set(damoos.env.ENVIRONMENTS) <= set(gymnasium.registry)
