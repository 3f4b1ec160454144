"""`damoos touch` without the command line: a masim workload as a plan, and a lean process that executes it.

    plan = touch.plan(load("zigzag.cfg"), Pace(timing="time"), seed=1)
    argv = touch.argv(touch.write_plan(plan, "plan.json"))

The process is touch_run.py under the bare interpreter, so that the memory of the process is the workload's but for
about 11 MiB (see `rss_bytes` of its "ready" line), most of it the interpreter's own file pages.

Python is not what is measured: with `damoos touch FILE --json --prefault` on 64 MiB, one phase of 1,000 ms, an AMD EPYC
(one of two shared cores, so give or take a third) made, in million accesses a second, against masim's loops in C
compiled with gcc -O2 in brackets:

| pattern | ro | wo | rw |
| --- | --- | --- | --- |
| sequential, stride 4096 | 131 (171) | 170 (171) | 72 (82) |
| sequential, stride 64 | 306 (411) | 310 (335) | 353 (368) |
| random | 86 (77) | 147 (157) | 99 (66) |
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from .masim import MasimWorkload, Pattern
from .pace import Pace

RUNNER = Path(__file__).with_name("touch_run.py")
"""The executor: one file, standard library only."""

ACCESSES_PER_MS = 60_000.0
"""Fixed work per nominal ms where a pace does not say: the undisturbed rate of the simulator's zram machine."""


def plan(workload: MasimWorkload, pace: Pace, seed: int, *, sync: bool = False, as_json: bool = True) -> dict[str, Any]:
    """The plan that RUNNER executes, as JSON values; for machines of this architecture. Raises BackendError.

    With `sync` it waits on its standard input before the first phase and before it exits; with `as_json` it prints
    JSON lines, else text. Files with initial data are looked for in the folder where RUNNER runs, as masim does.
    """
    from .touch_code import compile_loops

    place = {region.name: number for number, region in enumerate(workload.regions)}
    work = ACCESSES_PER_MS if pace.accesses_per_ms is None else pace.accesses_per_ms
    return {
        "format": 1,
        "name": workload.name,
        "machine": os.uname().machine,
        "loops": {name: base64.b64encode(code).decode("ascii") for name, code in compile_loops().items()},
        "regions": [[region.name, region.sz, region.data_file] for region in workload.regions],
        "phases": [
            [phase.name, phase.ms, [[place[p.region], _loop(p), p.stride, p.probability] for p in phase.patterns]]
            for phase in workload.phases
        ],
        "accesses_per_ms": work if pace.timing == "work" else None,
        "limit_per_ms": pace.limit_per_ms,
        "batch": pace.batch,
        "prefault": pace.prefault,
        "seed": seed,
        "sync": sync,
        "json": as_json,
    }


def write_plan(tree: dict[str, Any], path: str | Path) -> Path:
    """Writes a plan to a file and returns where it is."""
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(tree), encoding="utf-8")
    os.replace(partial, target)
    return target


def argv(plan_file: str | Path, *, python: str = sys.executable, runner: str | Path = RUNNER) -> tuple[str, ...]:
    """The command that executes a plan; `python` and `runner` as they are on the machine where it runs."""
    return (python, "-I", "-S", str(runner), str(plan_file))


def become(tree: dict[str, Any]) -> NoReturn:
    """Turns this process into the executor of a plan: same pid and standard streams, without damoos's memory."""
    file = os.memfd_create("damoos-plan", 0)  # stays open across exec
    with os.fdopen(os.dup(file), "wb") as out:
        out.write(json.dumps(tree).encode())
    os.lseek(file, 0, os.SEEK_SET)
    command = argv(f"/proc/self/fd/{file}")
    os.execv(command[0], command)


def _loop(pattern: Pattern) -> str:
    return f"{'random' if pattern.random else 'sequential'} {pattern.rw_mode}"
