"""The description of the tree against the trees of real kernels."""

from __future__ import annotations

import pytest

from damoos.damon.features import FIRST_KERNEL, kernel_version
from damoos.kernel import abi
from damoos.kernel.abi import BY_PATTERN, FILES, Kind, files_of, pattern_of

from .trees import KERNELS, tree


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_real_tree_has_exactly_the_files_of_its_version(kernel: str) -> None:
    real = {pattern_of(path) for running in (False, True) for path in tree(kernel, running)}
    expected = set(files_of(kernel))
    # Hits of probes need a probe while running; the recorded run had none.
    assert expected - real <= {"#/contexts/#/schemes/#/tried_regions/#/probes/#/hits"}
    assert real <= expected


@pytest.mark.parametrize("kernel", KERNELS)
def test_access_and_defaults_are_those_of_the_real_tree(kernel: str) -> None:
    for path, entry in tree(kernel).items():
        file = BY_PATTERN[pattern_of(path)]
        assert file.writable == bool(entry.mode & 0o200), path
        if file.kind is Kind.COUNT:
            assert entry.value == "1", path
        else:
            assert file.default.split() == entry.value.split(), path


@pytest.mark.parametrize("kernel", KERNELS)
def test_values_of_a_running_kdamond_are_of_the_kind_described(kernel: str) -> None:
    for path, entry in tree(kernel, running=True).items():
        file = BY_PATTERN[pattern_of(path)]
        if file.kind in (Kind.U32, Kind.U64, Kind.COUNT):
            assert entry.value.isdecimal(), path
        elif file.kind is Kind.S32:
            assert entry.value.removeprefix("-").isdecimal(), path
        elif file.kind is Kind.BOOL:
            assert entry.value in ("Y", "N"), path
        elif file.kind is Kind.WORD:
            assert entry.value in file.words, path


def test_patterns_are_unique_and_counts_come_before_what_they_count() -> None:
    assert len(BY_PATTERN) == len(FILES)
    counted = {file.folder + "/#" if file.folder else "#": n for n, file in enumerate(FILES) if file.kind is Kind.COUNT}
    for number, file in enumerate(FILES):
        for folder, at in counted.items():
            if file.pattern.startswith(folder + "/"):
                assert at < number, file.pattern


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("0/state", "#/state"),
        ("12/contexts/0/schemes/3/tried_regions/417/start", "#/contexts/#/schemes/#/tried_regions/#/start"),
        ("nr_kdamonds", "nr_kdamonds"),
        ("0/contexts/0/monitoring_attrs/nr_regions/min", "#/contexts/#/monitoring_attrs/nr_regions/min"),
    ],
)
def test_indexes_become_hashes(path: str, pattern: str) -> None:
    assert pattern_of(path) == pattern
    assert abi.file_of(path) is BY_PATTERN[pattern]


def test_what_no_kernel_has_is_not_described() -> None:
    assert abi.file_of("0/contexts/0/schemes/0/no_such_file") is None


@pytest.mark.parametrize(
    ("feature", "pattern"),
    [
        ("refresh_ms", "#/refresh_ms"),
        ("addr_unit", "#/contexts/#/addr_unit"),
        ("pause", "#/contexts/#/pause"),
        ("intervals_goal", "#/contexts/#/monitoring_attrs/intervals/intervals_goal/aggrs"),
        ("probes", "#/contexts/#/monitoring_attrs/probes/nr_probes"),
        ("probes.weight", "#/contexts/#/monitoring_attrs/probes/#/weight"),
        ("targets.obsolete", "#/contexts/#/targets/#/obsolete_target"),
        ("target_nid", "#/contexts/#/schemes/#/target_nid"),
        ("dests", "#/contexts/#/schemes/#/dests/nr_dests"),
        ("apply_interval_us", "#/contexts/#/schemes/#/apply_interval_us"),
        ("max_nr_snapshots", "#/contexts/#/schemes/#/stats/max_nr_snapshots"),
        ("filters", "#/contexts/#/schemes/#/filters/nr_filters"),
        ("filters.allow", "#/contexts/#/schemes/#/filters/#/allow"),
        ("filters.type=addr", "#/contexts/#/schemes/#/filters/#/addr_start"),
        ("goals", "#/contexts/#/schemes/#/quotas/goals/nr_goals"),
        ("goal_tuner=temporal", "#/contexts/#/schemes/#/quotas/goal_tuner"),
        ("fail_charge_num", "#/contexts/#/schemes/#/quotas/fail_charge_num"),
    ],
)
def test_first_versions_agree_with_those_of_the_configuration(feature: str, pattern: str) -> None:
    assert BY_PATTERN[pattern].since == FIRST_KERNEL[feature]


def test_every_first_version_is_a_version() -> None:
    assert all(kernel_version(file.since) >= (5, 18) for file in FILES)
    assert all(kernel_version(since) >= (5, 18) for since in abi.STATE_KEYWORDS.values())
