#!/usr/bin/env python3
"""How far the simulator is from recordings of a real kernel.

    fidelity.py [--recordings DIR] [--seeds N] [--only REGEX] [--kernel 7.3] [--json] [--keep DIR] [--write-doc FILE]

Every recorded scenario is run again on the simulator with N seeds; `distance.py` judges them in units of the kernel's
own spread between boots (1: can't be told from another boot). Page-out scenarios of one workload that differ in
min_age are also ordered by their DAMOOS score, on the kernel and on the simulator, and the two orders compared
(Spearman). Targets: median ratio at most 1.5, correlation at least 0.95.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from damoos.errors import BackendError, InputError  # noqa: E402
from damoos.ops.record import read_recording, scenario_of, to_recording, write_recording  # noqa: E402
from damoos.ops.replay import replay  # noqa: E402
from damoos.sim.backend import SimBackend  # noqa: E402
from damoos.sim.machine import Machine, Node, load_machine  # noqa: E402
from damoos.tune.objective import Objective  # noqa: E402
from damoos.tune.outcome import Run  # noqa: E402

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE.parent / "tests/data/recordings"
MACHINES = {"6.12": "vm-lab-6.12", "7.3": "vm-lab"}
"""The machine model of a recorded kernel version."""
MEMORY_MIB = 512
"""What those models' machine was given."""
FRAGMENTED_AT_BOOT, FRAGMENTING_MS = 0.25, 100_000.0
"""How fragmented the recorded machine's memory is at boot, compared to what it comes to; the uptime in which all but
1/e of the difference has gone. From the number of regions of all recordings of physical memory."""
MEASURES = ("heat", "wss", "regions", "rss", "runtime", "swap_in", "tried", "applied", "kdamond")
ASIDE = ("baseline",)
"""Kinds without DAMON, which the headline leaves out."""
TARGET_RATIO, TARGET_CORRELATION = 1.5, 0.95
BEGIN, END = "<!-- fidelity: begin -->", "<!-- fidelity: end -->"

Recording = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """DAMOOS scores of one workload's settings, in the order of `scenarios`, and how well the two orders agree.

    `kernel_error`, `simulator_error`: standard errors of the scores, from the spread over runs.

    `spearman_boots`: the mean correlation of one boot of the kernel with the mean of its others, what a perfect
    simulator would reach with one run a setting.
    """

    workload: str
    scenarios: tuple[str, ...]
    kernel: tuple[float, ...]
    simulator: tuple[float, ...]
    kernel_error: tuple[float, ...]
    simulator_error: tuple[float, ...]
    spearman: float
    spearman_boots: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, metavar="DIR", help="recordings of a kernel")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="simulated runs of each scenario (20)")
    parser.add_argument("--only", default="", metavar="REGEX", help="scenarios whose name contains this")
    parser.add_argument("--kernel", default="7.3", help="recordings of this version (7.3)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the simulator's recordings there")
    parser.add_argument("--json", action="store_true", help="everything as JSON on stdout")
    parser.add_argument("--write-doc", type=Path, metavar="FILE", help="put the tables between the markers of FILE")
    options = parser.parse_args()

    kernel = select(options.recordings, options.kernel, options.only)
    if not kernel:
        sys.exit(f"no recording of {options.kernel} matches in {options.recordings}")
    with tempfile.TemporaryDirectory() as scratch:
        simulated_dir = options.keep or Path(scratch, "simulator")
        simulated_dir.mkdir(parents=True, exist_ok=True)
        simulated, missing = simulate(kernel, options.seeds, simulated_dir)
        verdict = judge(kernel, simulated, Path(scratch))
    report = summary(kernel, simulated, verdict, missing, options.seeds)
    if options.write_doc:
        write_between_markers(options.write_doc, markdown(report, options.kernel))
    print(json.dumps(report, indent=1) if options.json else text(report))


def select(folder: Path, version: str, only: str) -> dict[str, dict[Path, Recording]]:
    """The recordings of one kernel version by scenario."""
    found: dict[str, dict[Path, Recording]] = collections.defaultdict(dict)
    for path in sorted(folder.rglob(f"*--{version}*.json.gz")):
        if re.search(only, path.name.split("--")[0]):
            recording = read_recording(path)
            found[recording["name"]][path] = recording
    return dict(found)


def simulate(
    kernel: dict[str, dict[Path, Recording]], seeds: int, folder: Path
) -> tuple[dict[str, dict[Path, Recording]], dict[str, str]]:
    """Runs each scenario again with seeds 1 to `seeds`; what the simulator lacks goes into the second value."""
    done: dict[str, dict[Path, Recording]] = {}
    missing: dict[str, str] = {}
    for number, (name, recordings) in enumerate(kernel.items(), 1):
        recording = next(iter(recordings.values()))
        began = time.perf_counter()
        try:
            done[name] = {}
            for seed in range(1, seeds + 1):
                path = folder / f"{name}--{recording['kernel']}--sim{seed}.json.gz"
                done[name][path] = rerun(recording, seed)
                write_recording(done[name][path], path)
        except (InputError, BackendError) as error:
            done.pop(name, None)
            missing[name] = str(error)
        print(f"{number}/{len(kernel)} {name}: {time.perf_counter() - began:.2f} s", file=sys.stderr, flush=True)
    return done, missing


def machine_as_recorded(recording: Recording) -> Machine:
    """The lab's machine model of the recorded kernel as the lab had set it up: its memory, nodes that are equally fast,
    the policy for huge pages; less fragmented memory soon after boot. Raises BackendError if there is no model of that
    kernel."""
    version = ".".join(recording["kernel"].split(".")[:2])
    if version not in MACHINES:
        raise BackendError(f"recorded on Linux {version}; there are machine models for {', '.join(MACHINES)}")
    nodes = recording["machine"].get("nodes", 1)
    machine = load_machine(MACHINES[version])
    fragmented = 1.0 - (1.0 - FRAGMENTED_AT_BOOT) * math.exp(-recording["uptime_ms"] / FRAGMENTING_MS)
    return dataclasses.replace(
        machine,
        fragmented_bytes=int(machine.fragmented_bytes * fragmented),
        memory_bytes=machine.memory_bytes + (recording["machine"].get("mem_mb", MEMORY_MIB) - MEMORY_MIB << 20),
        thp=recording.get("thp", "never"),
        nodes=(Node(),) * nodes if nodes > 1 else (),
    )


def rerun(recording: Recording, seed: int) -> Recording:
    """One simulated run of a recorded scenario, as a recording. Raises InputError or BackendError if not possible."""
    workload, _, pace = scenario_of(recording)
    result = replay(recording, SimBackend(machine_as_recorded(recording), pace=pace, trace=True), seed)
    return to_recording(
        result,
        workload=workload,
        pace=pace,
        kernel=recording["kernel"],
        name=recording["name"],
        kind=recording["kind"],
    )


def judge(
    kernel: dict[str, dict[Path, Recording]], simulated: dict[str, dict[Path, Recording]], scratch: Path
) -> dict[str, Any]:
    """The verdict of `distance.py`, run as anybody would, on what was simulated."""
    folders = {"kernel": kernel, "judged": simulated}
    for folder, recordings in folders.items():
        (scratch / folder).mkdir()
        for name in simulated:
            for path in recordings[name]:
                (scratch / folder / path.name).symlink_to(path.resolve())
    command = [sys.executable, str(HERE / "distance.py"), *(str(scratch / folder) for folder in folders), "--json"]
    verdict: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return verdict


def summary(
    kernel: dict[str, dict[Path, Recording]],
    simulated: dict[str, dict[Path, Recording]],
    verdict: dict[str, Any],
    missing: dict[str, str],
    seeds: int,
) -> dict[str, Any]:
    """All figures of the report."""
    scenarios = {name.rsplit("--", 1)[0]: row for name, row in verdict["scenarios"].items()}
    for name, row in scenarios.items():
        row["kind"] = next(iter(kernel[name].values()))["kind"]
    orders = score_orders(kernel, simulated)
    headline = [row for row in scenarios.values() if row["kind"] not in ASIDE]
    correlations = [order.spearman for order in orders]
    return {
        "seeds": seeds,
        "median_ratio": median(row["geometric_mean"] for row in headline),
        "median_by_kind": {
            kind: median(row["geometric_mean"] for row in scenarios.values() if row["kind"] == kind)
            for kind in sorted({row["kind"] for row in scenarios.values()})
        },
        "median_by_measure": {
            measure: median(row["ratio"][measure] for row in headline if measure in row["ratio"])
            for measure in MEASURES
        },
        "spearman": min(correlations, default=None),
        "orders": [vars(order) for order in orders],
        "scenarios": scenarios,
        "not_modelled": missing,
    }


def median(values: Iterable[float]) -> float | None:
    values = list(values)
    return statistics.median(values) if values else None


def score_orders(kernel: dict[str, dict[Path, Recording]], simulated: dict[str, dict[Path, Recording]]) -> list[Order]:
    """Per workload with a baseline and at least three page-out settings: their scores, on both sides."""
    bases = {workload_name(kernel, name): name for name in simulated if kind(kernel, name) == "baseline"}
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for name in simulated:
        if kind(kernel, name) == "pageout":
            groups[workload_name(kernel, name)].append(name)
    orders = []
    for workload, names in groups.items():
        if workload in bases and len(names) >= 3:
            names.sort(key=lambda name: min_age(kernel, name))
            (left, left_error), (right, right_error) = (
                zip(*(score_and_error(side[name], side[bases[workload]]) for name in names), strict=True)
                for side in (kernel, simulated)
            )
            boots = order_of_boots([kernel[name] for name in names], kernel[bases[workload]])
            orders.append(
                Order(workload, tuple(names), left, right, left_error, right_error, spearman(left, right), boots)
            )
    return orders


def order_of_boots(settings: list[dict[Path, Recording]], baseline: dict[Path, Recording]) -> float | None:
    by_seed = [{run["seed"]: score([run], baseline.values()) for run in runs.values()} for runs in settings]
    seeds = set.intersection(*(set(scores) for scores in by_seed))
    if len(seeds) < 2:
        return None
    return statistics.mean(
        spearman(
            [scores[seed] for scores in by_seed],
            [statistics.mean(scores[other] for other in seeds - {seed}) for scores in by_seed],
        )
        for seed in seeds
    )


def score_and_error(runs: dict[Path, Recording], baseline: dict[Path, Recording]) -> tuple[float, float]:
    """DAMOOS score of the mean run, and the standard error of the single runs' scores."""
    single = [score([run], baseline.values()) for run in runs.values()]
    error = statistics.stdev(single) / len(single) ** 0.5 if len(single) > 1 else float("nan")
    return score(runs.values(), baseline.values()), error


def first(side: dict[str, dict[Path, Recording]], name: str) -> Recording:
    return next(iter(side[name].values()))


def kind(side: dict[str, dict[Path, Recording]], name: str) -> str:
    return str(first(side, name)["kind"])


def workload_name(side: dict[str, dict[Path, Recording]], name: str) -> str:
    return str(first(side, name)["workload"]["name"])


def min_age(side: dict[str, dict[Path, Recording]], name: str) -> int:
    return int(first(side, name)["damon"]["schemes"][0]["access_pattern"]["age"][0])


def score(runs: Iterable[Recording], baselines: Iterable[Recording]) -> float:
    """DAMOOS score of the means over runs."""
    return Objective().repeat(mean_run(runs), mean_run(baselines)).score


def mean_run(recordings: Iterable[Recording]) -> Run:
    """Runtime and RSS as means over runs; the score takes nothing else."""
    runtime_ms, rss_kb = np.mean([(rec["result"]["total_ms"], mean_rss_kb(rec)) for rec in recordings], axis=0)
    return Run(
        seed=0,
        runtime_s=float(runtime_ms) / 1e3,
        rss_mean_bytes=float(rss_kb) * 1024,
        rss_peak_bytes=0,
        major_faults=0,
        swap_in_bytes=0,
        swap_out_bytes=0,
        kdamond_cpu_s=0.0,
    )


def mean_rss_kb(recording: Recording) -> float:
    """Time-weighted over the run."""
    columns = recording["samples"]["columns"]
    rows = np.array(recording["samples"]["rows"], dtype=float)
    t_ms, rss_kb = rows[:, columns.index("t_ms")], rows[:, columns.index("rss_kb")]
    return float(np.trapezoid(rss_kb, t_ms) / (t_ms[-1] - t_ms[0]))


def spearman(left: list[float], right: list[float]) -> float:
    """Rank correlation, ties sharing their mean rank; 0 where one side has only one rank."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (left, right)]
    return float(np.corrcoef(ranks)[0, 1]) if all(np.ptp(r) > 0 for r in ranks) else 0.0


def table_rows(report: dict[str, Any]) -> list[list[str]]:
    rows = [["scenario", *MEASURES, "ratio"]]
    for name, row in report["scenarios"].items():
        rows.append([name, *(ratio_cell(row["ratio"].get(m)) for m in MEASURES), ratio_cell(row["geometric_mean"])])
    medians = report["median_by_measure"]
    rows.append(["median", *(ratio_cell(medians[m]) for m in MEASURES), ratio_cell(report["median_ratio"])])
    return rows


def ratio_cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else "missing"


def headline(report: dict[str, Any]) -> list[str]:
    lines = []
    for label, value, met, target in (
        ("median ratio", report["median_ratio"], lambda v: v <= TARGET_RATIO, f"at most {TARGET_RATIO}"),
        ("lowest Spearman", report["spearman"], lambda v: v >= TARGET_CORRELATION, f"at least {TARGET_CORRELATION}"),
    ):
        if value is not None:
            lines.append(f"{label} {value:.2f} (target: {target}, {'met' if met(value) else 'MISSED'})")
    kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in report["median_by_kind"].items())
    return [*lines, f"median ratio by kind: {kinds}"] if kinds else lines


def order_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    for order in report["orders"]:
        columns = ("scenarios", "kernel", "kernel_error", "simulator", "simulator_error")
        cells = ", ".join(
            f"{name.rsplit('-', 1)[1]} {left:.1f} ± {a:.1f} / {right:.1f} ± {b:.1f}"
            for name, left, a, right, b in zip(*(order[column] for column in columns), strict=True)
        )
        boots = order["spearman_boots"]
        own = "" if boots is None else f" (a boot of the kernel with its others: {boots:.2f})"
        lines.append(f"{order['workload']}: Spearman {order['spearman']:.2f}{own}; score kernel / simulator: {cells}")
    return lines


def text(report: dict[str, Any]) -> str:
    rows = table_rows(report)
    width = max(len(row[0]) for row in rows)
    lines = [row[0].ljust(width) + "".join(cell.rjust(9) for cell in row[1:]) for row in rows]
    lines += ["", *order_lines(report), *headline(report)]
    lines += [f"not modelled yet: {name}: {why}" for name, why in report["not_modelled"].items()]
    return "\n".join(lines)


def markdown(report: dict[str, Any], version: str) -> str:
    rows = table_rows(report)
    bars = ["| " + " | ".join(row) + " |" for row in rows]
    bars.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
    missing = [f"- `{name}`: {why}" for name, why in report["not_modelled"].items()]
    return "\n".join(
        [
            f"Linux {version}, {report['seeds']} simulated runs a scenario. Each cell is the distance between "
            "simulator and kernel in units of the distance between two boots of the kernel; 1 can't be told from "
            "another boot.",
            "",
            *(f"- {line}" for line in headline(report)),
            "",
            *bars,
            "",
            "Order of the page-out settings (min_age) by DAMOOS score:",
            "",
            *(f"- {line}" for line in order_lines(report)),
            *(["", "Not modelled yet:", "", *missing] if missing else []),
        ]
    )


def write_between_markers(path: Path, block: str, first: str = BEGIN, last: str = END) -> None:
    """Replaces what stands between the markers in `path`; the rest stays."""
    before, begin, rest = path.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        sys.exit(f"{path}: needs the lines {first} and {last}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(f"{before}{first}\n\n{block}\n\n{last}{after}")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
