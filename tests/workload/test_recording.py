"""Recordings of monitored runs survive their files, and what is none is refused with the place."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damoos.damon.snapshot import Snapshot
from damoos.errors import ConfigError
from damoos.workload.recording import Recording, read_recording, write_recording


@pytest.fixture
def recording() -> Recording:
    edges = np.array([0, 8, 24], np.int64) << 20
    snapshots = tuple(
        Snapshot(t_s, edges[:-1], edges[1:], np.array([10, 0]), np.array([1, int(10 * t_s)]), 5_000, 100_000)
        for t_s in (0.2, 0.4)
    )
    times = np.array([0.1, 0.2])
    return Recording("toy", "vm:7.3", "virtual", 7, 0.5, times, np.array([4096, 8192]), snapshots)


def test_a_file_gives_back_what_was_written(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "a.recording.json.gz"
    write_recording(recording, path)
    again = read_recording(path)
    for name in ("workload", "backend", "time_kind", "seed", "runtime_s"):
        assert getattr(again, name) == getattr(recording, name)
    assert again.rss_t_s.tolist() == [0.1, 0.2] and again.rss_bytes.tolist() == [4096, 8192]
    for old, new in zip(recording.snapshots, again.snapshots, strict=True):
        for key, value in vars(old).items():
            assert np.array_equal(getattr(new, key), value)
    write_recording(again, tmp_path / "b")
    assert path.read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.recording.json.gz", "b"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"what": "run"}, "what"),
        ({"format": 2}, "format"),
        ({"rss": {"t_s": []}}, "bytes"),
        ({"snapshots": [{"start": []}]}, "end"),
        ({"runtime_s": "long"}, None),
    ],
)
def test_what_is_no_recording_is_refused(
    recording: Recording, tmp_path: Path, change: dict[str, Any], field: str | None
) -> None:
    path = tmp_path / "a.gz"
    write_recording(recording, path)
    tree = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps(tree | change).encode()))
    with pytest.raises(ConfigError) as raised:
        read_recording(path)
    assert raised.value.file == str(path) and raised.value.field == field
    path.write_bytes(b"not even gzip")
    with pytest.raises(ConfigError, match="not a readable recording"):
        read_recording(path)
