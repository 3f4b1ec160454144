from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from damoos.catalogue import find, group_of, names
from damoos.cli.workloads import app
from damoos.errors import ConfigError, InputError
from damoos.workload import masim
from damoos.workload.generated import generate


def invoke(*args: str, columns: int = 80) -> Result:
    result = CliRunner().invoke(app, args, env={"COLUMNS": str(columns), "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def own() -> list[str]:
    return [name for name in names("workloads") if not group_of("workloads", find("workloads", name))]


def grouped(group: str) -> list[str]:
    return [name for name in names("workloads") if group_of("workloads", find("workloads", name)) == group]


def test_a_group_is_listed_alone() -> None:
    lines = invoke("list", "--group", "parsec").stdout.splitlines()
    listed = [line.split()[0] for line in lines if line[:1].strip()]
    assert [name for name in listed if name in names("workloads")] == grouped("parsec")
    assert len(grouped("parsec")) == 24
    with pytest.raises(InputError, match="allowed: parsec"):
        invoke("list", "--group", "parsek")


def test_list_names_each_workload_once() -> None:
    lines = invoke("list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines if line[:1].strip()]
    assert [name for name in listed if name in names("workloads")] == [*own(), *grouped("parsec")]
    assert any("zigzag" in line and "384 MiB" in line and "64 s" in line for line in lines)


@pytest.mark.parametrize("name", names("workloads"))
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_show_fits_the_terminal(name: str, columns: int) -> None:
    lines = invoke("show", name, columns=columns).stdout.splitlines()
    assert all(len(line) <= columns for line in lines if not line.startswith("file: "))
    assert lines[0].startswith(f"{name}: ")
    assert sum("│" in line for line in lines) >= 12


def test_show_draws_ones_own_file(tmp_path: Path) -> None:
    path = tmp_path / "own.cfg"
    path.write_text("a, 1048576, data.bin\n\nwork\n1000\na, 1, 0, 0\n\npause\n9000\n")
    out = invoke("show", str(path)).stdout
    assert out.startswith("own\n1.00 MiB in 1 region, 10 s in 2 phases\n")
    assert "a is filled at the start from data.bin" in out
    assert "sleeps" in out and "0 %" in out


def test_json_is_complete() -> None:
    shown = json.loads(invoke("show", "zigzag", "--json").stdout)
    assert shown["footprint_bytes"] == 384 * 2**20
    assert shown["phases"][1]["patterns"][0]["region"] == "a"
    assert [entry["name"] for entry in json.loads(invoke("list", "--json").stdout)] == [*own(), *grouped("parsec")]


def test_one_of_several_processes_shows_each(tmp_path: Path) -> None:
    out = invoke("show", "hot-beside-cold").stdout
    assert "480 MiB in 4 regions, 64 s in 2 processes" in out and "\nzigzag\n" in out and "\nhot-cold\n" in out
    tree = json.loads(invoke("show", "hot-beside-cold", "--json").stdout)
    assert [process["name"] for process in tree["processes"]] == ["zigzag", "hot-cold"]
    with pytest.raises(InputError, match="allowed: zigzag, hot-cold"):
        invoke("show", "hot-beside-cold", "--cfg")


def test_a_command_of_ones_own_is_not_listed(tmp_path: Path) -> None:
    folder = tmp_path / "workloads"
    folder.mkdir()
    (folder / "my-command.toml").write_text('command = ["true"]\n')
    assert "my-command" not in invoke("list", "--catalogue", str(tmp_path)).stdout


def test_a_typing_error_is_helped() -> None:
    with pytest.raises(ConfigError, match="allowed: zigzag"):
        invoke("show", "zigzga")


def test_a_generated_workload_is_shown_and_written(tmp_path: Path) -> None:
    assert "none: it follows from the name" in invoke("show", "generated-test-3").stdout
    path = tmp_path / "mine.cfg"
    path.write_text(invoke("show", "generated-test-3", "--cfg").stdout)
    mine, drawn = masim.load(path), generate("test", 3)
    assert (mine.regions, mine.phases) == (drawn.regions, drawn.phases)
