"""Calibrating the simulator gives back the machine model that it runs on; the oracle is that model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import Action
from damoos.errors import InputError
from damoos.ops.calibrate import Calibration, calibrate
from damoos.ops.calibrate_file import check_target, model_text, write_model
from damoos.ops.calibrate_runs import STAGES
from damoos.sim.backend import SimBackend
from damoos.sim.machine import Machine, load_machine, read_machine
from damoos.sim.session import SimSession

# Random accesses are measured by writes; reads at another speed would not be noticed.
LAB = dataclasses.replace(load_machine("vm-lab"), random_write_per_ms=0.0)
NVME, ZRAM = (load_machine(name) for name in ("nvme-swap", "zram"))
UNLIKE = dataclasses.replace(
    LAB,
    name="unlike",
    sequential_per_ms=12_345.0,
    random_per_ms=2_345.0,
    batch_us=3.0,
    major_fault_us=20.0,
    major_fault_hard_us=70.0,
    minor_fault_us=2.5,
    readahead_pages=4,
    sample_us=40.0,
    region_sample_us=1.5,
    pageout_page_us=20.0,
    pageout_hard_page_us=80.0,
    swapin_page_us=10.0,
    switch_us=12.0,
    wait_share=0.3,
    start_us=3_000.0,
    rss_base_bytes=777 * 4096,
)
"""Of no other's values."""
MEASURED = ((LAB, ZRAM), (NVME, ZRAM), (ZRAM, NVME), (UNLIKE, ZRAM))
"""And the model that gives what is not measured."""

TOLERANCE = {
    "sequential_per_ms": 0.001,
    "random_per_ms": 0.001,
    "batch_us": 0.001,
    "minor_fault_us": 0.005,
    "major_fault_us": 0.005,
    "major_fault_hard_us": 0.005,
    "readahead_pages": 0.0,
    "pageout_page_us": 0.02,
    "pageout_hard_page_us": 0.02,
    "swapin_page_us": 0.01,
    "sample_us": 0.05,
    "region_sample_us": 0.03,
    "rss_base_bytes": 0.0,
}
"""Relative. Of switch_us and start_us, in µs, below."""
SWITCH_US = 1.5
"""The simulator rounds an iteration to a five-hundredth of the sampling interval of 1 ms."""
START_US = 150.0


def calibrated(machine: Machine, like: Machine, **options: Any) -> Calibration:
    return calibrate(SimBackend(machine), like, **options)


@pytest.mark.parametrize(("machine", "like"), MEASURED, ids=[machine.name for machine, _ in MEASURED])
def test_the_simulator_gives_its_machine_back(machine: Machine, like: Machine) -> None:
    found = calibrated(machine, like)
    for name, tolerance in TOLERANCE.items():
        assert found.values[name] == pytest.approx(getattr(machine, name), rel=tolerance), name
    assert bool(found.values["shared_cpu"]) == machine.shared_cpu
    if machine.shared_cpu:
        assert found.values["switch_us"] == pytest.approx(machine.switch_us, abs=SWITCH_US)
        assert found.values["start_us"] == pytest.approx(machine.start_us, abs=START_US)
    assert all(len(each) == 3 for each in found.measured.values()) and found.swaps


def test_what_a_run_cannot_tell_is_taken_over() -> None:
    like = dataclasses.replace(LAB, tick_us=1_000.0, wait_share=0.123)
    found = calibrated(ZRAM, like, repeats=1)
    assert found.taken_over == ("scan_page_us", "tick_us", "coarse_sleep_us", "slack_us", "wait_share")
    assert all(found.values[name] == getattr(like, name) for name in found.taken_over)
    required = {f.name for f in dataclasses.fields(Machine) if f.default is dataclasses.MISSING}
    assert {*found.measured, *found.taken_over} == required - {"name", "title", "description"}


def test_costs_of_sharing_are_nothing_where_no_cpu_is_shared() -> None:
    found = calibrated(NVME, LAB, repeats=1)
    assert found.unused == ("switch_us", "start_us", "wait_share")
    assert [found.values[name] for name in found.unused] == [0.0, 0.0, 0.0]
    assert not set(found.unused) & {*found.measured, *found.taken_over}


class WithoutSwap(SimBackend):
    """A machine on which paging out does nothing."""

    def start(self, workload: Any, kdamonds: Kdamonds | None, seed: int) -> SimSession:
        if kdamonds is not None:
            schemes = [
                dataclasses.replace(s, action=Action.STAT) if s.action == Action.PAGEOUT else s
                for s in kdamonds.context.schemes
            ]
            kdamonds = kdamonds.with_schemes(schemes)
        return super().start(workload, kdamonds, seed)


def test_without_swap_its_costs_are_taken_over() -> None:
    found = calibrate(WithoutSwap(NVME), LAB, repeats=1)
    assert not found.swaps
    swapping = {"pageout_page_us", "pageout_hard_page_us", "major_fault_us", "major_fault_hard_us", "swapin_page_us"}
    assert swapping | {"readahead_pages", "rss_base_bytes"} <= set(found.taken_over)
    assert found.values["pageout_page_us"] == LAB.pageout_page_us
    assert found.values["minor_fault_us"] == pytest.approx(NVME.minor_fault_us, rel=0.1)


class OldKernel(SimBackend):
    """A kernel that does not count snapshots, as those before 7.0."""

    def start(self, workload: Any, kdamonds: Kdamonds | None, seed: int) -> SimSession:
        session = super().start(workload, kdamonds, seed)
        finish = session.finish

        def without() -> Any:
            result = finish()
            stats = tuple(dataclasses.replace(each, nr_snapshots=0) for each in result.scheme_stats)
            return dataclasses.replace(result, scheme_stats=stats)

        session.finish = without  # type: ignore[method-assign]
        return session


def test_kernels_that_do_not_count_snapshots_give_the_same() -> None:
    old, new = (calibrate(backend, ZRAM, repeats=1).values for backend in (OldKernel(LAB), SimBackend(LAB)))
    assert old == pytest.approx(new, rel=1e-3)


def test_progress_names_each_stage_and_ends() -> None:
    seen: list[tuple[str, int, int]] = []
    calibrated(NVME, ZRAM, repeats=2, progress=lambda *step: seen.append(step))
    names = [name for name, _ in STAGES]
    assert [stage for stage, _, _ in seen] == [*names, *names, ""]
    assert [done for _, done, _ in seen] == list(range(13)) and {total for *_, total in seen} == {12}


def test_no_repeats_are_refused() -> None:
    with pytest.raises(InputError, match="repeats"):
        calibrated(NVME, ZRAM, repeats=0)


# ---- the file ----


@pytest.fixture(scope="module")
def found() -> Calibration:
    return calibrated(LAB, ZRAM)


def text_of(found: Calibration, title: str = "A machine") -> str:
    return model_text(found, title=title, command="damoos calibrate", date="2026-11-24", version="0.1.0")


def test_what_is_written_is_read_as_a_machine_model(found: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    write_model(path, text_of(found))
    read = read_machine(path)
    assert read.name == "mine" and read.title == "A machine" and "simulated time" in read.description
    for name, value in found.values.items():
        assert getattr(read, name) == pytest.approx(value, rel=6e-4), name
    assert read.kernel == "7.3"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("title", ['quoted "x" and \\', "two\nlines", "del \x7f, ünïcode"])
def test_any_title_is_read_back(found: Calibration, tmp_path: Path, title: str) -> None:
    write_model(tmp_path / "mine.toml", text_of(found, title))
    assert read_machine(tmp_path / "mine.toml").title == title


def test_a_command_of_several_lines_stays_a_comment(found: Calibration, tmp_path: Path) -> None:
    text = model_text(found, title="t", command="damoos calibrate --title 'a\nshared_cpu = 7'", date="", version="")
    write_model(tmp_path / "mine.toml", text)
    assert read_machine(tmp_path / "mine.toml").shared_cpu is True


def test_the_file_says_where_each_value_comes_from(found: Calibration) -> None:
    measured, _, rest = text_of(found).partition("\n\n")
    assert "sim:vm-lab" in measured and "simulated time" in measured and "Measured 3 times" in measured
    ranges = [(f"{min(each):.4g}", f"{max(each):.4g}") for each in found.measured.values() if max(each) < 1e4]
    low, high = next(ends for ends in ranges if ends[0] != ends[1])
    assert f"  # {low} to {high}" in measured
    assert rest.startswith("# Not measured: as in machine model zram.\nscan_page_us = 0.004\n")
    assert {line.split(" = ")[0] for line in rest.splitlines()[1:]} == set(found.taken_over)


def test_an_existing_file_is_kept_unless_forced(found: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    with pytest.raises(InputError, match="--force"):
        write_model(path, text_of(found))
    assert path.read_text() == "mine"
    write_model(path, text_of(found), force=True)
    assert read_machine(path).sequential_per_ms == pytest.approx(LAB.sequential_per_ms, rel=0.02)


@pytest.mark.parametrize(("name", "said"), [("mine.txt", "NAME.toml"), ("no/mine.toml", "folder"), ("", "NAME.toml")])
def test_where_no_model_can_be_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_target(tmp_path / name, force=True)


def test_a_folder_is_never_a_target(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_target(tmp_path / "mine.toml", force=True)
