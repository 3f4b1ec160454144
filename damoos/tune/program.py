"""What a study runs, whatever kind of workload it is: found, told apart from others, described."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from damoos.backend.base import Workload
from damoos.catalogue import find
from damoos.damon.kdamonds import Kdamonds
from damoos.workload import command, generated, processes
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload, Metric
from damoos.workload.processes import AnyMasim

from .objective import Speed, mean
from .outcome import Run, WorkloadInfo


def find_workload(name_or_path: str) -> AnyMasim | CommandWorkload:
    """The workload of a catalogue name, a generated one's, a masim .cfg, or a .toml file of a command or of several
    processes. Raises InputError with the place."""
    if generated.named(name_or_path) is None:
        path = find("workloads", name_or_path)
        if path.suffix == ".toml" and not processes.names_processes(path):
            return command.load(path)
    return processes.find_masim(name_or_path)


def metric_of(workload: Workload) -> Metric | None:
    """The workload's own number, if it has one."""
    return None if isinstance(workload, AnyMasim) else workload.metric


def speed_of(workload: Workload) -> Speed:
    """By what a run of the workload is called slower than another."""
    if (metric := metric_of(workload)) is not None:
        return metric.better
    return "runtime" if isinstance(workload, AnyMasim | CommandWorkload) else "none"


def digest(workload: Workload) -> str:
    """SHA-256, in hexadecimal, of all that decides what runs; comments in files don't."""
    text = processes.dumps(workload) if isinstance(workload, AnyMasim) else repr(workload)
    return hashlib.sha256(text.encode()).hexdigest()


def deployable(workload: Workload, kdamonds: Kdamonds) -> Kdamonds:
    """What was tuned for `workload`, for use without damoos: physical memory needs its own operations set."""
    if not (isinstance(workload, AttachedWorkload) and workload.kind == "paddr"):
        return kdamonds
    context = kdamonds.context
    targets = tuple(replace(target, pid=None) for target in context.targets)
    return kdamonds.with_context(replace(context, ops="paddr", targets=targets))


def workload_info(workload: Workload, path: str, baseline: Sequence[Run]) -> WorkloadInfo:
    """The workload as reports show it; the `baseline` (at least one run) says how large and long a program is."""
    if isinstance(workload, AnyMasim):
        footprint_bytes, duration_s, kind = workload.footprint_bytes, workload.duration_ms / 1000, "masim"
    else:
        footprint_bytes = max(run.rss_peak_bytes for run in baseline)
        duration_s = mean([run.runtime_s for run in baseline])
        kind = "command" if isinstance(workload, CommandWorkload) else workload.kind
    metric = metric_of(workload)
    return WorkloadInfo(
        name=workload.name,
        path=path,
        sha256=digest(workload),
        footprint_bytes=footprint_bytes,
        duration_s=duration_s,
        kind=kind,
        metric=None if metric is None else _in_words(metric),
    )


def _in_words(metric: Metric) -> str:
    pattern = "" if metric.pattern is None else f", {metric.pattern}"
    return f"{metric.where}{pattern}; {metric.better} is better"
