"""Landscapes against functions in closed form, and as the tuning environment uses them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from damoos.env.history import Tried
from damoos.env.knobs import Knobs
from damoos.env.landscape import NEAR, SPREAD, Landscape, kept
from damoos.env.tuning import TuningEnv, TuningVectorEnv
from damoos.env.tuning_session import Rules
from damoos.errors import ConfigError, InputError
from damoos.tune.preset import load_env
from tests.tune import fake

PROFILE = np.zeros(15, np.float32)


def hill(action: Any) -> Tried:
    """20 at (0.5, -0.5); too slow where the first number is below -0.4; the third doesn't matter."""
    x = np.asarray(action, np.float64)
    score = 20.0 * math.exp(-((x[0] - 0.5) ** 2 + 0.2 * (x[1] + 0.5) ** 2))
    return Tried(tuple(x.tolist()), score, float(-0.4 - x[0]))


def landscape() -> Landscape:
    return Landscape.measure(hill, 3, PROFILE, np.random.default_rng(0))


def test_a_smooth_function_is_found_again_between_the_points() -> None:
    found, rng = landscape(), np.random.default_rng(1)
    for action in rng.uniform(-1, 1, (50, 3)):
        one, truth = found.at(action), hill(action)
        assert one.score == pytest.approx(truth.score, abs=0.6) and one.excess == pytest.approx(truth.excess, abs=0.05)
        assert one.action == truth.action
    assert found.at(np.array([7.0, -0.5, -9.0])).action == (1.0, -0.5, -1.0)


def test_what_does_not_matter_gets_a_long_length() -> None:
    lengths = landscape().score.lengths
    assert lengths[2] > 4 * lengths[0]


def test_points_are_spread_and_then_near_the_best() -> None:
    actions = landscape().score.actions
    assert actions.shape == (SPREAD + NEAR, 3) and (np.abs(actions) <= 1).all()
    for column in actions[:SPREAD].T:
        # one in each of as many stripes
        assert sorted(((column + 1) / 2 * SPREAD).astype(int)) == list(range(SPREAD))
    assert np.abs(actions[SPREAD:, :2] - (0.5, -0.5)).mean() < 0.4


def test_the_top_is_the_best_point_that_keeps_the_limit() -> None:
    found = landscape()
    points = [found.at(action) for action in found.score.actions]
    assert found.top == pytest.approx(max(one.score for one in points if one.feasible), abs=1e-6) and found.top > 19
    never = Landscape.measure(lambda action: Tried(tuple(action), 9.0, 1.0), 2, PROFILE, np.random.default_rng(0))
    assert never.top == 0.0


def test_one_constant_value_is_no_trouble() -> None:
    flat = Landscape.measure(lambda action: Tried(tuple(action), 3.0, -0.5), 2, PROFILE, np.random.default_rng(0))
    found = flat.at(np.array([0.2, 0.3]))
    assert (found.score, found.excess) == (pytest.approx(3.0), pytest.approx(-0.5))


def test_it_is_measured_once_and_kept(tmp_path: Path) -> None:
    folder, calls = tmp_path / "kept" / "here", []

    def measured() -> Landscape:
        calls.append(1)
        return landscape()

    first = kept(folder, ("a", 1), measured)
    again = kept(folder, ("a", 1), measured)
    action = np.array([0.1, 0.2, 0.3])
    assert len(calls) == 1 and first.at(action) == again.at(action)
    kept(folder, ("a", 2), measured)
    assert len(calls) == 2


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    kept(tmp_path, "key", landscape)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match=r"\.npz.*is no landscape"):
        kept(tmp_path, "key", landscape)


def test_sessions_of_landscapes_run_each_task_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.cfg"
    path.write_text(fake.WORKLOAD)
    runs = tmp_path / "runs.log"
    monkeypatch.setenv(fake.LOG, str(runs))
    options: dict[str, Any] = {"workloads": str(path), "backend": "fake", "seeds": 1, "runs": 4}
    env = TuningEnv(**options, landscapes=tmp_path / "landscapes")
    real = TuningEnv(**options)
    seen, _ = env.reset(seed=0)
    assert seen[:15].tolist() == real.reset(seed=0)[0][:15].tolist()
    before = len(runs.read_text().splitlines())
    rng = np.random.default_rng(0)
    for _ in range(3):
        env.reset()
        total = 0.0
        for _ in range(4):
            _, reward, last, _, info = env.step(rng.uniform(-1, 1, 5))
            total += reward
        assert last and info["episode_score"] == pytest.approx(20 * total) and info["trial"] == {}
        assert math.isnan(info["rss_overhead_percent"])
    assert len(runs.read_text().splitlines()) == before


def test_shares_are_of_landscapes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="relative"):
        TuningEnv("zigzag", relative=True)
    with pytest.raises(InputError, match="power"):
        TuningEnv("zigzag", power=0.0)


def test_the_last_share_counts_most(tmp_path: Path) -> None:
    rules = Rules(load_env("reclaim"), Knobs(load_env("reclaim").space), 3, 1, 3, True, tmp_path, False, True, 4.0)
    before, after = np.array([0.0, 10.0, 20.0, 20.0]), np.array([10.0, 20.0, 21.0, 20.0])
    rewards = rules.reward(before, after, np.full(4, 20.0))
    assert rewards.tolist() == [0.5**4, 1.0 - 0.5**4, 0.0, 0.0]
    assert [rules.reward(*pair, 20.0) for pair in zip(before, after, strict=True)] == rewards.tolist()
    assert replace(rules, relative=False, power=1.0).reward(20.0, 25.0, 20.0) == 0.25


def test_choices_can_not_be_interpolated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="landscapes"):
        TuningEnv("zigzag", env="ethp", landscapes=tmp_path)


def test_side_by_side_they_go_as_alone(tmp_path: Path) -> None:
    paths = [tmp_path / f"toy{i}.cfg" for i in range(2)]
    for i, path in enumerate(paths):
        path.write_text(fake.WORKLOAD.replace("2000", f"{2 + i}000"))
    options: dict[str, Any] = {"workloads": [*map(str, paths)], "backend": "fake", "seeds": 2, "runs": 3, "history": 2}
    options["landscapes"] = tmp_path / "kept"
    shares = TuningEnv(**options | {"relative": True})
    shares.reset(seed=0)
    assert shares.step(np.zeros(5))[1] == pytest.approx(
        shares._session._tried[0].score / shares._session._begun.landscape.top  # type: ignore[union-attr]
    )
    options |= {"relative": True, "power": 4.0}
    varied = options | {"vary_runs": True}
    first, _ = TuningVectorEnv(3, **varied).reset(seed=5)
    assert first.tolist() == [TuningEnv(**varied).reset(seed=5 + i)[0].tolist() for i in range(3)]
    many, alone = TuningVectorEnv(3, **options), [TuningEnv(**options) for _ in range(3)]
    seen, infos = many.reset(seed=5)
    assert seen.tolist() == [env.reset(seed=5 + i)[0].tolist() for i, env in enumerate(alone)]
    rng = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(3):
            actions = rng.uniform(-1.2, 1.2, (3, 5)).astype(np.float32)
            seen, rewards, ended, _, infos = many.step(actions)
            for i, env in enumerate(alone):
                one, reward, last, _, info = env.step(actions[i])
                assert one == pytest.approx(seen[i], abs=1e-5) and reward == pytest.approx(rewards[i])
                assert last == ended[i] and (not last or info["workload"] == infos["workload"][i])
        with pytest.raises(gymnasium.error.ResetNeeded):
            many.step(actions)
        seen, _ = many.reset(options={"reset_mask": ended})
        assert seen.tolist() == [env.reset()[0].tolist() for env in alone]
