"""How much of a policy's simulated advantage stays on the real kernel: `python experiments/rl-control-vm/transfer.py`.

Reads what `damoos bench --publish` left beside `rl-control-vm` and `rl-control-vm-simulated`, and prints the table of
docs/rl.md: worths (interquartile means over seeds; 0 where nothing beats no scheme), what the policy has over
`documented`, and what share of it stays. With two files, `rows.csv` of the model and of the kernel, scores of the first
runs instead (means over seeds), which know no such bound.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).parent
PLACES = (HERE.parent / "rl-control-vm-simulated", HERE)
POLICY, OTHER = "policy:control-reclaim", "documented"
Found = Mapping[tuple[str, str], float]
"""By task and strategy."""


def worths(folder: Path) -> Found:
    """What is reached; nothing for tasks that were left out, since nothing gains there."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {(row["task"], row["strategy"]): row["reached"] for row in results["comparison"]["by_task"]}


def scores(rows: Path) -> Found:
    """Means of the first trials' scores."""
    found: dict[tuple[str, str], list[float]] = {}
    with rows.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["number"] == "0":
                found.setdefault((row["task"], row["strategy"]), []).append(float(row["score"]))
    return {key: fmean(values) for key, values in found.items()}


def main() -> None:
    """Prints the table."""
    files = [Path(name) for name in sys.argv[1:3]]
    places = [scores(file) for file in files] if files else [worths(folder) for folder in PLACES]
    tasks = list(dict.fromkeys(task for task, _ in places[0]))
    print("| workload | model: policy | documented | advantage | kernel: policy | documented | advantage |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for task in tasks:
        cells = [f"`{task}`"]
        for of in places:
            policy, other = of.get((task, POLICY), 0.0), of.get((task, OTHER), 0.0)
            cells += [f"{policy:.1f}", f"{other:.1f}", f"{policy - other:+.1f}"]
        print(f"| {' | '.join(cells)} |")
    model, kernel = (fmean(of.get((t, POLICY), 0.0) - of.get((t, OTHER), 0.0) for t in tasks) for of in places)
    print(f"\nmean advantage: {model:.2f} on the model, {kernel:.2f} on the kernel: {100 * kernel / model:.0f} % stays")


if __name__ == "__main__":
    main()
