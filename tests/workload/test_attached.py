"""Workloads that run already: what is taken, what is refused and how."""

from __future__ import annotations

import pytest

from damoos.errors import ConfigError
from damoos.workload.attached import AttachedWorkload, Kind, attach
from damoos.workload.command import Metric, metric


@pytest.mark.parametrize(
    ("kind", "place", "name", "kept"),
    [
        ("pid", "4321", "pid-4321", "4321"),
        ("cgroup", "system.slice/db.service", "cgroup-system.slice-db.service", "system.slice/db.service"),
        ("cgroup", "/sys/fs/cgroup/system.slice/", "cgroup-system.slice", "system.slice"),
        ("cgroup", "/batch", "cgroup-batch", "batch"),
        ("paddr", "", "paddr", ""),
    ],
)
def test_what_is_attached_to_has_a_name_and_a_place(kind: Kind, place: str, name: str, kept: str) -> None:
    assert attach(kind, place, 30) == AttachedWorkload(name, kind, kept, 30.0)


def test_its_metric_is_a_file_or_a_url() -> None:
    wanted = metric("file", "/run/db/latency", better="lower")
    assert attach("pid", "1", 2.5, wanted).metric == Metric("file", "/run/db/latency")
    with pytest.raises(
        ConfigError, match="metric: its output is not damoos's to read, got 'output'; allowed: file, url"
    ):
        attach("pid", "1", 2.5, metric("output", pattern="x"))


@pytest.mark.parametrize(
    ("kind", "place", "duration_s", "message"),
    [
        ("pid", "0", 1, "pid: not a process, got '0'"),
        ("pid", "-3", 1, "pid: not a process"),
        ("pid", "init", 1, "pid: not a process"),
        ("pid", "", 1, "pid: not a process"),
        ("cgroup", "", 1, "cgroup: not a group"),
        ("cgroup", "/sys/fs/cgroup/", 1, "cgroup: not a group"),
        ("cgroup", "a/../../etc", 1, "cgroup: not a group"),
        ("paddr", "", 0, "duration: out of range, got 0"),
        ("paddr", "", -1, "duration: out of range"),
        ("paddr", "", float("inf"), "duration: out of range"),
        ("paddr", "", float("nan"), "duration: out of range"),
    ],
)
def test_what_can_not_be_attached_to_is_refused(kind: Kind, place: str, duration_s: float, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        attach(kind, place, duration_s)
    assert message in str(caught.value)
