#!/usr/bin/env python3
"""What `damoos tune` finds for every shipped workload, verified with fresh seeds.

    tune_workloads.py [--trials N] [--seed S] [--backend NAME] [--json] [--write-doc FILE]

For each workload a study from scratch, then the score of the found scheme and of the example of DAMON's evaluation
(page out 4 KiB and more, no access for 5 s), both against no scheme, whose score is 0. Higher is better; the score is
-(0.5 · runtime overhead % + 0.5 · RSS overhead %).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from fidelity import write_between_markers  # noqa: E402

from damoos.catalogue import find, group_of, names  # noqa: E402
from damoos.tune.request import StudyRequest  # noqa: E402
from damoos.tune.study import run_study  # noqa: E402

COLUMNS = ("workload", "documented", "found", "runtime, %", "RSS, %", "outcome", "s")
BEGIN, END = "<!-- workloads: begin -->", "<!-- workloads: end -->"


def tune(workload: str, options: argparse.Namespace) -> dict[str, Any]:
    """The verified scores of one workload."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        request = StudyRequest(
            workload=workload,
            study=Path(scratch, "study.journal"),
            backend=options.backend,
            trials=options.trials,
            seed=options.seed,
        )
        outcome = run_study(request, lambda progress: None)
    verification = outcome.verification
    assert verification is not None
    by_label = {scheme.label: scheme for scheme in verification.schemes}
    return {
        "workload": workload,
        "schemes": {label: vars(scheme) for label, scheme in by_label.items()},
        "helps": verification.helps,
        "verdict": verification.verdict,
        "seconds": time.perf_counter() - begun,
    }


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    schemes = result["schemes"]
    found = schemes.get("found", schemes["documented"])

    def cell(interval: Any, digits: int) -> str:
        return f"{interval.mean:.{digits}f} ± {(interval.high - interval.low) / 2:.{digits}f}"

    return (
        result["workload"],
        cell(schemes["documented"]["score"], 1),
        cell(found["score"], 1) if result["helps"] else "",
        cell(found["runtime_overhead_percent"], 1) if result["helps"] else "",
        cell(found["rss_overhead_percent"], 1) if result["helps"] else "",
        "found" if result["helps"] else "nothing helps",
        f"{result['seconds']:.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="sim:zram")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write-doc", type=Path, metavar="FILE", help="put the table between the markers of FILE")
    options = parser.parse_args()
    results = []
    # Models of long published programs are a matter of their own (docs/parsec.md).
    own = [name for name in names("workloads") if not group_of("workloads", find("workloads", name))]
    for workload in own:
        results.append(tune(workload, options))
        print(f"{workload}: {results[-1]['verdict']}", file=sys.stderr)
    if options.json:
        print(json.dumps(results, indent=1, default=vars))
        return
    rows = [COLUMNS, *(row(result) for result in results)]
    if options.write_doc:
        bars = ["| " + " | ".join(cells) + " |" for cells in rows]
        bars.insert(1, "| --- |" + " ---: |" * 4 + " --- | ---: |")
        write_between_markers(options.write_doc, "\n".join(bars), BEGIN, END)
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(COLUMNS))]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
