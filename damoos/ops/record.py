"""Recordings: one run as a JSON file, in the schema in which runs of real kernels are kept.

A recording holds what the kernel was asked for, what the workload did and what DAMON saw at every aggregation, with
memory in pages of 4 KiB, numbered from the lowest workload region (so code, heap and stack lie outside). Simulated and
real runs in one schema can be judged by one program (`benchmarks/distance.py`).
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.backend.result import Result, Samples, Trace
from damoos.damon.kdamonds import AddressRange, Kdamonds, Target
from damoos.errors import ConfigError
from damoos.files import write_whole
from damoos.workload.masim import MasimWorkload, dumps, parse
from damoos.workload.pace import MASIM_BATCH, Pace

from .recorded_damon import damon_block, kdamonds_of

SCHEMA = 1
_PLACE = re.compile(r"@(START|END)(\d+)@")


def to_recording(
    result: Result, *, workload: MasimWorkload, pace: Pace, kernel: str, name: str, kind: str = "run"
) -> dict[str, Any]:
    """The recording of a finished run.

    `kernel` is the version that ran or was imitated (`Capabilities.kernel`), `name` the scenario, `kind` its group.
    Without `result.trace` there are no snapshots and aggregations. Addresses are null: a recording needs none, and a
    simulated process has none worth keeping. Keys beyond the schema: `backend`, `time_kind`, `versions`,
    `workload.prefault`.
    """
    trace, asked = result.trace, result.asked
    applied = None if result.applied is None else result.applied.context.intervals
    return {
        "schema": SCHEMA,
        "name": name,
        "kind": kind,
        "kernel": kernel,
        "seed": result.seed,
        "machine": {"model": result.machine},
        "backend": result.backend,
        "time_kind": result.time_kind,
        "versions": result.versions,
        "workload": {
            "name": workload.name,
            "args": _arguments(pace, result),
            "prefault": pace.prefault,
            "config": dumps(workload),
        },
        "damon": None if asked is None else damon_block(asked),
        "result": _result(result, workload),
        "kdamond": None if asked is None else {"cpu_ms": _ms(result.kdamond_cpu_s)},
        "final_intervals": None if applied is None else {"sample_us": applied.sample_us, "aggr_us": applied.aggr_us},
        "scheme_stats": [
            {"t_ms": _ms(result.runtime_s), "scheme": i}
            | {name: count for name, count in vars(stats).items() if name != "effective_bytes"}
            for i, stats in enumerate(result.scheme_stats)
        ],
        "base_address": 0 if asked is not None and asked.context.ops == "paddr" else None,
        "maps": [] if trace is None else [[page, pages, area] for area, page, pages in trace.maps],
        "samples": _samples(result.samples),
        "aggregations": _aggregations(trace, workload),
        "snapshots": {"stride": 1, "trace_pages_lost": 0, "rows": [] if trace is None else _snapshots(trace)},
    }


def write_recording(recording: dict[str, Any], path: str | Path) -> None:
    """Writes a recording: one top-level key a line, gzipped with a fixed time stamp, so equal runs are equal files."""
    lines = (f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in recording.items())
    text = "{" + ",\n".join(lines) + "}\n"
    write_whole(Path(path), gzip.compress(text.encode(), mtime=0))


def read_recording(path: str | Path) -> dict[str, Any]:
    """The recording in a `.json.gz` file. Raises ConfigError, with the file, for one that isn't a recording."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            recording = json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"not a readable recording ({error})", file=path) from error
    if not isinstance(recording, dict) or recording.get("schema") != SCHEMA:
        found = recording.get("schema") if isinstance(recording, dict) else None
        raise ConfigError("not a recording", file=path, field="schema", value=found, allowed=str(SCHEMA))
    return recording


def scenario_of(recording: dict[str, Any]) -> tuple[MasimWorkload, Kdamonds | None, Pace]:
    """What a recording is a run of: the workload, the kdamonds (None: without DAMON) and the pace.

    With paddr what was monitored is the machine's System RAM, if the recording says where that is.
    Recordings that don't say `prefault` were made with a workload program that fills its regions before DAMON starts.
    Raises ConfigError for what can't be read.
    """
    block = recording["workload"]
    workload = parse(block["config"], name=block["name"])
    damon = recording.get("damon")
    kdamonds = None if damon is None else kdamonds_of(_placed(damon, recording["result"]["regions"]))
    if kdamonds is not None and kdamonds.context.ops == "paddr" and recording.get("system_ram"):
        target = Target(regions=(AddressRange(*recording["system_ram"]),))
        kdamonds = kdamonds.with_context(dataclasses.replace(kdamonds.context, targets=(target,)))
    return workload, kdamonds, _pace(block["args"], block.get("prefault", True))


def _placed(block: Any, regions: list[dict[str, Any]]) -> Any:
    # `@START0@` and `@END0@` stand for where the first workload region was.
    if isinstance(block, dict):
        return {key: _placed(value, regions) for key, value in block.items()}
    if isinstance(block, list):
        return [_placed(value, regions) for value in block]
    match = _PLACE.fullmatch(block) if isinstance(block, str) else None
    if match is None:
        return block
    index = int(match[2])
    if index >= len(regions) or regions[index]["address"] is None:
        raise ConfigError("no such region with an address", field="damon", value=block, allowed="0 to the last region")
    region = regions[index]
    return int(region["address"]) + (int(region["bytes"]) if match[1] == "END" else 0)


def _ms(seconds: float) -> float:
    return round(1e3 * float(seconds), 3)


def _arguments(pace: Pace, result: Result) -> list[str]:
    """The pace as the arguments `--time` or `--work R`, `--rate R`, `--batch N`; rates in accesses per ms."""
    if pace.timing == "time":
        arguments = ["--time"]
    else:
        # A rate left to the machine becomes the one that the phases' accesses amount to.
        nominal_ms = sum(phase.nominal_ms for phase in result.phases if phase.accesses)
        rate = pace.accesses_per_ms or sum(phase.accesses for phase in result.phases) / max(nominal_ms, 1.0)
        arguments = ["--work", f"{rate:.10g}"]
    if pace.limit_per_ms is not None:
        arguments += ["--rate", f"{pace.limit_per_ms:.10g}"]
    if pace.batch != MASIM_BATCH:
        arguments += ["--batch", str(pace.batch)]
    return arguments


def _pace(arguments: list[str], prefault: bool) -> Pace:
    pace: dict[str, Any] = {"timing": "time", "prefault": prefault}
    words = iter(arguments)
    try:
        for word in words:
            if word == "--time":
                pace["timing"] = "time"
            elif word == "--work":
                pace |= {"timing": "work", "accesses_per_ms": float(next(words))}
            elif word == "--rate":
                pace["limit_per_ms"] = float(next(words))
            elif word == "--batch":
                pace["batch"] = int(next(words))
            else:
                raise ConfigError(
                    "unknown argument of a recorded workload",
                    field="workload.args",
                    value=word,
                    allowed="--time, --work R, --rate R, --batch N",
                )
    except (StopIteration, ValueError):
        raise ConfigError("needs a number", field="workload.args", value=" ".join(arguments)) from None
    return Pace(**pace)


def _result(result: Result, workload: MasimWorkload) -> dict[str, Any]:
    areas = {} if result.trace is None else {name: (page, pages) for name, page, pages in result.trace.areas}
    return {
        "total_ms": _ms(result.runtime_s),
        "regions": [
            {"name": region.name, "bytes": region.sz, "address": None}
            | dict(zip(("page", "pages"), areas.get(region.name, (None, None)), strict=True))
            for region in workload.regions
        ],
        "phases": [
            {
                "name": phase.name,
                "nominal_ms": round(phase.nominal_ms, 3),
                "elapsed_ms": round(phase.elapsed_ms, 3),
                "accesses": phase.accesses,
            }
            for phase in result.phases
        ],
    }


def _table(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {
        "columns": list(columns),
        "rows": [list(row) for row in zip(*(column.tolist() for column in columns.values()), strict=True)],
    }


def _samples(samples: Samples) -> dict[str, Any]:
    return _table(
        {
            "t_ms": np.round(1e3 * samples.t_s, 3),
            "rss_kb": samples.rss_bytes // 1024,
            "swap_kb": samples.swap_bytes // 1024,
            "pswpin": samples.swap_in_pages,
            "pswpout": samples.swap_out_pages,
            "pgmajfault": samples.major_faults,
            "kdamond_cpu_ms": np.round(1e3 * samples.kdamond_cpu_s, 3),
            **({} if samples.huge_bytes is None else {"anon_huge_kb": samples.huge_bytes // 1024}),
            **({} if samples.far_bytes is None else {"node1_anon_kb": samples.far_bytes // 1024}),
        }
    )


def _aggregations(trace: Trace | None, workload: MasimWorkload) -> dict[str, Any]:
    """One row an aggregation; a workload region's figure is the mean of `nr_accesses` over its pages."""
    areas = {} if trace is None else {name: (page, pages) for name, page, pages in trace.areas}
    placed = [region.name for region in workload.regions if trace is None or region.name in areas]
    names = [f"mean_nr_accesses:{region}" for region in placed]
    if trace is None:
        head = ["t_ms", "nr_regions", "accessed_pages", "nr_accesses_times_pages"]
        return {"columns": head + names, "rows": []}

    def per_aggregation(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.diff(np.concatenate(([0], np.cumsum(values, dtype=np.int64)))[trace.offset])

    columns: dict[str, NDArray[Any]] = {
        "t_ms": np.round(trace.t_ms, 3),
        "nr_regions": np.diff(trace.offset),
        "accessed_pages": per_aggregation(np.where(trace.nr_accesses > 0, trace.pages, 0)),
        "nr_accesses_times_pages": per_aggregation(trace.nr_accesses * trace.pages),
    }
    end_page = trace.start_page + trace.pages
    for region, name in zip(placed, names, strict=True):
        page, pages = areas[region]
        overlap = np.maximum(np.minimum(end_page, page + pages) - np.maximum(trace.start_page, page), 0)
        columns[name] = np.round(per_aggregation(trace.nr_accesses * overlap) / pages, 2)
    return _table(columns)


def _snapshots(trace: Trace) -> list[list[Any]]:
    """Per aggregation `[t_ms, [gap, pages, nr_accesses, age, ...]]`; `gap` is the distance from the region before."""
    rows: list[list[Any]] = []
    for i, t_ms in enumerate(trace.t_ms.tolist()):
        here = slice(int(trace.offset[i]), int(trace.offset[i + 1]))
        start, pages = trace.start_page[here], trace.pages[here]
        gap = start - np.concatenate(([0], (start + pages)[:-1])) if len(start) else start
        flat = np.column_stack((gap, pages, trace.nr_accesses[here], trace.age[here])).ravel()
        rows.append([round(t_ms, 3), flat.tolist()])
    return rows
