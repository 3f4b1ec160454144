from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from damoos.catalogue import names
from damoos.cli.main import app

RUNNER = CliRunner(env={"COLUMNS": "80"})


def test_every_env_of_the_catalogue_is_listed_in_80_columns() -> None:
    done = RUNNER.invoke(app, ["envs", "list"])
    assert done.exit_code == 0, done.output
    assert all(name in done.stdout for name in names("envs"))
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_show_names_parameters_ranges_defaults_and_the_kdamonds_of_the_default() -> None:
    done = RUNNER.invoke(app, ["envs", "show", "reclaim"])
    assert done.exit_code == 0, done.output
    for expected in ("min_age", "100 ms to 1 m", "5 s", "runtime overhead", "pageout", "aggregate 100 ms"):
        assert expected in done.stdout, expected


def test_json_lists_the_same_parameters() -> None:
    listed = json.loads(RUNNER.invoke(app, ["envs", "list", "--json"]).stdout)
    shown = json.loads(RUNNER.invoke(app, ["envs", "show", "reclaim", "--json"]).stdout)
    assert shown in listed
    assert shown["objective"]["kind"] == "damoos"


def test_an_env_file_with_an_unknown_key_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "reclaim"\n\n[parameters.min_age]\nhihg = "9 s"\n')
    done = RUNNER.invoke(app, ["envs", "show", str(file)])
    assert done.exit_code == 2
    assert f"{file}:4" in done.stderr and "high" in done.stderr


def test_an_unknown_env_names_the_nearest() -> None:
    done = RUNNER.invoke(app, ["envs", "show", "reclam"])
    assert done.exit_code == 2
    assert "reclaim" in done.stderr
