"""Something that runs already as a workload, for real kernels: a process, a cgroup, or all physical memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from damoos.errors import ConfigError

from .command import Metric

Kind = Literal["pid", "cgroup", "paddr"]


@dataclass(frozen=True)
class AttachedWorkload:
    """What is watched for a while and neither started nor ended by damoos.

    `kind` "pid": the process `place` (a number) and its children's memory; "cgroup": the processes that are in the
    version 2 group `place` (below /sys/fs/cgroup) when a run begins; "paddr": physical memory, `place` empty.
    `duration_s`: length of one run, s; being the same for all, it says nothing about speed: only a `metric` does.
    """

    name: str
    kind: Kind
    place: str
    duration_s: float
    metric: Metric | None = None


def attach(kind: Kind, place: str, duration_s: float, metric: Metric | None = None) -> AttachedWorkload:
    """A checked one. Raises ConfigError with the field."""
    if not 0 < duration_s < math.inf:
        raise ConfigError("out of range", field="duration", value=duration_s, allowed="more than 0 s")
    if kind == "pid" and not (place.isdecimal() and int(place) > 0):
        raise ConfigError("not a process", field="pid", value=place, allowed="the number of a running process")
    if kind == "cgroup":
        place = place.removeprefix("/sys/fs/cgroup").strip("/")
        if not place or ".." in place.split("/"):
            raise ConfigError("not a group", field="cgroup", value=place, allowed="a folder below /sys/fs/cgroup")
    if metric is not None and metric.source == "output":
        raise ConfigError("its output is not damoos's to read", field="metric", value="output", allowed="file, url")
    name = "paddr" if kind == "paddr" else f"{kind}-{place.replace('/', '-')}"
    return AttachedWorkload(name, kind, place, float(duration_s), metric)
