"""What the kernel accepts although it can't be meant."""

from __future__ import annotations

from .kdamonds import Context, Kdamonds
from .quotas import QuotaGoal, Watermarks
from .schemes import AccessPattern, actions_of


def warnings_of(kdamonds: Kdamonds) -> list[str]:
    """One line, beginning with the field's path, for each thing that the kernel accepts but that has no use."""
    found = []
    for path, node in kdamonds.nodes():
        if isinstance(node, AccessPattern):
            found += [
                f"{path}.{name}: min {bounds.min} is above max {bounds.max}, so nothing ever matches"
                for name, bounds in (("sz", node.sz), ("nr_accesses", node.nr_accesses), ("age", node.age))
                if bounds.min > bounds.max
            ]
        elif isinstance(node, Watermarks) and node.metric != "none":
            if not node.high >= node.mid >= node.low:
                found.append(f"{path}: high {node.high}, mid {node.mid}, low {node.low} are not in descending order")
            if node.high > 1000:
                found.append(f"{path}.high: {node.high} permil is more than all memory")
        elif isinstance(node, QuotaGoal):
            if node.target_value == 0:
                found.append(f"{path}.target_value: the kernel drops goals with a target of 0")
        elif isinstance(node, Context):
            found += _context_warnings(path, node)
    return found


def _context_warnings(path: str, context: Context) -> list[str]:
    found = []
    if context.addr_unit != 1 and context.ops != "paddr":
        found.append(f"{path}.addr_unit: only paddr heeds it, not {context.ops}")
    if context.addr_unit & (context.addr_unit - 1):
        found.append(f"{path}.addr_unit: {context.addr_unit} is no power of two, which later kernels refuse")
    if context.probes and context.ops != "paddr":
        found.append(f"{path}.probes: only paddr heeds them, not {context.ops}")
    for i, scheme in enumerate(context.schemes):
        where = f"{path}.schemes[{i}]"
        if scheme.action not in actions_of(context.ops):
            found.append(f"{where}.action: {scheme.action} does nothing with {context.ops}")
        for j, entry in enumerate(scheme.core_filters):
            if entry.type == "target" and not 0 <= entry.damon_target_idx < len(context.targets):
                found.append(f"{where}.core_filters[{j}].damon_target_idx: there is no target {entry.damon_target_idx}")
        for j, goal in enumerate(scheme.quotas.goals):
            if goal.target_metric == "node_eligible_mem_bp" and context.ops != "paddr":
                found.append(f"{where}.quotas.goals[{j}]: node_eligible_mem_bp is for paddr, not {context.ops}")
    return found
