"""Experiments as files."""

from pathlib import Path
from typing import Any

import pytest

from damoos.errors import InputError, MissingExtraError
from damoos.experiment.matrix import load_matrix
from damoos.tune.strategies import STRATEGIES
from tests.experiment.matrices import AT, write_matrix

CHECKOUT = Path(__file__).parents[2]


def test_a_file_is_each_env_with_each_workload(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path / "mine", envs=["reclaim", "reclaim-quota"], budget=10, counts=[4]))
    assert [task.name for task in matrix.tasks] == [
        "toy/reclaim",
        "other/reclaim",
        "toy/reclaim-quota",
        "other/reclaim-quota",
    ]
    assert matrix.counts == (4, 10) and matrix.name == "mine" and matrix.simulated
    assert matrix.best == tmp_path / "mine" / "best.json" and matrix.training == ("zigzag",)
    assert load_matrix(tmp_path / "mine") == matrix
    assert len({task.digest for task in matrix.tasks}) == 4


def test_a_digest_is_of_all_that_decides_scores(tmp_path: Path) -> None:
    first = load_matrix(write_matrix(tmp_path)).tasks[0].digest
    assert load_matrix(write_matrix(tmp_path, title="Another", seeds=5, budget=20)).tasks[0].digest == first
    for change in ({"repeats": 2}, {"judged_with": 3}, {"backend": "fake:flat"}, {"envs": ["reclaim-goal"]}):
        assert load_matrix(write_matrix(tmp_path, **change)).tasks[0].digest != first


def test_envs_may_have_machines_and_workloads_of_their_own(tmp_path: Path) -> None:
    envs = {"reclaim": {}, "tiering": {"backend": "fake:flat", "workloads": ["other.cfg"]}}
    matrix = load_matrix(write_matrix(tmp_path, envs=envs, strategies=["random"]))
    assert [(task.name, task.backend) for task in matrix.tasks] == [
        ("toy/reclaim", "fake"),
        ("other/reclaim", "fake"),
        ("other/tiering", "fake:flat"),
    ]
    assert matrix.backends == ("fake", "fake:flat") and matrix.simulated
    own = {name: {"workloads": ["toy.cfg"]} for name in ("reclaim", "tiering")}
    path = write_matrix(tmp_path, envs=own, workloads=None, strategies=["random"])
    assert [task.name for task in load_matrix(path).tasks] == ["toy/reclaim", "toy/tiering"]


def test_who_refuses_an_env_leaves_it_out(tmp_path: Path) -> None:
    path = write_matrix(tmp_path, envs=["reclaim", "tiering"], strategies=["random", "hmsdk"])
    matrix = load_matrix(path)
    refusal = [(one.strategy, one.env, one.reason) for one in matrix.refusals]
    assert refusal == [("hmsdk", "reclaim", "is for other schemes")]
    assert [task.name for task in matrix.tasks_of("hmsdk")] == ["toy/tiering", "other/tiering"]
    assert matrix.tasks_of("random") == list(matrix.tasks)
    assert load_matrix(path, ["random"]).refusals == ()
    with pytest.raises(InputError, match="strategy hmsdk: is for other schemes"):
        load_matrix(write_matrix(tmp_path, strategies=["random", "hmsdk"]))


def test_only_strategies_that_are_wanted_have_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "needy", AT)
    path = write_matrix(tmp_path, strategies=["needy", "random", "border"], against="needy")
    for strategies in (None, ["border", "needy"]):
        with pytest.raises(
            MissingExtraError, match=r"no_such_package is not installed; `pip install 'damoos\[search\]'`"
        ):
            load_matrix(path, strategies)
    matrix = load_matrix(path, ["border", "random"])
    assert matrix.strategies == ("border", "random") and matrix.against == "border"
    assert load_matrix(path, []).tasks == matrix.tasks
    # One that the file doesn't have is as welcome, one that doesn't exist is not.
    assert load_matrix(path, ["tpe"]).against == "tpe"
    with pytest.raises(InputError, match="unknown strategy, got 'randm'"):
        load_matrix(path, ["randm"])
    path = write_matrix(tmp_path, workloads=["stairs"], strategies=["random"])
    with pytest.raises(InputError, match="strategy portfolio learned from it"):
        load_matrix(path, ["portfolio"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": None}, "title: missing"),
        ({"budgets": 3}, "budgets: unknown key; allowed: budget"),
        ({"budget": 1}, "budget: not such a number, got 1; allowed: 2 and more"),
        ({"budget": None}, "budget: missing"),
        ({"counts": [4, 9]}, "counts: not counts of runs, got [4, 9]; allowed: a list of 2 to 8"),
        ({"few_seeds": None}, "seeds: too few to believe, got 3; allowed: 20 and more"),
        ({"strategies": ["randm"]}, "strategies: unknown strategy, got 'randm'; allowed: random"),
        ({"strategies": ["tpe", "tpe"]}, "strategies: is there twice, got 'tpe'"),
        ({"strategies": ["damoos-pso"], "against": None, "envs": ["reclaim-quota"]}, "takes fewer parameters"),
        ({"against": "tpe"}, "against: not among the strategies, got 'tpe'"),
        ({"envs": []}, "envs: missing"),
        ({"envs": ["reclam"]}, "allowed: reclaim"),
        ({"envs": {"reclaim": {"machine": "small"}}}, "envs.reclaim.machine: unknown key; allowed: backend, workloads"),
        ({"envs": {"reclaim": {"backend": 3}}}, "envs.reclaim.backend: not a text, got 3"),
        ({"envs": {"reclaim": {}}, "workloads": None}, "envs.reclaim.workloads: missing"),
        (
            {"envs": {"reclaim": {}, "tiering": {"backend": "fake:real"}}, "strategies": ["random"]},
            "backend: too many, got 'fake, fake:real'; allowed: several simulated ones, or one that is real",
        ),
        ({"workloads": ["zigzig"]}, "workloads: no such workload, got 'zigzig'; allowed: zigzag"),
        ({"workloads": ["zigzag"]}, "workloads: is in training, too, got 'zigzag'"),
        ({"workloads": ["stairs"], "strategies": ["random", "portfolio"]}, "strategy portfolio learned from it"),
        ({"backend": "sims"}, "backend: unknown backend, got 'sims'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_matrix(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_matrix(path)
    assert message in str(caught.value)
    if "takes fewer" not in message and "reclam" not in str(changes):
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("path", sorted(CHECKOUT.glob("experiments/*/experiment.toml")), ids=lambda p: p.parent.name)
def test_the_shipped_ones_can_be_read(path: Path) -> None:
    if "vm" in path.parent.name:
        pytest.skip("needs a kernel")
    matrix = load_matrix(path)
    assert matrix.seeds >= 20 or matrix.few_seeds
