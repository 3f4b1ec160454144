"""What one monitored run of a program shows from outside: DAMON's regions over time, resident memory, how long it took.

    {"format": 1, "what": "monitored run", "workload": "zigzag", "backend": "vm:7.3", "time_kind": "virtual", "seed": 7,
     "runtime_s": 64.1, "rss": {"t_s": [0.1, …], "bytes": [405504, …]},
     "snapshots": [{"t_s": 0.2, "sample_us": 5000, "aggr_us": 100000, "start": […], "end": […], "nr_accesses": […],
                    "age": […]}, …]}

as gzipped JSON. It holds for any program on any backend, and nothing that only a simulator or the program's own
configuration could know.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.damon.snapshot import Snapshot
from damoos.errors import ConfigError
from damoos.files import write_whole

FORMAT_VERSION = 1
WHAT = "monitored run"
_REGIONS = ("start", "end", "nr_accesses", "age")


@dataclass(frozen=True, eq=False)
class Recording:
    """A monitored run. `snapshots` in the order of time; `rss_t_s`, `rss_bytes` [n]: resident memory at moments, in s
    since the start and bytes. `runtime_s`: with the cost of monitoring. Equal is what is the same object."""

    workload: str
    backend: str
    time_kind: str
    seed: int
    runtime_s: float
    rss_t_s: NDArray[np.float64]
    rss_bytes: NDArray[np.int64]
    snapshots: tuple[Snapshot, ...]


def write_recording(recording: Recording, path: Path) -> None:
    """Writes the file, whole or not at all; equal recordings are equal files."""
    tree = {
        "format": FORMAT_VERSION,
        "what": WHAT,
        "workload": recording.workload,
        "backend": recording.backend,
        "time_kind": recording.time_kind,
        "seed": recording.seed,
        "runtime_s": recording.runtime_s,
        "rss": {"t_s": recording.rss_t_s.tolist(), "bytes": recording.rss_bytes.tolist()},
        "snapshots": [
            {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(one).items()}
            for one in recording.snapshots
        ],
    }
    write_whole(path, gzip.compress(json.dumps(tree, separators=(",", ":")).encode(), mtime=0))


def read_recording(path: Path) -> Recording:
    """The recording of a file. Raises ConfigError, with file and field, for what is none."""
    try:
        tree = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"not a readable recording ({error})", file=path) from error
    if not isinstance(tree, dict) or tree.get("what") != WHAT:
        found = tree.get("what") if isinstance(tree, dict) else type(tree).__name__
        raise ConfigError("not a recording of a monitored run", file=path, field="what", value=found, allowed=WHAT)
    if tree.get("format") != FORMAT_VERSION:
        found, allowed = tree.get("format"), str(FORMAT_VERSION)
        raise ConfigError("unknown version", file=path, field="format", value=found, allowed=allowed)
    try:
        return Recording(
            workload=str(tree["workload"]),
            backend=str(tree["backend"]),
            time_kind=str(tree["time_kind"]),
            seed=int(tree["seed"]),
            runtime_s=float(tree["runtime_s"]),
            rss_t_s=np.array(tree["rss"]["t_s"], np.float64),
            rss_bytes=np.array(tree["rss"]["bytes"], np.int64),
            snapshots=tuple(_snapshot(one) for one in tree["snapshots"]),
        )
    except KeyError as error:
        raise ConfigError("missing", file=path, field=str(error.args[0])) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not a readable recording ({error})", file=path) from error


def _snapshot(tree: Mapping[str, Any]) -> Snapshot:
    start, end, nr_accesses, age = (np.array(tree[key], np.int64) for key in _REGIONS)
    return Snapshot(
        t_s=float(tree["t_s"]),
        start=start,
        end=end,
        nr_accesses=nr_accesses,
        age=age,
        sample_us=int(tree["sample_us"]),
        aggr_us=int(tree["aggr_us"]),
    )
