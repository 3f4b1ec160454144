"""Which kernel each part of the configuration needs.

`FIRST_KERNEL` maps a field below a kdamond (or `field=word`) to the first Linux version with it. Items of 7.2 are
inferred from dated changes of the kernel's documentation and from the sysfs tree of 7.3, which has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from damoos.errors import InputError

from .attrs import IntervalsGoal
from .filters import Filter, Probe
from .kdamonds import Context, Kdamond, Kdamonds, Target
from .quotas import QuotaGoal, Quotas
from .schemes import Scheme

FIRST_KERNEL: dict[str, str] = {
    "contexts": "5.18",
    "refresh_ms": "6.17",
    "ops=fvaddr": "5.19",
    "addr_unit": "6.18",
    "pause": "7.2",
    "intervals_goal": "6.15",
    "probes": "7.2",
    "probes.weight": "7.3",
    "targets.obsolete": "6.19",
    "action=lru_prio": "6.0",
    "action=lru_deprio": "6.0",
    "action=migrate_hot": "6.11",
    "action=migrate_cold": "6.11",
    "action=collapse": "7.2",
    "target_nid": "6.11",
    "dests": "6.17",
    "apply_interval_us": "6.7",
    "max_nr_snapshots": "7.0",
    "filters": "6.3",
    "filters.type=addr": "6.6",
    "filters.type=target": "6.6",
    "filters.type=young": "6.10",
    "filters.type=active": "6.15",
    "filters.type=hugepage_size": "6.15",
    "filters.type=unmapped": "6.15",
    "filters.allow": "6.14",
    "goals": "6.8",
    "goals.target_metric=some_mem_psi_us": "6.9",
    "goals.target_metric=node_mem_used_bp": "6.16",
    "goals.target_metric=node_mem_free_bp": "6.16",
    "goals.target_metric=node_memcg_used_bp": "6.19",
    "goals.target_metric=node_memcg_free_bp": "6.19",
    "goals.target_metric=active_mem_bp": "7.0",
    "goals.target_metric=inactive_mem_bp": "7.0",
    "goals.target_metric=node_eligible_mem_bp": "7.2",
    "goal_tuner=temporal": "7.1",
    "fail_charge_num": "7.2",
    "fail_charge_denom": "7.2",
}


def kernel_version(text: str) -> tuple[int, int]:
    """(major, minor) of a kernel release such as "6.12" or "6.12.117+deb13-cloud-amd64". Raises InputError."""
    match = re.match(r"(\d+)\.(\d+)(?!\d)", text)
    if match is None:
        raise InputError("not a kernel version", field="kernel", value=text, allowed='"6.12", "7.3.4-amd64"')
    return int(match[1]), int(match[2])


def missing_on(kdamonds: Kdamonds, kernel: str) -> list[tuple[str, str]]:
    """What `kdamonds` uses and `kernel` lacks: (path of the field, first version with it). Raises InputError."""
    have = kernel_version(kernel)
    return [(path, since) for path, since in _needs(kdamonds) if kernel_version(since) > have]


def needed_kernel(kdamonds: Kdamonds) -> str:
    """The oldest Linux version that has everything `kdamonds` uses."""
    versions = [FIRST_KERNEL["contexts"], *(since for _, since in _needs(kdamonds))]
    return max(versions, key=kernel_version)


def _needs(kdamonds: Kdamonds) -> Iterator[tuple[str, str]]:
    for path, node in kdamonds.nodes():
        for name, feature in _used(node):
            if feature in FIRST_KERNEL:
                yield f"{path}.{name}" if name else path, FIRST_KERNEL[feature]


def _used(node: Any) -> Iterator[tuple[str, str]]:
    """(field, feature) of what is set to something else than what kernels without the field do."""
    match node:
        case Kdamond():
            yield "contexts", "contexts"
            yield from _set(node, "refresh_ms")
        case Context():
            yield "ops", f"ops={node.ops}"
            yield from _set(node, "addr_unit", "pause", "probes")
        case IntervalsGoal():
            if node != IntervalsGoal():
                yield "", "intervals_goal"
        case Probe():
            yield from _set(node, "weight", prefix="probes.")
        case Target():
            yield from _set(node, "obsolete", prefix="targets.")
        case Scheme():
            yield "action", f"action={node.action}"
            yield from _set(node, "target_nid", "dests", "apply_interval_us", "max_nr_snapshots")
        case Quotas():
            yield from _set(node, "goals", "fail_charge_num", "fail_charge_denom")
            yield "goal_tuner", f"goal_tuner={node.goal_tuner}"
        case QuotaGoal():
            yield "target_metric", f"goals.target_metric={node.target_metric}"
        case Filter():
            yield "", "filters"
            yield "type", f"filters.type={node.type}"
            yield from _set(node, "allow", prefix="filters.")


def _set(node: Any, *names: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    default = type(node)()
    for name in names:
        if getattr(node, name) != getattr(default, name):
            yield name, prefix + name
