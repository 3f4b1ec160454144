from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from damoos.catalogue import find, group_of, names
from damoos.errors import ConfigError
from damoos.workload.about import about
from damoos.workload.masim import load
from damoos.workload.processes import find_masim
from damoos.workload.table import README, renewed


@pytest.mark.parametrize("name", names("workloads"))
def test_catalogue_is_described_and_of_a_bearable_size(name: str) -> None:
    workload = find_masim(name)
    assert about(find("workloads", name), workload) is not None
    if not group_of("workloads", find("workloads", name)):
        assert 64 * 2**20 <= workload.footprint_bytes <= 2**31
        assert 10_000 <= workload.duration_ms <= 240_000


def test_readme_is_up_to_date() -> None:
    assert README.read_text() == renewed(README), "run python -m damoos.workload.table"


def test_a_file_without_description_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "own.cfg"
    shutil.copy(find("workloads", "zigzag"), path)
    assert about(path, load(path)) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'footprint = "384 MiB"',
            'footprint = "400 MiB"',
            "5: footprint: wrong value, got '400 MiB'; allowed: 384 MiB",
        ),
        ("length_s = 64", "length_s = 65", "6: length_s: wrong value, got 65; allowed: 64"),
        ("length_s = 64", 'length_s = "64"', "6: length_s: wrong value, got '64'; allowed: a number"),
        ("length_s = 64", "lenght_s = 64", "6: lenght_s: unknown key; allowed: length_s"),
        ("length_s = 64\n", "", " length_s: missing"),
        (
            "tags = [",
            "tags = [1, ",
            "7: tags: wrong value, got [1, 'moving', 'page-out', 'demo']; allowed: a list of words",
        ),
        ("length_s = 64", "length_s = ", "6: not TOML: Invalid value"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "zigzag.cfg"
    shutil.copy(find("workloads", "zigzag"), path)
    text = find("workloads", "zigzag").with_suffix(".toml").read_text()
    path.with_suffix(".toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        about(path, load(path))
    assert str(caught.value) == f"{path.with_suffix('.toml')}:{message}"
