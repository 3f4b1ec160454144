"""A saved policy is whole or refused, and acts the same wherever it is loaded."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from damoos.errors import ConfigError
from damoos.rl.network import Network
from damoos.rl.policy import find_policy, load_policy, save_policy, space_texts, toml_text
from damoos.tune.preset import load_env
from tests.rl.policies import a_network, a_policy

CURVE = "steps,score\n0,1\n"
SEEN = np.random.default_rng(5).normal(size=(20, 3)).astype(np.float32)
BEGUN = np.zeros(20, bool)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    there = tmp_path / "mine"
    there.mkdir()
    save_policy(a_policy(there), CURVE)
    return there


def test_what_was_saved_is_loaded(folder: Path) -> None:
    saved, loaded = a_policy(folder), load_policy(folder)
    for field in dataclasses.fields(saved):
        if field.name not in ("network", "normaliser"):
            assert getattr(loaded, field.name) == getattr(saved, field.name), field.name
    assert np.array_equal(loaded.actor()(SEEN, BEGUN), saved.actor()(SEEN, BEGUN))
    assert (folder / "curve.csv").read_text() == CURVE


def test_the_same_actions_elsewhere_without_torch(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    code = (
        "import sys, numpy as np\nsys.modules['torch'] = sys.modules['stable_baselines3'] = None\n"
        "from damoos.rl.policy import load_policy\n"
        "seen = np.random.default_rng(5).normal(size=(20, 3)).astype(np.float32)\n"
        f"sys.stdout.buffer.write(load_policy({str(moved)!r}).actor()(seen, np.zeros(20, bool)).tobytes())"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert done.stdout == a_policy(moved).actor()(SEEN, BEGUN).tobytes()


@pytest.mark.parametrize("name", ["weights.npz", "curve.csv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"{name}.*missing"):
        load_policy(folder)


@pytest.mark.parametrize("key", ["preset", "observation_version", "activation", "space", "normaliser", "versions"])
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    path = folder / "policy.toml"
    lines, kept, inside = path.read_text().splitlines(), [], False
    for line in lines:
        inside = line.startswith(f"[{key}") if line.startswith("[") else inside
        if not (inside or line.startswith(f"{key} =")):
            kept.append(line)
    path.write_text("\n".join(kept))
    with pytest.raises(ConfigError, match=f"{key}.*missing"):
        load_policy(folder)


@pytest.mark.parametrize("name", ["biases_1", "observation_variance"])
def test_a_missing_array_is_named(folder: Path, name: str) -> None:
    with np.load(folder / "weights.npz") as archive:
        arrays = {key: value for key, value in archive.items() if key != name}
    np.savez(folder / "weights.npz", **arrays)
    with pytest.raises(ConfigError, match=f"weights.npz.*{name}"):
        load_policy(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    with np.load(folder / "weights.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "weights.npz", **arrays | {"weights_1": np.zeros((2, 9), np.float32)})
    with pytest.raises(ConfigError, match="layer 1.*fit"):
        load_policy(folder)


def test_numbers_that_do_not_fit_the_description_are_refused(folder: Path) -> None:
    save_policy(a_policy(folder, observations=4), CURVE)
    with pytest.raises(ConfigError, match="observations.*3.*4"):
        load_policy(folder)


def test_half_an_archive_is_refused(folder: Path) -> None:
    path = folder / "weights.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConfigError, match="weights.npz.*read"):
        load_policy(folder)


def test_another_space_is_refused(folder: Path) -> None:
    policy = load_policy(folder)
    policy.check_space(load_env("reclaim").space, "reclaim")
    with pytest.raises(ConfigError, match="another space.*reclaim-quota"):
        policy.check_space(load_env("reclaim-quota").space, "reclaim-quota")


def test_unknown_names_are_told() -> None:
    with pytest.raises(ConfigError, match="no such policy"):
        find_policy("controll-reclaim")


def test_squashed_and_chosen_actions() -> None:
    plain = a_network(normalises=False)
    squashed = dataclasses.replace(plain, output="squash")
    grid = np.array([[-1, 0], [1, 0.5]], np.float32)
    chosen = Network(plain.layers, "tanh", "argmax", None, grid)
    raw = np.tanh(SEEN @ plain.layers[0][0].T + plain.layers[0][1]) @ plain.layers[1][0].T + plain.layers[1][1]
    assert np.allclose(plain(SEEN), np.clip(raw, -1, 1)) and np.allclose(squashed(SEEN), np.tanh(raw))
    assert np.array_equal(chosen(SEEN), grid[raw.argmax(-1)])
    assert plain(SEEN[0]).shape == (2,)


def test_toml_is_read_back() -> None:
    import tomllib

    table = {"a": [1, 2.5, "x"], "b": True, "t": {"k v": "é\n", "u": {"z": 1e-8}}, "e": {}}
    assert tomllib.loads(toml_text(table)) == table


def test_space_texts_tell_spaces_apart() -> None:
    assert space_texts(load_env("reclaim").space) != space_texts(load_env("reclaim-quota").space)
