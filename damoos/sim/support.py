"""What of DAMON the simulator models; everything else is refused by name instead of being ignored."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version

from damoos.damon.features import kernel_version, missing_on
from damoos.damon.kdamonds import Context, Kdamonds
from damoos.damon.quotas import MEMCG_METRICS, NODE_METRICS, QuotaGoal
from damoos.damon.schemes import Action, Scheme
from damoos.damon.validation import validate
from damoos.errors import BackendError, KdamondsError

from .layout import PAGE
from .machine import Machine
from .remember import remember
from .state import ACTIONS
from .tables import WORKLOAD_CGROUP

SUPPORTED_ACTIONS = tuple(str(a) for a in ACTIONS)
MISSING = {
    "kdamonds": "only one kdamond with one context is simulated",
    "addr_unit": f"only up to {PAGE} bytes is simulated",
}
_ADDRESSES = 1 << 47
"""Bytes of address space that a process has on x86-64."""


def idle_actions(machine: Machine) -> dict[str, str]:
    """Actions that do nothing on such a machine, as on a real one, with what it lacks and which model has that."""
    idle: dict[str, str] = {}
    if len(machine.nodes) < 2:
        why = f"machine {machine.name} has one memory node (--machine tiered has two)"
        idle |= dict.fromkeys((str(Action.MIGRATE_HOT), str(Action.MIGRATE_COLD)), why)
    if machine.limit_bytes == 0:
        why = f"machine {machine.name} has no limit of memory (--machine small has one)"
        idle |= dict.fromkeys((str(Action.LRU_PRIO), str(Action.LRU_DEPRIO)), why)
    return idle


@remember(256)
def check_supported(kdamonds: Kdamonds, machine: Machine, groups: tuple[str, ...] = (WORKLOAD_CGROUP,)) -> None:
    """Raises KdamondsError for what the machine's kernel would refuse, BackendError for what is not simulated.

    `groups`: the cgroup of each of the workload's processes. A value that passed is not looked at again: the repeats of
    a trial bring the same one.
    """
    validate(kdamonds)
    _check_kernel(kdamonds, machine)
    contexts = [c for k in kdamonds.kdamonds for c in k.contexts]
    if len(kdamonds.kdamonds) != 1 or len(contexts) != 1:
        raise _no("kdamonds", len(kdamonds.kdamonds), "one kdamond with one context")
    context = contexts[0]
    _check_targets(context, machine, len(groups))
    for i, scheme in enumerate(context.schemes):
        _check_scheme(f"schemes[{i}]", scheme, machine, context.ops, groups)


def check_begin(kdamonds: Kdamonds) -> None:
    """Raises KdamondsError for what can be committed but makes no sense to begin with."""
    context = kdamonds.context
    if context.ops == "fvaddr" and not any(target.regions for target in context.targets):
        raise KdamondsError(
            "fvaddr monitors nothing but the regions of its targets",
            field="targets[0].regions",
            value=0,
            allowed="at least one region",
        )


def _check_targets(context: Context, machine: Machine, processes: int) -> None:
    targets = context.targets
    if not targets:
        raise _no("targets", "none", "at least one target, the workload itself or the machine's memory")
    if context.ops == "paddr":
        _check_address_unit(context.addr_unit, machine)
        if not targets[0].regions:
            _check_memory("targets[0].regions", "all physical memory", machine)
    if 1 < processes < len(targets):
        raise _no("targets", len(targets), f"1, which stands for all {processes} processes, or one for each")
    for i, target in enumerate(targets if len(targets) > 1 else ()):
        if target.regions and target.regions[-1].end > _ADDRESSES:
            raise _no(f"targets[{i}].regions[-1].end", target.regions[-1].end, f"up to {_ADDRESSES} in several targets")


def _check_address_unit(unit: int, machine: Machine) -> None:
    if unit & (unit - 1):
        if kernel_version(machine.kernel) >= (7, 3):
            raise KdamondsError(
                "the smallest region size would be no power of two",
                field="addr_unit",
                value=unit,
                allowed="a power of two",
            ).answered("-EINVAL")
        raise _no("addr_unit", unit, "powers of two")
    if unit > PAGE:
        raise _no("addr_unit", unit, f"up to {PAGE}")


def _check_kernel(kdamonds: Kdamonds, machine: Machine) -> None:
    for field, since in missing_on(kdamonds, machine.kernel):
        raise KdamondsError(
            f"Linux {machine.kernel}, which machine model {machine.name} imitates, does not have it",
            field=field,
            allowed=f"a machine model with kernel {since} or newer",
        ).answered("-EINVAL, or no such file")


def _check_scheme(where: str, scheme: Scheme, machine: Machine, ops: str, groups: tuple[str, ...]) -> None:
    if scheme.action not in ACTIONS:
        raise _no(f"{where}.action", str(scheme.action), ", ".join(SUPPORTED_ACTIONS))
    for i, goal in enumerate(scheme.quotas.goals):
        _check_goal(f"{where}.quotas.goals[{i}]", goal, machine, ops, groups)
    if scheme.watermarks.metric != "none":
        _check_memory(f"{where}.watermarks.metric", scheme.watermarks.metric, machine)
    for i, entry in enumerate(scheme.ops_filters):
        if entry.type == "memcg":
            _check_cgroup(f"{where}.ops_filters[{i}].memcg_path", entry.memcg_path, groups)


def _check_goal(where: str, goal: QuotaGoal, machine: Machine, ops: str, groups: tuple[str, ...]) -> None:
    if goal.target_metric == "node_eligible_mem_bp" and ops != "paddr":
        raise KdamondsError(
            "only for the physical address space",
            field=f"{where}.target_metric",
            value=goal.target_metric,
            allowed="ops paddr",
        ).answered("-EINVAL")
    if goal.target_metric in NODE_METRICS and goal.target_metric != "node_eligible_mem_bp":
        _check_node(f"{where}.target_metric", goal, machine)
    if goal.target_metric in MEMCG_METRICS:
        _check_cgroup(f"{where}.path", goal.path, groups)


def _check_node(where: str, goal: QuotaGoal, machine: Machine) -> None:
    if not machine.nodes:
        _check_memory(where, goal.target_metric, machine)
    elif 0 <= goal.nid < len(machine.nodes) and machine.nodes[goal.nid].memory_bytes == 0:
        raise BackendError(
            f"{where}: {goal.target_metric} depends on how much memory node {goal.nid} has, which model "
            f"{machine.name} does not say; give that node memory_bytes"
        )


def _check_cgroup(where: str, path: str, groups: tuple[str, ...]) -> None:
    known = dict.fromkeys((WORKLOAD_CGROUP, *groups))
    if path not in known:
        raise KdamondsError(
            "no such cgroup: the simulated machine has only the workload's",
            field=where,
            value=path,
            allowed=", ".join(known),
        ).answered("-ENOMEM")


def _check_memory(where: str, value: str, machine: Machine) -> None:
    if machine.memory_bytes == 0:
        raise BackendError(
            f"{where}: {value} depends on how much memory the machine has, which model {machine.name} does not say; "
            "give it memory_bytes, memory_used_bytes and swap_memory_share"
        )


def _no(field: str, value: object, allowed: str) -> BackendError:
    return BackendError(f"{field}: not simulated yet, got {value}; the simulator takes: {allowed}")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {name: version(name) for name in ("damoos", "numpy", "numba")}
