"""Files that name several masim workloads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from damoos.catalogue import find, names
from damoos.errors import ConfigError
from damoos.tune.program import digest, find_workload, speed_of
from damoos.workload import masim, processes
from damoos.workload.about import about
from damoos.workload.access import expected_heat
from damoos.workload.command import CommandWorkload
from damoos.workload.processes import ProcessesWorkload, find_masim, processes_of

OWN = "a, 1048576\n\nwork\n2000\na, 0, 4096, 1\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_names_workloads_of_the_catalogue_files_beside_it_and_generated_ones(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text(OWN)
    found = processes.load(written(tmp_path, 'processes = ["own.cfg", "zigzag", "generated-test-3", "zigzag"]\n'))
    assert found.name == "mine"
    assert [p.name for p in found.processes] == ["own", "zigzag", "generated-test-3", "zigzag-2"]
    own, zigzag = found.processes[0], masim.load(find("workloads", "zigzag"))
    assert (own, found.processes[1]) == (masim.parse(OWN, "own"), zigzag)
    assert found.footprint_bytes == sum(p.footprint_bytes for p in found.processes)
    assert found.duration_ms == max(p.duration_ms for p in found.processes)
    assert [r.name for r in found.regions][:2] == ["own: a", "zigzag: a"]
    assert processes_of(found) == found.processes and processes_of(own) == (own,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('processes = ["zigzag"]', ":1: processes: wrong value.*2 to 16"),
        ('processes = "zigzag, gc"', ":1: processes: wrong value"),
        ('title = "x"\nprocesses = ["zigzag", "zigzga"]', ":2: workload: no such workload.*zigzag"),
        ('processes = ["zigzag", "hot-beside-cold"]', ":1: processes: not a masim workload"),
        ('proceses = ["zigzag", "gc"]', "proceses: unknown key.*processes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        processes.load(written(tmp_path, text))


def test_a_description_is_optional_and_checked(tmp_path: Path) -> None:
    path = written(tmp_path, 'processes = ["zigzag", "gc"]\n')
    assert about(path, processes.load(path)) is None
    shipped = find("workloads", "hot-beside-cold")
    text = about(shipped, processes.load(shipped))
    assert text is not None and text.footprint == "480 MiB" and text.length_s == 64
    path.write_text(shipped.read_text().replace("480 MiB", "481 MiB"))
    with pytest.raises(ConfigError, match="footprint: wrong value"):
        about(path, processes.load(path))


def test_they_are_found_by_name_as_other_workloads(tmp_path: Path) -> None:
    assert {"hot-beside-cold", "serve-and-build", "zigzag"} <= set(names("workloads"))
    pair = find_workload("hot-beside-cold")
    assert isinstance(pair, ProcessesWorkload) and pair == find_masim("hot-beside-cold")
    assert speed_of(pair) == "runtime"
    assert digest(pair) != digest(find_workload("serve-and-build"))
    assert isinstance(find_workload(str(written(tmp_path, 'command = ["true"]\n'))), CommandWorkload)


def test_heat_is_that_of_each_in_its_part_until_it_ends() -> None:
    pair = find_masim("hot-beside-cold")
    zigzag, short = processes_of(pair)
    heat = expected_heat(pair, 60_000.0, 64, 15)
    # 480 MiB in 15 bins: the first twelve are zigzag's.
    assert np.allclose(heat[:, :12], expected_heat(zigzag, 60_000.0, 64, 12))
    assert np.allclose(heat[:10, 12:], expected_heat(short, 60_000.0, 10, 3))
    assert (heat[10:, 12:] == 0.0).all()
    # A bin that both have a part of is their mean.
    assert expected_heat(pair, 60_000.0, 1, 1)[0, 0] == pytest.approx(heat.mean(), abs=0.01)
