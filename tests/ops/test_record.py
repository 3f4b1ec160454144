"""Recordings of the kernel are the oracle: taken apart into a Result and put together again they must be the same."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damoos.backend.result import PhaseResult, Result, Samples, Trace
from damoos.damon.kdamonds import Context, Kdamond, Kdamonds
from damoos.damon.snapshot import SchemeStats
from damoos.errors import ConfigError
from damoos.ops.record import read_recording, scenario_of, to_recording, write_recording
from damoos.ops.recorded_damon import damon_block, kdamonds_of
from damoos.workload.pace import Pace
from tests.damon.strategies import contexts

RECORDINGS = Path(__file__).parent.parent / "data/recordings"
PAGEOUT = "pageout-w-zigzag-age1s--7.3.json.gz"
RATED = "mon-sweep-i5-r10x1000--7.3.json.gz"
BASE = "base-w-zigzag--7.3.json.gz"


def column(table: dict[str, Any], name: str) -> np.ndarray:
    at = table["columns"].index(name)
    return np.array([row[at] for row in table["rows"]])


def trace_of(recording: dict[str, Any]) -> Trace:
    rows = [np.array(flat).reshape(-1, 4) for _, flat in recording["snapshots"]["rows"]]
    starts = [np.cumsum(row[:, 0]) + np.concatenate(([0], np.cumsum(row[:-1, 1]))) for row in rows]
    flat = np.concatenate([*rows, np.empty((0, 4), int)])
    return Trace(
        t_ms=np.array([t for t, _ in recording["snapshots"]["rows"]]),
        offset=np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=int))),
        start_page=np.concatenate([*starts, np.empty(0, int)]),
        pages=flat[:, 1],
        nr_accesses=flat[:, 2],
        age=flat[:, 3],
        areas=tuple((r["name"], r["page"], r["pages"]) for r in recording["result"]["regions"]),
        maps=tuple((name, page, pages) for page, pages, name in recording["maps"]),
    )


def result_of(recording: dict[str, Any], kdamonds: Kdamonds | None) -> Result:
    samples, stats = recording["samples"], recording["scheme_stats"]
    counters = {f.name for f in dataclasses.fields(SchemeStats)}
    kdamond_ms = (recording["kdamond"] or {"cpu_ms": 0})["cpu_ms"]
    return Result(
        workload=recording["workload"]["name"],
        backend="recorded",
        machine="lab",
        time_kind="virtual",
        seed=recording["seed"],
        runtime_s=recording["result"]["total_ms"] / 1e3,
        rss_mean_bytes=0.0,
        rss_peak_bytes=0,
        rss_last_bytes=0,
        major_faults=0,
        swap_in_bytes=0,
        swap_out_bytes=0,
        kdamond_cpu_s=kdamond_ms / 1e3,
        nr_regions_mean=0.0,
        scheme_stats=tuple(SchemeStats(**{k: v for k, v in row.items() if k in counters}) for row in stats),
        phases=tuple(
            PhaseResult(p["name"], p["nominal_ms"], p["elapsed_ms"], p["accesses"])
            for p in recording["result"]["phases"]
        ),
        samples=Samples(
            t_s=column(samples, "t_ms") / 1e3,
            rss_bytes=column(samples, "rss_kb") * 1024,
            swap_bytes=column(samples, "swap_kb") * 1024,
            major_faults=column(samples, "pgmajfault"),
            swap_in_pages=column(samples, "pswpin"),
            swap_out_pages=column(samples, "pswpout"),
            kdamond_cpu_s=column(samples, "kdamond_cpu_ms") / 1e3,
            nr_regions=np.zeros(len(samples["rows"]), int),
        ),
        asked=kdamonds,
        applied=kdamonds,
        trace=trace_of(recording),
    )


@pytest.mark.parametrize("file", [PAGEOUT, RATED, BASE])
def test_a_kernels_recording_survives_the_way_through_a_result(file: str, tmp_path: Path) -> None:
    kernel = read_recording(RECORDINGS / file)
    workload, kdamonds, pace = scenario_of(kernel)
    ours = to_recording(
        result_of(kernel, kdamonds),
        workload=workload,
        pace=pace,
        kernel=kernel["kernel"],
        name=kernel["name"],
        kind=kernel["kind"],
    )
    write_recording(ours, tmp_path / "ours.json.gz")
    ours = read_recording(tmp_path / "ours.json.gz")

    same = ("schema", "name", "kind", "kernel", "seed", "damon", "final_intervals", "maps")
    assert {key: ours[key] for key in same} == {key: kernel[key] for key in same}
    assert ours["workload"]["args"] == kernel["workload"]["args"]
    assert scenario_of(ours) == (workload, kdamonds, pace)
    for name, columns in (("aggregations", kernel["aggregations"]["columns"]), ("samples", ours["samples"]["columns"])):
        for each in columns:
            # Two decimals on both sides, so a half may have been rounded the other way.
            np.testing.assert_allclose(column(ours[name], each), column(kernel[name], each), atol=0.0101, rtol=0)
    assert ours["snapshots"]["rows"] == kernel["snapshots"]["rows"]
    assert [(r["name"], r["bytes"], r["page"], r["pages"]) for r in ours["result"]["regions"]] == [
        (r["name"], r["bytes"], r["page"], r["pages"]) for r in kernel["result"]["regions"]
    ]
    for left, right in zip(ours["scheme_stats"], kernel["scheme_stats"], strict=True):
        assert {k: right[k] for k in left if k != "t_ms"} == {k: left[k] for k in left if k != "t_ms"}
    assert (ours["kdamond"] or {}).get("cpu_ms") == (kernel["kdamond"] or {}).get("cpu_ms")


def test_the_pace_of_a_recording() -> None:
    assert scenario_of(read_recording(RECORDINGS / PAGEOUT))[2] == Pace("work", accesses_per_ms=65000, prefault=True)
    assert scenario_of(read_recording(RECORDINGS / RATED))[2] == Pace("time", limit_per_ms=3, batch=1, prefault=True)


def test_a_rate_left_to_the_machine_is_recorded_as_it_was() -> None:
    kernel = read_recording(RECORDINGS / BASE)
    workload, _, _ = scenario_of(kernel)
    ours = to_recording(result_of(kernel, None), workload=workload, pace=Pace(), kernel="7.3", name="x")
    assert ours["workload"]["args"] == ["--work", "65000"]
    assert scenario_of(ours)[2] == Pace(accesses_per_ms=65000)


def test_the_workload_of_a_recording_writes_where_no_mode_is_given() -> None:
    recording = read_recording(RECORDINGS / RATED)
    pattern = scenario_of(recording)[0].phases[0].patterns[0]
    assert recording["workload"]["config"].endswith("big, 0, 4096, 1\n") and pattern.rw_mode == "wo"


def test_equal_runs_are_equal_files_in_the_folders_own_mode(tmp_path: Path) -> None:
    recording = read_recording(RECORDINGS / BASE)
    for name in ("a", "b"):
        write_recording(recording, tmp_path / name)
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "plain"]


@settings(deadline=None, max_examples=50)
@given(context=contexts(), refresh_ms=st.integers(0, 2**32 - 1))
def test_a_damon_block_keeps_everything_but_the_targets(context: Context, refresh_ms: int) -> None:
    context = dataclasses.replace(context, targets=Context().targets)
    kdamonds = Kdamonds((Kdamond((context,), refresh_ms),))
    assert kdamonds_of(json.loads(json.dumps(damon_block(kdamonds)))) == kdamonds


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"opperations": "vaddr"}, "damon.opperations"),
        ({"intervals_us": {"samples": 1}}, "damon.intervals_us.samples"),
        ({"schemes": [{"action": "page_out"}]}, r"damon.schemes\[0\].action: unknown value, got 'page_out'; allowed:"),
        ({"schemes": [{"quotas": {"weights": {"age": "1"}}}]}, r"damon.schemes\[0\].quotas.weights.age: not int"),
    ],
)
def test_what_cannot_be_read_is_named(block: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=f"rec.json.gz: {place}"):
        kdamonds_of(block, file="rec.json.gz")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_no_recording_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json.gz").write_bytes(content)
    with pytest.raises(ConfigError, match="bad.json.gz"):
        read_recording(tmp_path / "bad.json.gz")
