"""What of DAMON the simulator models; everything else is refused by name instead of being ignored."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version

from damoos.damon.attrs import IntervalsGoal
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.quotas import Quotas, Watermarks
from damoos.damon.validation import validate
from damoos.errors import BackendError

from .remember import remember
from .state import ACTIONS

SUPPORTED_ACTIONS = tuple(str(a) for a in ACTIONS)
MISSING = {
    "ops": "fvaddr and paddr: only vaddr is simulated",
    "intervals_goal": "monitoring intervals auto-tuning is not simulated",
    "quotas": "quotas and their goals are not simulated",
    "watermarks": "watermarks are not simulated",
    "filters": "scheme filters are not simulated",
    "actions": "hugepage, nohugepage, collapse, lru_prio, lru_deprio, migrate_hot, migrate_cold are not simulated",
}


@remember(256)
def check_supported(kdamonds: Kdamonds) -> None:
    """Raises KdamondsError for what the kernel would refuse, BackendError for what is not simulated.

    A value that passed is not looked at again: the repeats of a trial bring the same one.
    """
    validate(kdamonds)
    contexts = [c for k in kdamonds.kdamonds for c in k.contexts]
    if len(kdamonds.kdamonds) != 1 or len(contexts) != 1:
        raise _no("kdamonds", len(kdamonds.kdamonds), "one kdamond with one context")
    context = contexts[0]
    if context.ops != "vaddr":
        raise _no("ops", context.ops, "vaddr")
    if len(context.targets) != 1 or context.targets[0].regions:
        raise _no("targets", f"{len(context.targets)} targets", "one target without regions, the workload itself")
    if context.intervals.intervals_goal != IntervalsGoal():
        raise _no("intervals.intervals_goal", context.intervals.intervals_goal, "off (aggrs 0)")
    for i, scheme in enumerate(context.schemes):
        where = f"schemes[{i}]"
        if scheme.action not in ACTIONS:
            raise _no(f"{where}.action", str(scheme.action), ", ".join(SUPPORTED_ACTIONS))
        if scheme.quotas != Quotas() and (scheme.quotas.ms or scheme.quotas.bytes or scheme.quotas.goals):
            raise _no(f"{where}.quotas", scheme.quotas, "no quota")
        if scheme.watermarks != Watermarks() and scheme.watermarks.metric != "none":
            raise _no(f"{where}.watermarks.metric", scheme.watermarks.metric, "none")
        if scheme.core_filters or scheme.ops_filters:
            raise _no(f"{where}.filters", len(scheme.core_filters) + len(scheme.ops_filters), "no filters")


def _no(field: str, value: object, allowed: str) -> BackendError:
    return BackendError(f"{field}: not simulated yet, got {value}; the simulator takes: {allowed}")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {name: version(name) for name in ("damoos", "numpy", "numba")}
