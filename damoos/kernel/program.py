"""What a workload means on a real kernel: what to start there, or what to watch, and for how long."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Any

from damoos.backend.base import Workload
from damoos.damon.kdamonds import AddressRange, Context, Kdamonds, Target
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import InputError, SetUpError
from damoos.workload import touch
from damoos.workload.attached import AttachedWorkload
from damoos.workload.command import CommandWorkload
from damoos.workload.masim import MasimWorkload
from damoos.workload.pace import Pace
from damoos.workload.processes import ProcessesWorkload

from .link import AgentHost
from .place import Place

CGROUPS = "/sys/fs/cgroup"
IOMEM = "/proc/iomem"
PAGE = 4096
WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)
"""The scheme that every run gets as its last one: through it the kernel shows its regions. It does nothing else."""


@dataclass(frozen=True)
class Program:
    """`start`: fields of the agent's request (None: nothing is started). `watch`: fields of its `sample`. `pids`: of
    what runs already. `memory`: ranges of physical memory, if that is what is watched. `duration_s`: after which a run
    ends by itself."""

    start: dict[str, Any] | None
    watch: dict[str, Any]
    pids: tuple[int, ...] = ()
    memory: tuple[AddressRange, ...] = ()
    duration_s: float | None = None


def program_of(workload: Workload, place: Place, pace: Pace, seed: int) -> Program:
    """Raises InputError for a workload that can't run there, HostError for a group or process that is not there."""
    if isinstance(workload, MasimWorkload):
        return Program(_touch(workload, place, pace, seed), {})
    if isinstance(workload, ProcessesWorkload):
        raise InputError(
            "several processes can't be started on a real kernel",
            field="workload",
            value=workload.name,
            allowed="one masim workload; on the simulator several",
        )
    if isinstance(workload, CommandWorkload):
        fields = {
            "argv": list(workload.argv),
            "cwd": workload.cwd or place.folder,
            "env": dict(workload.env),
            "user": workload.user or place.user,
            "timeout_s": workload.timeout_s,
            "hold": "exec",
        }
        return Program({name: value for name, value in fields.items() if value is not None}, {})
    return _attached(workload, place.host)


def _touch(workload: MasimWorkload, place: Place, pace: Pace, seed: int) -> dict[str, Any]:
    for region in workload.regions:
        if region.data_file is not None and place.name != "host":
            raise InputError(
                "a file with initial data can't be read there",
                field=f"region {region.name}",
                value=region.data_file,
                allowed="none, or --backend host",
            )
    plan = touch.plan(workload, pace, seed, sync=True)
    if plan["machine"] != place.link.hello["machine"]:
        raise InputError(
            "another processor than this one's",
            field="backend",
            value=f"{place.name}: {place.link.hello['machine']}",
            allowed=plan["machine"],
        )
    free_bytes = _available_bytes(place.host)
    if workload.footprint_bytes > 0.9 * free_bytes:
        more = "; `damoos vm start --memory MIB` starts a larger one" if place.name.startswith("vm") else ""
        raise InputError(
            "larger than the memory there",
            field="workload",
            value=f"{workload.name}, {workload.footprint_bytes >> 20} MiB",
            allowed=f"at most {int(0.9 * free_bytes) >> 20} MiB{more}",
        )
    files = {"touch_run.py": touch.RUNNER.read_bytes(), "plan.json": json.dumps(plan).encode()}
    argv = touch.argv("{run}/plan.json", python="{python}", runner="{run}/touch_run.py")
    return {
        "argv": list(argv),
        "files": {name: base64.b64encode(data).decode("ascii") for name, data in files.items()},
        "hold": "sync",
        **({"cwd": place.folder} if place.folder else {}),
        **({"user": place.user} if place.user else {}),
    }


def _available_bytes(host: AgentHost) -> float:
    lines = dict(line.split(":", 1) for line in host.read("/proc/meminfo").splitlines() if ":" in line)
    return float(lines["MemAvailable"].split()[0]) * 1024


def _attached(workload: AttachedWorkload, host: AgentHost) -> Program:
    if workload.kind == "paddr":
        return Program(None, {"memory": "system"}, memory=_system_ram(host), duration_s=workload.duration_s)
    if workload.kind == "pid":
        pid = int(workload.place)
        if not host.exists(f"/proc/{pid}"):
            raise SetUpError(f"process {pid} is not there (any more)")
        if host.read(f"/proc/{pid}/statm").split()[0] == "0":
            raise SetUpError(f"process {pid} has no memory: it has just ended, or is a thread of the kernel")
        return Program(None, {"pid": pid}, (pid,), duration_s=workload.duration_s)
    folder = f"{CGROUPS}/{workload.place}"
    pids = tuple(int(line) for line in host.read(f"{folder}/cgroup.procs").split())
    if not pids:
        raise SetUpError(f"{folder}/cgroup.procs: no process is in this group")
    return Program(None, {"cgroup": folder}, pids, duration_s=workload.duration_s)


def _system_ram(host: AgentHost) -> tuple[AddressRange, ...]:
    """The machine's memory, whole pages, which DAMON does not find by itself. Raises SetUpError if it can't be read."""
    found = []
    for line in host.read(IOMEM).splitlines():
        place, _, name = line.partition(" : ")
        if name.strip() == "System RAM" and not line.startswith(" "):
            first, last = (int(part, 16) for part in place.split("-"))
            start, end = -(-first // PAGE) * PAGE, (last + 1) // PAGE * PAGE
            if start < end:
                found.append(AddressRange(start, end))
    if not found:
        raise SetUpError(f"{IOMEM} shows no System RAM (only root sees where it is)")
    return tuple(found)


def staged(asked: Kdamonds, program: Program) -> Kdamonds:
    """What goes to the kernel for what was asked: `WATCH` besides, a target a process, the operations set.

    Raises KdamondsError unless there is one context with one target.
    """
    context = asked.context
    target = context.targets[0] if context.targets else Target()
    if program.memory:
        unit = context.addr_unit
        regions = tuple(AddressRange(-(-area.start // unit), area.end // unit) for area in program.memory)
        context = replace(context, ops="paddr", targets=(replace(target, pid=None, regions=target.regions or regions),))
    elif len(program.pids) > 1:
        context = replace(context, targets=tuple(replace(target, pid=pid) for pid in program.pids))
    return asked.with_context(replace(context, schemes=(*context.schemes, WATCH)))


def shown(read_back: Kdamonds, asked: Kdamonds) -> Kdamonds:
    """What the kernel has, in the terms of what was asked for: without `WATCH` and without pids."""
    there: Context = read_back.context
    context = replace(there, ops=asked.context.ops, targets=asked.context.targets, schemes=there.schemes[:-1])
    return read_back.with_context(context)
