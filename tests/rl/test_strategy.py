"""Policies as strategies: they owe what strategies owe, and do in a study what they do in their environment."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.env.batch import ControlVectorEnv
from damoos.env.draw import TaskSource
from damoos.env.profile import profile
from damoos.env.signals import SIGNALS
from damoos.env.tuning import TuningEnv
from damoos.errors import ConfigError, InputError
from damoos.experiment.course import run_course
from damoos.experiment.env_task import EnvTask
from damoos.rl.evaluate import fixed
from damoos.rl.policy import Policy, load_policy, save_policy
from damoos.rl.strategy import VERSIONS, policy_strategy, profile_of
from damoos.tune.objective import run_of
from damoos.tune.preset import load_env
from damoos.tune.strategies import find_strategy, strategy_names
from damoos.tune.testing import StrategyConformance
from damoos.tune.trial import Bench
from damoos.tune.watching import monitoring, watch
from damoos.workload.processes import find_masim
from tests.rl.policies import a_network, a_policy

RECLAIM = load_env("reclaim").space
SIZES: dict[str, tuple[dict[str, Any], int, int]] = {
    "control": ({"controls": ["min_age", "max_accesses"], "progress": False}, len(SIGNALS) + 2, 2),
    "tuning": ({"runs": 4}, 15 + 2 + 5 + 4 * 8, 5),
    "oneshot": ({}, 15, 5),
}


def saved(folder: Path, mode: str, **changes: Any) -> Policy:
    arguments, observations, actions = SIZES[mode]
    folder.mkdir(parents=True, exist_ok=True)
    network = a_network(observations, actions, seed=3, normalises=False)
    training = {
        "workloads": ["zigzag"],
        "validation": ["stairs"],
        "steps": 1,
        "backend": "sim:zram",
        "command_line": "",
    }
    settings = {
        "mode": mode,
        "arguments": arguments,
        "training": training,
        "observation_version": VERSIONS[mode],
    } | changes
    policy = a_policy(folder, network=network, **settings)
    save_policy(policy, "steps\n0\n")
    return policy


def _conformance(mode: str) -> type[StrategyConformance]:
    class Conforms(StrategyConformance):
        searches = False
        spaces = dict.fromkeys(("line", "room", "few"), RECLAIM) | {"other": load_env("ethp").space}

        @pytest.fixture(autouse=True)
        def _policy(self, tmp_path: Path) -> None:
            saved(tmp_path / "mine", mode)
            self.strategy = policy_strategy(str(tmp_path / "mine"))

        def test_says_what_it_is(self) -> None:
            assert self.strategy.title and len(self.strategy.text.splitlines()) <= 16
            assert self.strategy.learned_from == ("zigzag", "stairs")

    return Conforms


TestControl, TestTuning, TestOneShot = (_conformance(mode) for mode in SIZES)


@pytest.mark.parametrize("progress", [False, True])
def test_a_control_policy_steers_a_run_as_it_steers_its_environment(tmp_path: Path, progress: bool) -> None:
    arguments = {"controls": ["min_age", "max_accesses"], "progress": progress}
    policy = saved(tmp_path / "mine", "control", arguments=arguments)
    act = load_policy(tmp_path / "mine").actor()
    env = ControlVectorEnv(2, ["zigzag"], seeds=2, threads=1, **arguments)
    seen, told = env.reset(seed=4)
    ended, infos = np.zeros(2, bool), {}
    scores: dict[int, float] = {}
    actions = []
    while len(scores) < 2:
        action = act(seen, ended)
        actions.append(action)
        seen, _, ended, _, infos = env.step(action)
        for i in np.flatnonzero(ended):
            scores.setdefault(int(i), float(infos["episode_score"][i]))
        if ended.any():
            env.reset(options={"reset_mask": ended})
    env.close()
    assert np.ptp(np.concatenate(actions), axis=0).max() > 0.01
    strategy = policy_strategy(str(policy.folder))
    there = strategy.env_in(load_env("reclaim"))
    workload = find_masim("zigzag")
    bench = Bench(open_backend("sim:zram"), workload, 1, steering=there.steering)
    for i in range(2):
        seed = int(told["seed"][i])
        base = run_of(bench.result(None, seed))
        run = run_of(bench.result(there.space.kdamonds(there.space.defaults()), seed))
        assert there.objective.repeat(run, base).score == pytest.approx(scores[i], abs=1e-9)


def test_a_tuning_policy_proposes_in_a_course_what_it_does_in_its_environment(tmp_path: Path) -> None:
    saved(tmp_path / "mine", "tuning")
    act = load_policy(tmp_path / "mine").actor()
    workload, backend = find_masim("zigzag"), open_backend("sim:zram")
    env = TuningEnv("zigzag", seeds=1, runs=4)
    seen, _ = env.reset(seed=1)
    seed = TaskSource.of("zigzag", seeds=1).draw(np.random.default_rng(0)).seed
    expected = []
    for _ in range(4):
        action = act(seen[None], np.zeros(1, bool))[0]
        expected.append(RECLAIM.decode((action.astype(np.float64) + 1.0) / 2.0))
        seen = env.step(action)[0]
    task = EnvTask("t", load_env("reclaim"), workload, backend, judged_with=1)
    strategy = policy_strategy(str(tmp_path / "mine"))
    rows = [row for row in run_course(task, strategy, seed=seed, budget=7) if row.params]
    # Its session, then one more, beside the best.
    assert len(rows) == 5
    apart = [RECLAIM.encode(row.params) - RECLAIM.encode(values) for row, values in zip(rows, expected, strict=False)]
    # A recording's profile differs in the fourth digit, which weights that nobody trained make the most of.
    assert np.abs(apart[:2]).max() < 0.01 and np.abs(apart).max() < 0.1


def test_a_recording_shows_what_the_environment_shows() -> None:
    backend, workload = open_backend("sim:zram"), find_masim("stairs")
    recording, _ = watch(backend, workload, monitoring(RECLAIM), 5)
    ours, theirs = profile_of(recording), profile(backend, workload, 5)
    assert np.abs(ours - theirs).max() < 0.02


def test_they_are_listed_and_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "policies" / "mine", "oneshot")
    monkeypatch.setenv("DAMOOS_CATALOGUE", str(tmp_path))
    assert "policy:mine" in strategy_names()
    found = find_strategy("policy:mine")
    assert found.name == "policy:mine" and found.watches
    with pytest.raises(ConfigError, match="no such policy.*mine"):
        find_strategy("policy:mime")
    with pytest.raises(InputError, match="unknown kind of strategy.*policy:NAME"):
        find_strategy("polizy:mine")


def test_another_space_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "mine", "control")
    with pytest.raises(InputError, match="strategy policy:.*another space"):
        policy_strategy(str(tmp_path / "mine")).check(load_env("reclaim-quota").space)


def test_other_observations_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "mine", "control", observation_version=0)
    with pytest.raises(ConfigError, match=f"observation_version of control.*0.*allowed: {VERSIONS['control']}"):
        policy_strategy(str(tmp_path / "mine"))


def test_a_fixed_action_is_the_point(tmp_path: Path) -> None:
    policy = saved(tmp_path / "mine", "control")
    action = fixed(policy, RECLAIM.defaults() | {"min_age": 1_000_000})(np.zeros((3, 31)), np.zeros(3, bool))
    point = 2 * RECLAIM.encode(RECLAIM.defaults() | {"min_age": 1_000_000}) - 1
    assert action.shape == (3, 2) and np.allclose(action, point[[0, 2]])
