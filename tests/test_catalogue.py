from __future__ import annotations

from pathlib import Path

import pytest

from damoos import catalogue
from damoos.catalogue import check_keys, find, line_of, names, read_extended, read_toml, renew_table
from damoos.errors import ConfigError


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of one's own, and an empty folder to be in."""
    for kind, file in (("workloads", "own.cfg"), ("workloads", "zigzag.cfg"), ("machines", "own.toml")):
        path = tmp_path / "catalogue" / kind / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setenv(catalogue.VARIABLE, str(tmp_path / "catalogue"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "catalogue"


@pytest.mark.parametrize("typed", ["stairs", "stairs.cfg", "workloads/stairs.cfg", "workloads/stairs"])
def test_a_name_is_found_from_anywhere(mine: Path, typed: str) -> None:
    assert find("workloads", typed) == Path(catalogue.__file__).parents[1] / "workloads" / "stairs.cfg"


def test_ones_own_catalogue_comes_first(mine: Path) -> None:
    assert find("workloads", "zigzag") == mine / "workloads" / "zigzag.cfg"
    assert find("workloads", "own") == mine / "workloads" / "own.cfg"
    assert {"own", "zigzag", "stairs"} <= set(names("workloads"))
    assert names("workloads").count("zigzag") == 1


def test_the_installed_catalogue_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(catalogue.VARIABLE, raising=False)
    package = tmp_path / "damoos"
    for folder in (package / "_catalogue", tmp_path):
        (folder / "envs").mkdir(parents=True)
        (folder / "envs" / "x.toml").write_text("")
    (tmp_path / "envs" / "foreign.toml").write_text("")
    monkeypatch.setattr(catalogue, "_PACKAGE", package)
    assert names("envs") == ("x",)
    (tmp_path / "pyproject.toml").write_text("")
    assert names("envs") == ("foreign", "x")
    assert find("envs", "x") == package / "_catalogue" / "envs" / "x.toml"


def test_files_win_over_names_if_typed_as_files(mine: Path) -> None:
    Path("zigzag.cfg").write_text("")
    Path("zigzag").write_text("")
    Path("plain").write_text("")
    assert find("workloads", "zigzag.cfg") == Path("zigzag.cfg")
    assert find("workloads", "./zigzag.cfg") == Path("zigzag.cfg")
    assert find("workloads", "zigzag") == mine / "workloads" / "zigzag.cfg"
    assert find("workloads", "plain") == Path("plain")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("zigzga", "workload: no such workload, got 'zigzga'; allowed: zigzag"),
        ("/no/where/zigzag.cfg", "workload: no such file, got '/no/where/zigzag.cfg'; allowed: zigzag"),
    ],
)
def test_an_unknown_name_gets_the_nearest(typed: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find("workloads", typed)
    assert str(caught.value) == message


def test_a_name_like_no_other_gets_all(mine: Path) -> None:
    with pytest.raises(ConfigError, match="allowed: .*own.*zram"):
        find("machines", "qqqqqq")


def test_syntax_errors_have_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value) == f"{path}:2: not TOML: Invalid value"


def test_unknown_keys_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("# sample = 1\naggr = 1\n[quota]\nsize = 2\nsmaple = 3\n[other]\nsmaple = 4\n")
    table = read_toml(path)
    with pytest.raises(ConfigError) as caught:
        check_keys(table["quota"], ["size", "sample", "reset"], path, "quota")
    assert str(caught.value) == f"{path}:5: quota.smaple: unknown key; allowed: sample"
    with pytest.raises(ConfigError, match=r":6: other: unknown key; allowed: aggr, quota"):
        check_keys(table, ["aggr", "quota"], path)
    check_keys(table, table, path)
    assert line_of(path, "sample") is None


def test_extends_lays_one_file_over_another(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("a = 1\nlist = [1, 2]\n[t]\nx = 1\ny = 1\n")
    path = tmp_path / "x.toml"
    path.write_text('b = 2\nextends = "base.toml"\nlist = [3]\n[t]\ny = 2\n')
    assert read_extended("envs", path) == {"a": 1, "b": 2, "list": [3], "t": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('extends = "middle.toml"', "extends: extends another file itself, got 'middle.toml'; allowed: one step"),
        ("extends = 3", "extends: not a string, got 3"),
        ('extends = "owm"', "extends: no such machine, got 'owm'; allowed: own"),
    ],
)
def test_extends_goes_one_step(mine: Path, line: str, message: str) -> None:
    (mine / "machines" / "middle.toml").write_text('extends = "own"\n')
    path = mine / "machines" / "x.toml"
    path.write_text(f"a = 1\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_extended("machines", path)
    assert str(caught.value) == f"{path}:2: {message}"


def test_a_generated_table_needs_its_place(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- table: x -->\nold\n<!-- end -->\nb\n")
    assert renew_table(path, "x", "new\n") == "a\n<!-- table: x -->\n\nnew\n\n<!-- end -->\nb\n"
    with pytest.raises(ConfigError, match="has no lines <!-- table: y -->"):
        renew_table(path, "y", "new\n")
