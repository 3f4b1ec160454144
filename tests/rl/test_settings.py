"""Settings of trainings: files, what is laid over them, and what is wrong with them."""

from pathlib import Path

import pytest

pytest.importorskip("sb3_contrib")

from damoos.catalogue import names
from damoos.errors import ConfigError, InputError
from damoos.rl.algorithms import ALGORITHMS
from damoos.rl.settings import load_settings, parse_changes, settings_file


@pytest.mark.parametrize("name", names("training"))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_catalogues_are_read(name: str, algorithm: str) -> None:
    settings, _ = load_settings(settings_file("", "", name), algorithm, {}, {})
    assert settings.envs >= 1 and settings.steps >= settings.envs


def test_changes_lie_on_top(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[arguments]\nseeds = 4\nstep_s = 2\n[ppo]\nn_steps = 8\nnet = [4]\nlog_std = -1\n")
    settings, arguments = load_settings(path, "ppo", {"n_steps": 16, "steps": 9}, {"seeds": 5})
    assert settings.options == {"n_steps": 16} and settings.net == (4,) and settings.log_std == -1.0
    assert settings.steps == 9 and arguments == {"seeds": 5, "step_s": 2}


def test_a_preset_may_have_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "oneshot-full.toml").write_text('extends = "oneshot"\n[ppo]\nsteps = 7\n')
    monkeypatch.setenv("DAMOOS_CATALOGUE", str(tmp_path))
    assert settings_file("oneshot", "full").name == "oneshot-full.toml"
    assert settings_file("oneshot", "reclaim").name == "oneshot.toml"
    settings, _ = load_settings(settings_file("oneshot", "full"), "ppo", {}, {})
    assert settings.steps == 7 and settings.envs == load_settings(settings_file("oneshot", ""), "ppo", {}, {})[0].envs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ppo]\nn_stepz = 1\n", r":2: ppo.n_stepz: unknown key.*n_steps"),
        ("[ppo]\nsteps = 0\n", r":2: ppo.steps: wrong value.*1 and more"),
        ("[ppo]\nactivation = 'gelu'\n", r"activation.*tanh, relu"),
        ("[ppu]\n", r"ppu: unknown key.*ppo"),
        ("ppo = 3\n", r"ppo: not a table"),
        ("[ppo]\nanneal = 1\n", r"anneal.*true, false"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_settings(path, "ppo", {}, {})


@pytest.mark.parametrize("setting", ["constants = 3", "log_std_last = -3"])
@pytest.mark.parametrize("algorithm", ["sac", "dqn"])
def test_what_only_on_policy_algorithms_take(tmp_path: Path, algorithm: str, setting: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'title = "t"\n[{algorithm}]\n{setting}\n')
    with pytest.raises(ConfigError, match=rf"{algorithm}\.{setting.split()[0]}.*ppo, "):
        load_settings(path, algorithm, {}, {})
    path.write_text(f'title = "t"\n[{algorithm}]\nconstants = 0\n')
    assert load_settings(path, algorithm, {}, {})[0].constants == 0


def test_changes_are_read_as_toml_or_words() -> None:
    assert parse_changes(["a=1", "b=[1, 2]", "c = relu", 'd=["x"]', "e=true"], "--set") == {
        "a": 1,
        "b": [1, 2],
        "c": "relu",
        "d": ["x"],
        "e": True,
    }
    with pytest.raises(InputError, match="--set.*KEY=VALUE"):
        parse_changes(["a"], "--set")


def test_a_change_that_nothing_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match="--set.gama: unknown key.*gamma"):
        load_settings(settings_file("oneshot", ""), "ppo", {"gama": 1}, {})
