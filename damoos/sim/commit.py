"""What a commit does to the schemes and targets of a running context, and which attributes it asks for.

Restates mm/damon/core.c damon_commit_schemes(), damon_commit_targets(), damon_commit_target_regions() of Linux 7.3:
both are matched by index. A scheme that was there keeps its counters, schedule and quota, a goal what it measured. Of
targets obsolete and surplus ones go; others keep their regions unless some are given, which theirs are fitted to; new
ones begin with what is given, with vaddr and nothing given at the next operations update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from damoos.damon.access_units import samples_per_aggregation
from damoos.damon.kdamonds import Context, Target
from damoos.errors import KdamondsError

from .layout import SPAN
from .monitored import Ranges, View
from .state import (
    AGGR_SAMPLES,
    AGGR_US,
    CUR,
    GOAL_ACCESS_BP,
    GOAL_AGGRS,
    GOAL_MAX_US,
    GOAL_MIN_US,
    MAX_REGIONS,
    MIN_REGIONS,
    NR_REGIONS,
    PASSED,
    S_APPLY_US,
    S_NEXT,
    SAMPLE_US,
    UPDATE_US,
    SchemeTables,
    State,
    with_room,
)
from .tables import G_LAST, NOWHERE, Q_ACTIVE, Q_RESUME, S_FIRST_GOAL, S_LAST_GOAL

_REGION = ("start", "end", "nr_accesses", "last_nr_accesses", "age")
_GOALS = [S_FIRST_GOAL, S_LAST_GOAL]


def with_schemes(old: State, asked: SchemeTables, max_nr_regions: int, columns: int) -> State:
    """The state with other schemes and with room for as many regions and columns of `ext_more`; `old` or a copy."""
    new = asked._replace(scheme=asked.scheme.copy(), quota=asked.quota.copy(), goal=asked.goal.copy())
    kept = min(len(old.scheme), len(new.scheme))
    new.scheme[:kept, S_NEXT] = old.scheme[:kept, S_NEXT]
    for row in new.scheme[kept:]:
        row[S_NEXT] = old.n[PASSED] + (row[S_APPLY_US] or old.n[AGGR_US]) // max(1, old.n[SAMPLE_US])
    new.quota[:kept, :Q_ACTIVE] = old.quota[:kept, :Q_ACTIVE]
    for k in range(kept):
        (was, until), (now, end) = old.scheme[k, _GOALS], new.scheme[k, _GOALS]
        goals = min(until - was, end - now)
        new.goal[now : now + goals, G_LAST] = old.goal[was : was + goals, G_LAST]
    state = with_room(old, max_nr_regions, new.sizes, columns)
    for name, rows in new._asdict().items():
        getattr(state, name)[:] = rows
    return state


def attributes_of(context: Context) -> dict[int, int]:
    """The monitoring attributes that are asked for, by their index in `State.n`."""
    intervals, goal = context.intervals, context.intervals.intervals_goal
    return {
        SAMPLE_US: intervals.sample_us,
        AGGR_US: intervals.aggr_us,
        UPDATE_US: intervals.ops_update_us,
        MIN_REGIONS: context.nr_regions.min,
        MAX_REGIONS: context.nr_regions.max,
        AGGR_SAMPLES: samples_per_aggregation(intervals),
        GOAL_ACCESS_BP: goal.access_bp,
        GOAL_AGGRS: goal.aggrs,
        GOAL_MIN_US: goal.min_sample_us,
        GOAL_MAX_US: goal.max_sample_us,
    }


class Successor(NamedTuple):
    """A target after a commit: which one it was (None: it is new), and its place among what was asked for."""

    before: int | None
    asked: int


def successors(asked: Sequence[Target], count: int) -> tuple[Successor, ...]:
    """The targets after a commit of `asked` to a context that has `count`.

    Raises KdamondsError for a new one that is obsolete.
    """
    for i, target in enumerate(asked[count:], count):
        if target.obsolete:
            raise KdamondsError(
                "there is no such target that could be removed",
                field=f"targets[{i}].obsolete",
                value=True,
                allowed=f"targets 0 to {count - 1}",
            ).answered("-EINVAL")
    return tuple(Successor(i if i < count else None, i) for i, t in enumerate(asked) if not t.obsolete)


def with_targets(old: State, after: Sequence[Successor], view: View, given: Sequence[Ranges]) -> State:
    """The state with these targets, which `view` shows; `old` or a copy. Regions are still to be fitted to
    `first_start`, `first_end`, which come from those `given` to each target (pages as numbered for all)."""
    _renumber(old, after)
    ranges = np.array(_fitted_to(old, given), np.int64).reshape(-1, 2)
    state = with_room(old, len(ranges) + len(view.followed), view.sizes | {"F": len(ranges)})
    # In physical memory pages may have moved, and others' may be gone.
    stay = ("view_", "other") if view.physical else ()
    shown = {name: values for name, values in view.arrays.items() if not name.startswith(stay)}
    for name, values in (shown | {"first_start": ranges[:, 0], "first_end": ranges[:, 1]}).items():
        getattr(state, name)[:] = values
    return state


def _renumber(state: State, after: Sequence[Successor]) -> None:
    # Drops the regions of targets that are gone and numbers the others anew; quotas that would resume in a target that
    # is gone begin anywhere.
    cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
    new = {s.before: i for i, s in enumerate(after) if s.before is not None}
    of = targets_of(state.start[cur, :count])
    kept = np.flatnonzero([t in new for t in of.tolist()])
    moves = np.array([new[t] - t for t in of[kept].tolist()], np.int64) * SPAN
    for name in _REGION:
        column = getattr(state, name)[cur]
        column[: len(kept)] = column[kept] + (moves if name in ("start", "end") else 0)
    state.n[NR_REGIONS] = len(kept)
    for row in state.quota:
        if row[Q_RESUME] != NOWHERE:
            t = int(targets_of(row[Q_RESUME : Q_RESUME + 1])[0])
            row[Q_RESUME] = row[Q_RESUME] + (new[t] - t) * SPAN if t in new else NOWHERE


def _fitted_to(state: State, given: Sequence[Ranges]) -> list[tuple[int, int]]:
    # What is given; of other targets each region itself, so that it stays.
    cur, count = int(state.n[CUR]), int(state.n[NR_REGIONS])
    start, end = state.start[cur, :count], state.end[cur, :count]
    of = targets_of(start)
    ranges: list[tuple[int, int]] = []
    for t, own in enumerate(given):
        ranges += own or zip(start[of == t].tolist(), end[of == t].tolist(), strict=True)
    return ranges


def targets_of(pages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which target each of the pages belongs to, where there are several. See `targets.target_of`."""
    return (pages + SPAN // 2) // SPAN
