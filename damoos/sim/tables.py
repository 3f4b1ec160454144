"""Schemes with their quotas, goals and filters as rows of arrays: the columns, and how values become rows.

`scheme` [K, S_SIZE], `goal` [G, G_SIZE] and `filter` [F, FL_SIZE] are what was asked for; `quota` [K, Q_SIZE] is what
the kernel keeps for itself. A scheme names its goals and filters by first and last row; its core filters come first.
"""

from __future__ import annotations

import numpy as np

from damoos.damon.filters import Filter
from damoos.damon.kdamonds import Context
from damoos.damon.quotas import QuotaGoal, Quotas
from damoos.damon.schemes import Action, Scheme

from .remember import remember
from .state import (
    ACTIONS,
    FL_SIZE,
    G_SIZE,
    Q_SIZE,
    S_ACTION,
    S_AGE_MAX,
    S_AGE_MIN,
    S_APPLY_US,
    S_MAX_SNAPSHOTS,
    S_NR_MAX,
    S_NR_MIN,
    S_SIZE,
    S_SZ_MAX,
    S_SZ_MIN,
    SchemeTables,
)

# Further columns of `scheme`. `S_LIMITS` says what to look at at all.
(
    S_LIMITS,
    S_SCORE,
    S_W_NR,
    S_W_AGE,
    S_MS,
    S_BYTES,
    S_RESET_MS,
    S_TUNER,
    S_FAIL_NUM,
    S_FAIL_DENOM,
    S_FIRST_GOAL,
    S_LAST_GOAL,
    S_FIRST_FILTER,
    S_LAST_CORE_FILTER,
    S_LAST_FILTER,
    S_CORE_REJECTS,
    S_OPS_REJECTS,
    S_WMARK,
    S_WMARK_US,
    S_HIGH,
    S_MID,
    S_LOW,
) = range(10, S_SIZE)
LIMIT_QUOTA, LIMIT_CORE, LIMIT_OPS, LIMIT_WMARK, LIMIT_YOUNG = 1, 2, 4, 8, 16
SCORE_SAME, SCORE_HOT, SCORE_COLD = 0, 1, 2
TUNER_CONSIST, TUNER_TEMPORAL = 0, 1
METRIC_FREE = 1

# Columns of `quota`: effective quota and charged bytes of the window; bytes charged in finished windows and ns that
# actions took; tick in which the window began, whether there was one; page to resume at; least score; the tuner's
# input, unsigned basis points of bytes; whether the watermarks let the scheme run; whether it is due in this pass;
# whether a core filter allows the region that it is applied to.
(
    Q_ESZ,
    Q_CHARGED,
    Q_TOTAL_SZ,
    Q_TOTAL_NS,
    Q_FROM,
    Q_BEGUN,
    Q_RESUME,
    Q_MIN_SCORE,
    Q_ESZ_BP,
    Q_ACTIVE,
    Q_DUE,
    Q_ALLOWED,
) = range(Q_SIZE)
NOWHERE = np.int64(-(2**62))

G_METRIC, G_TARGET, G_CURRENT, G_LAST, G_NODE, G_GROUP = range(G_SIZE)
(
    METRIC_USER,
    METRIC_PSI,
    METRIC_NODE_USED,
    METRIC_NODE_FREE,
    METRIC_MEMCG_USED,
    METRIC_MEMCG_FREE,
    METRIC_ACTIVE,
    METRIC_INACTIVE,
    METRIC_ELIGIBLE,
) = range(9)
METRICS = {
    "user_input": METRIC_USER,
    "some_mem_psi_us": METRIC_PSI,
    "node_mem_used_bp": METRIC_NODE_USED,
    "node_mem_free_bp": METRIC_NODE_FREE,
    "node_memcg_used_bp": METRIC_MEMCG_USED,
    "node_memcg_free_bp": METRIC_MEMCG_FREE,
    "active_mem_bp": METRIC_ACTIVE,
    "inactive_mem_bp": METRIC_INACTIVE,
    "node_eligible_mem_bp": METRIC_ELIGIBLE,
}

FL_TYPE, FL_MATCHING, FL_ALLOW, FL_LOW, FL_HIGH = range(5)
FILTER_ADDR, FILTER_TARGET, FILTER_ANON, FILTER_ACTIVE, FILTER_MEMCG, FILTER_YOUNG, FILTER_HUGE, FILTER_UNMAPPED = (
    range(8)
)
FILTERS = {
    "addr": FILTER_ADDR,
    "target": FILTER_TARGET,
    "anon": FILTER_ANON,
    "active": FILTER_ACTIVE,
    "memcg": FILTER_MEMCG,
    "young": FILTER_YOUNG,
    "hugepage_size": FILTER_HUGE,
    "unmapped": FILTER_UNMAPPED,
}

WORKLOAD_CGROUP = "/workload"
"""The simulated workload's cgroup; of several processes each has one below it."""
_PAGE = 4096
_I63 = 2**63 - 1
_HOT = {Action.MIGRATE_HOT, Action.LRU_PRIO}
_COLD = {Action.PAGEOUT, Action.MIGRATE_COLD, Action.LRU_DEPRIO}
_SCORED = {
    "vaddr": {Action.MIGRATE_HOT, Action.PAGEOUT, Action.MIGRATE_COLD},
    "fvaddr": {Action.MIGRATE_HOT, Action.PAGEOUT, Action.MIGRATE_COLD},
    "paddr": _HOT | _COLD,
}


@remember(64)
def scheme_tables(
    context: Context, base_address: int, nr_nodes: int = 1, groups: tuple[str, ...] = (WORKLOAD_CGROUP,)
) -> SchemeTables:
    """The schemes of a context, not applied yet; sizes in core addresses, saturated to 63 bits.

    `base_address`: of page 0, in bytes; `groups`: the cgroup of each process.
    """
    scheme = np.zeros((len(context.schemes), S_SIZE), np.int64)
    unit = address_unit(context)
    goals: list[list[int]] = []
    filters: list[list[int]] = []
    for row, s in zip(scheme, context.schemes, strict=True):
        _fill_pattern(row, s)
        _fill_quota(row, s, context.ops)
        _fill_watermarks(row, s)
        row[S_FIRST_GOAL] = len(goals)
        # The kernel drops goals without a target.
        goals += [_goal_row(goal, groups) for goal in s.quotas.goals if goal.target_value > 0]
        row[S_LAST_GOAL] = len(goals)
        row[S_FIRST_FILTER] = len(filters)
        filters += [_filter_row(f, base_address, unit, groups) for f in s.core_filters]
        row[S_LAST_CORE_FILTER] = len(filters)
        filters += [_filter_row(f, base_address, unit, groups) for f in s.ops_filters]
        row[S_LAST_FILTER] = len(filters)
        row[S_CORE_REJECTS], row[S_OPS_REJECTS] = default_rejects(s.core_filters, s.ops_filters)
    quota = np.zeros((len(scheme), Q_SIZE), np.int64)
    quota[:, Q_RESUME], quota[:, Q_ACTIVE] = NOWHERE, 1
    tables = SchemeTables(
        scheme,
        _dest_rows(context, nr_nodes),
        quota,
        np.array(goals, np.int64).reshape(-1, G_SIZE),
        np.array(filters, np.int64).reshape(-1, FL_SIZE),
    )
    for rows in tables:
        rows.flags.writeable = False  # other runs, also in other threads, are given the same
    return tables


def _dest_rows(context: Context, nr_nodes: int) -> np.ndarray:
    # Weights of the nodes that schemes migrate to, the last for all that are not there: what would go there stays.
    # Kernel: damos_va_migrate(); physical memory goes to target_nid whatever the destinations, damon_pa_migrate().
    rows = np.zeros((len(context.schemes), nr_nodes + 1), np.int64)
    for row, s in zip(rows, context.schemes, strict=True):
        weighted = s.dests and context.ops != "paddr"
        for node, weight in [(d.id, d.weight) for d in s.dests] if weighted else [(s.target_nid, 1)]:
            row[node if 0 <= node < nr_nodes else nr_nodes] += weight
    return rows


def address_unit(context: Context) -> int:
    """Bytes of a core address: `addr_unit`, which only paddr heeds."""
    return context.addr_unit if context.ops == "paddr" else 1


def default_rejects(core: tuple[Filter, ...], ops: tuple[Filter, ...]) -> tuple[bool, bool]:
    """Whether what no filter decides is rejected, by the (core, operations) layer.

    The opposite of what the layer's last filter does; where there are filters of the operations layer the core layer
    leaves the decision to them. Kernel: damos_set_filters_default_reject().
    """
    core_rejects = bool(core) and core[-1].allow and not ops
    return core_rejects, bool(ops) and ops[-1].allow


def has_quota(quotas: Quotas) -> bool:
    """Whether a quota is set at all: a size, a time, or goals that count."""
    return bool(quotas.ms or quotas.bytes or any(goal.target_value > 0 for goal in quotas.goals))


def score_kind(s: Scheme, ops: str) -> int:
    """`S_SCORE` of a scheme that has weights."""
    if s.action not in _SCORED[ops]:
        return SCORE_SAME
    return SCORE_HOT if s.action in _HOT else SCORE_COLD


def _fill_pattern(row: np.ndarray, s: Scheme) -> None:
    p = s.access_pattern
    row[S_ACTION] = ACTIONS[s.action]
    row[S_SZ_MIN], row[S_SZ_MAX] = min(p.sz.min, _I63), min(p.sz.max, _I63)
    # Kernel: both bounds are 32 bit inside, a larger value written to sysfs is truncated.
    row[S_NR_MIN], row[S_NR_MAX] = p.nr_accesses.min & 0xFFFFFFFF, p.nr_accesses.max & 0xFFFFFFFF
    row[S_AGE_MIN], row[S_AGE_MAX] = p.age.min & 0xFFFFFFFF, p.age.max & 0xFFFFFFFF
    row[S_APPLY_US], row[S_MAX_SNAPSHOTS] = min(s.apply_interval_us, _I63), min(s.max_nr_snapshots, _I63)
    row[S_LIMITS] = (
        LIMIT_QUOTA * has_quota(s.quotas)
        | LIMIT_CORE * bool(s.core_filters)
        | LIMIT_OPS * bool(s.ops_filters)
        | LIMIT_WMARK * (s.watermarks.metric != "none")
        | LIMIT_YOUNG * any(f.type == "young" for f in s.ops_filters)
    )


def _fill_quota(row: np.ndarray, s: Scheme, ops: str) -> None:
    q, w = s.quotas, s.quotas.weights
    row[S_MS], row[S_BYTES], row[S_RESET_MS] = (min(x, _I63) for x in (q.ms, q.bytes, q.reset_interval_ms))
    row[S_TUNER] = TUNER_TEMPORAL if q.goal_tuner == "temporal" else TUNER_CONSIST
    row[S_FAIL_NUM], row[S_FAIL_DENOM] = q.fail_charge_num, q.fail_charge_denom
    row[S_W_NR], row[S_W_AGE] = w.nr_accesses_permil, w.age_permil
    # Without weights all regions score the same.
    row[S_SCORE] = score_kind(s, ops) if w.nr_accesses_permil or w.age_permil else SCORE_SAME


def _fill_watermarks(row: np.ndarray, s: Scheme) -> None:
    w = s.watermarks
    row[S_WMARK] = METRIC_FREE if w.metric == "free_mem_rate" else 0
    row[S_WMARK_US], row[S_HIGH], row[S_MID], row[S_LOW] = (min(x, _I63) for x in (w.interval_us, w.high, w.mid, w.low))


def _goal_row(goal: QuotaGoal, groups: tuple[str, ...]) -> list[int]:
    # What a group has includes what the groups below it have, so that /workload stands for all.
    group = -1 if goal.path not in groups or goal.path == WORKLOAD_CGROUP else groups.index(goal.path)
    target, current = min(goal.target_value, _I63), min(goal.current_value, _I63)
    return [METRICS[goal.target_metric], target, current, -1, goal.nid, group]


def _filter_row(f: Filter, base_address: int, unit: int, groups: tuple[str, ...]) -> list[int]:
    low = high = 0
    if f.type == "addr":
        # The kernel rounds both ends down to its smallest region size.
        low, high = ((min(x * unit, _I63) - base_address) // _PAGE for x in (f.addr_start, f.addr_end))
    elif f.type == "memcg":
        # A page is charged to its process's own group, not to those above.
        low = groups.index(f.memcg_path) if f.memcg_path in groups else -1
    elif f.type == "target":
        low = f.damon_target_idx
    elif f.type == "hugepage_size":
        low, high = min(f.min, _I63), min(f.max, _I63)
    return [FILTERS[f.type], f.matching, f.allow, low, high]
