"""`damoos strategies`."""

import json
from importlib import metadata

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.tune.strategies import STRATEGIES, find_strategy, strategy_names

runner = CliRunner()


def test_the_list_has_them_all() -> None:
    result = runner.invoke(app, ["strategies", "list"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines() if line[:1].strip()]
    assert names[-len(strategy_names()) :] == [*strategy_names()]
    found = json.loads(runner.invoke(app, ["strategies", "list", "--json"]).stdout)
    assert [strategy["name"] for strategy in found] == [*strategy_names()]


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_is_explained_in_a_screen_with_its_source(name: str) -> None:
    shown = runner.invoke(app, ["strategies", "show", name], env={"COLUMNS": "100"})
    assert shown.exit_code == 0
    strategy = find_strategy(name)
    assert strategy.title in shown.stdout and strategy.source in shown.stdout
    assert len(shown.stdout.splitlines()) <= 24


def test_an_unknown_one_is_named_with_its_nearest() -> None:
    result = runner.invoke(app, ["strategies", "show", "damos-polyfit"])
    assert result.exit_code == 2
    assert "damoos-polyfit" in result.output


def test_other_packages_add_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("mine", "damoos.tune.strategies.random:STRATEGY", "damoos.strategies")
    wrong = metadata.EntryPoint("wrong", "damoos.tune.strategies.random:make_sampler", "damoos.strategies")
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints([wrong, entry]))
    assert strategy_names()[-2:] == ("mine", "wrong")
    assert find_strategy("mine") is find_strategy("random")
    result = runner.invoke(app, ["strategies", "show", "wrong"])
    assert result.exit_code == 2 and "is no strategy" in result.output
