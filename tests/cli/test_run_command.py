"""`damoos run`, on the real simulator with a workload of a few simulated seconds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from damoos.cli.main import app
from damoos.damon.attrs import Intervals
from damoos.damon.damo_format import dump_kdamonds
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme

CFG = """\
hot, 16777216, none
cold, 50331648, none

fill
500
hot, 1, 4096, 1
cold, 1, 4096, 3

work
4000
hot, 1, 4096, 1
"""


@pytest.fixture
def workload(tmp_path: Path) -> str:
    path = tmp_path / "small[1].cfg"
    path.write_text(CFG)
    return str(path)


@pytest.fixture
def kdamonds(tmp_path: Path) -> str:
    path = tmp_path / "scheme.json"
    pattern = AccessPattern(sz=Range(4096, U64_MAX), nr_accesses=Range(0, 0), age=Range(5, U32_MAX))
    scheme = Scheme(action=Action.PAGEOUT, access_pattern=pattern)
    dump_kdamonds(Kdamonds.of(intervals=Intervals(), schemes=(scheme,)), path)
    return str(path)


def run(*arguments: str, code: int = 0) -> Any:
    done = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, ["run", *arguments])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def tree(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json").stdout)


def test_what_is_printed_fits_80_columns_and_says_simulated(workload: str, kdamonds: str) -> None:
    done = run(workload, "--kdamonds", kdamonds, "-v")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for expected in ("small[1] on sim:zram", "simulated", "RSS over time", "What DAMON saw", "0 pageout", "fill"):
        assert expected in done.stdout, expected
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_without_kdamonds_it_only_monitors(workload: str) -> None:
    result = tree(workload)
    assert result["scheme_stats"] == []
    assert result["swap_out_bytes"] == 0
    assert result["nr_regions_mean"] > 0
    assert result["asked"]["kdamonds"][0]["contexts"][0]["schemes"] == []


def test_no_damon_is_the_baseline(workload: str) -> None:
    result = tree(workload, "--no-damon")
    assert result["asked"] is None
    assert result["kdamond_cpu_s"] == 0
    assert "What DAMON saw" not in run(workload, "--no-damon").stdout


def test_a_scheme_takes_effect_and_its_counters_are_there(workload: str, kdamonds: str) -> None:
    result, baseline = tree(workload, "--kdamonds", kdamonds), tree(workload, "--no-damon")
    assert result["rss_last_bytes"] < baseline["rss_last_bytes"] - (30 << 20)
    assert result["scheme_stats"][0]["sz_applied"] > 30 << 20
    assert len(result["samples"]["t_s"]) == len(result["samples"]["rss_bytes"]) > 10


def test_the_same_seed_gives_the_same_result_and_another_one_does_not(workload: str, kdamonds: str) -> None:
    arguments = (workload, "--kdamonds", kdamonds, "--seed")
    assert tree(*arguments, "3") == tree(*arguments, "3")
    assert tree(*arguments, "3")["samples"] != tree(*arguments, "4")["samples"]


def test_machine_and_backend_name_the_same_thing(workload: str) -> None:
    assert (
        tree(workload, "--machine", "nvme-swap")["machine"] == tree(workload, "--backend", "sim:nvme-swap")["machine"]
    )
    assert "--machine" in run(workload, "--machine", "zram", "--backend", "sim:vm-lab", code=2).stderr


def test_a_recording_is_written_whole(workload: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json.gz"
    run(workload, "--record", str(path))
    recording = json.loads(gzip.decompress(path.read_bytes()))
    assert recording["workload"]["config"].startswith("hot, 16777216")
    assert len(recording["aggregations"]["rows"]) > 10
    assert recording["time_kind"] == "simulated"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["zigzagg"], "zigzag"),
        (["zigzag", "--backend", "moon"], "sim"),
        (["zigzag", "--machine", "zramm"], "zram"),
        (["zigzag", "--no-damon", "--kdamonds", "x.json"], "--no-damon"),
        (["zigzag", "--kdamonds", "missing.json"], "missing.json"),
        (["zigzag", "--kdamonds", "list.txt"], ".json, .yaml"),
        (["zigzag", "--backend", "host", "--record", "x.json.gz"], "only simulated runs are recorded"),
        (["hot-beside-cold", "--record", "x.json.gz"], "only runs of one process are recorded"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_is_allowed(arguments: list[str], expected: str) -> None:
    done = run(*arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("damoos: ") and done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_kdamonds_that_the_kernel_refuses_name_file_and_field(workload: str, kdamonds: str) -> None:
    file = Path(kdamonds)
    text = file.read_text()
    found = json.loads(text)
    found["kdamonds"][0]["contexts"][0]["schemes"][0]["action"] = "pagout"
    file.write_text(json.dumps(found))
    message = run(workload, "--kdamonds", kdamonds, code=2).stderr
    assert kdamonds in message and "action" in message and "pageout" in message
