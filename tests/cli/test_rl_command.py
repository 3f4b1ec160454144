"""`damoos rl`: what it says, and that a training on an own folder ends in a policy that can be used."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.rl.policy import load_policy, save_policy
from tests.rl.policies import a_network, a_policy

RUNNER = CliRunner(env={"COLUMNS": "100"})
HOT_COLD = "hot, 8388608\ncold, 67108864\n\nload\n500\ncold, 0, 4096, 1, wo\n\nwork\n6000\nhot, 0, 4096, 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    there = tmp_path / "mine"
    there.mkdir()
    network = a_network(15, 5, normalises=False)
    training = {
        "workloads": ["zigzag"],
        "validation": ["stairs"],
        "steps": 9,
        "backend": "sim:zram",
        "command_line": "x",
    }
    save_policy(a_policy(there, network=network, training=training), "steps\n0\n")
    return there


def test_list_names_modes_and_algorithms() -> None:
    done = RUNNER.invoke(app, ["rl", "list"])
    assert done.exit_code == 0, done.output
    assert all(word in done.stdout for word in ("control", "tuning", "oneshot", "ppo", "recurrent-ppo", "tqc", "dqn"))


def test_show_tells_what_it_was_trained_on(folder: Path) -> None:
    done = RUNNER.invoke(app, ["rl", "show", str(folder)])
    assert done.exit_code == 0, done.output
    assert all(word in done.stdout for word in ("zigzag", "damoos/OneShot-v0", "min_age", "100 ms to 1 m"))
    tree = json.loads(RUNNER.invoke(app, ["rl", "show", str(folder), "--json"]).stdout)
    assert tree["training"]["steps"] == 9 and tree["preset"] == "reclaim"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rl", "train", "reclaim", "--algo", "ppu"], "unknown algorithm"),
        (["rl", "train", "reclaim", "--mode", "contol"], "unknown mode"),
        (["rl", "train", "reclaim", "--set", "n_stepz=3"], "n_steps"),
        (["rl", "train", "reclaim", "--resume", "--out", "nowhere"], "nothing to go on with"),
        (["rl", "train", "reclaim", "--argument", "step_z=3"], "no such argument"),
        (["rl", "eval", "contol"], "no such policy"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, tmp_path: Path) -> None:
    pytest.importorskip("sb3_contrib")
    given = [
        *arguments,
        *(["--out", str(tmp_path / "new")] if "train" in arguments and "--out" not in arguments else []),
    ]
    done = RUNNER.invoke(app, given)
    assert done.exit_code == 2 and message in done.stderr


@pytest.mark.slow
def test_a_training_on_an_own_folder_is_measured_and_shown(tmp_path: Path) -> None:
    pytest.importorskip("sb3_contrib")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hot-cold.cfg").write_text(HOT_COLD)
    out = tmp_path / "policy"
    given = ["--workloads", str(tmp_path / "mine"), "--out", str(out), "--set", "episodes=2", "--set", "evaluations=1"]
    small = ["--envs", "4", "--steps", "64", "--set", "n_steps=8", "--set", "batch_size=32"]
    done = RUNNER.invoke(app, ["rl", "train", "reclaim", *given, *small])
    assert done.exit_code == 0, done.output
    policy = load_policy(out)
    assert policy.mode == "control" and policy.training["settings"]["n_steps"] == 8
    assert "validation" in done.stderr and str(out) in done.stdout
    measured = RUNNER.invoke(
        app, ["rl", "eval", str(out), "--workloads", str(tmp_path / "mine"), "--episodes", "2", "--point", "min_age=1s"]
    )
    assert measured.exit_code == 0, measured.output
    assert all(word in measured.stdout for word in ("hot-cold", "policy", "documented", "fixed", "95 %"))
