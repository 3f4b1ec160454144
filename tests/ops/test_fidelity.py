"""The simulator stays close to the recorded kernel; loose bounds, two seeds (docs/fidelity.md has the full figures)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/fidelity.py"


def fidelity(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), "--json", *arguments]
    report: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return report


@pytest.mark.slow
def test_the_simulator_is_close_to_the_kernel() -> None:
    report = fidelity(
        "--seeds", "2", "--only", "(base|pageout)-w-stairs|mon-stairs-i5-r10x1000|mon-sweep|mon-graded-i1|mon-burst-i20"
    )
    assert report["not_modelled"] == {}
    assert len(report["scenarios"]) == 11
    assert report["median_ratio"] < 2.5
    assert {name: row for name, row in report["scenarios"].items() if row["geometric_mean"] > 5} == {}
    assert [order["workload"] for order in report["orders"]] == ["w-stairs"] and report["spearman"] >= 0.9


@pytest.mark.slow
def test_quotas_goals_watermarks_filters_and_tuned_intervals_are_as_on_the_kernel() -> None:
    report = fidelity("--seeds", "3", "--only", "^(quota|wmark|tune|filter-addr)")
    assert report["not_modelled"] == {}
    assert set(report["median_by_kind"]) == {"quota", "watermark", "intervals_goal", "filter"}
    assert {kind: ratio for kind, ratio in report["median_by_kind"].items() if ratio > 1.6} == {}
    assert {name: row for name, row in report["scenarios"].items() if row["geometric_mean"] > 3} == {}


@pytest.mark.slow
def test_huge_pages_tiers_lists_and_physical_memory_are_as_on_the_kernel() -> None:
    report = fidelity("--seeds", "4", "--only", "^(thp|migrate|lru|paddr)")
    assert report["not_modelled"] == {}
    most = {"thp": 1.2, "migrate": 2.6, "lru": 2.0, "paddr": 1.6}
    assert set(report["median_by_kind"]) == set(most)
    assert {kind: ratio for kind, ratio in report["median_by_kind"].items() if ratio > most[kind]} == {}
    assert {name: row for name, row in report["scenarios"].items() if row["geometric_mean"] > 4} == {}


def test_a_document_keeps_its_own_text(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- fidelity: begin -->\nstale\n<!-- fidelity: end -->\nafter\n")
    report = fidelity("--seeds", "1", "--only", "base-w-zigzag", "--write-doc", str(page), "--keep", str(tmp_path))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "stale" not in text
    assert "| base-w-zigzag |" in text and report["median_ratio"] is None
    assert [path.name for path in tmp_path.glob("*.json.gz")] == [
        "base-w-zigzag--7.3.4+deb13-cloud-amd64--sim1.json.gz"
    ]
