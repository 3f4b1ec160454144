"""Commits in compiled code: numbers that people mean, at places in the kdamonds, become what a commit makes of them.

Does what `SimSession.commit` does to the state of a run when nothing but numbers at known places changes (`commit`,
`tables`, and the units of `damoos.tune.place`, whose arithmetic is exact). A number that might be refused, or is finer
than the grids of spaces, is left alone, and is for `SimSession.commit` to decide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from damoos.damon.features import FIRST_KERNEL
from damoos.units import U32_MAX

from .attributes import set_intervals
from .handle import handle_at
from .jit import entry, kernel
from .start import kernel_number
from .state import (
    AGGR_SAMPLES,
    AGGR_US,
    ASKED_AGGR_US,
    ASKED_SAMPLE_US,
    GOAL_ACCESS_BP,
    GOAL_AGGRS,
    GOAL_MAX_US,
    GOAL_MIN_US,
    KERNEL,
    MAX_REGIONS,
    MIN_REGIONS,
    S_AGE_MAX,
    S_AGE_MIN,
    S_APPLY_US,
    S_NR_MAX,
    S_NR_MIN,
    S_SZ_MAX,
    S_SZ_MIN,
    SAMPLE_US,
    UPDATE_US,
)
from .tables import (
    G_TARGET,
    LIMIT_QUOTA,
    Q_ACTIVE,
    Q_ALLOWED,
    Q_DUE,
    S_BYTES,
    S_FIRST_GOAL,
    S_LAST_GOAL,
    S_LIMITS,
    S_MS,
    S_RESET_MS,
    S_SCORE,
    S_W_AGE,
    S_W_NR,
    SCORE_SAME,
)

# Numbers of a place. What is there is counted in something; where it is, in which row and column; that goes by so many
# of ours (`P_OVER`) are so many of the kernel's (`P_TIMES`), rounded; ours are on a grid of 1 / `P_GRID`; the most the
# kernel's may be; since when the kernel has it; which column of the values it is.
P_IN, P_WHERE, P_ROW, P_COLUMN, P_TIMES, P_OVER, P_ROUNDED, P_GRID, P_MOST, P_SINCE, P_VALUE = range(11)
BY_ITSELF, IN_SAMPLING_INTERVALS, IN_SAMPLES, IN_AGGREGATIONS = range(4)
ATTRIBUTE, OF_SCHEME, OF_GOAL, NOWHERE = range(4)
UP, DOWN, NEAREST = range(3)

_FINEST = float(2**52)
_GREATEST = 2**62
_PERCENT_GRID = 100
_FEWEST_REGIONS = 3
_ATTRIBUTES = {
    "intervals.sample_us": SAMPLE_US,
    "intervals.aggr_us": AGGR_US,
    "intervals.ops_update_us": UPDATE_US,
    "intervals.intervals_goal.access_bp": GOAL_ACCESS_BP,
    "intervals.intervals_goal.aggrs": GOAL_AGGRS,
    "intervals.intervals_goal.min_sample_us": GOAL_MIN_US,
    "intervals.intervals_goal.max_sample_us": GOAL_MAX_US,
    "nr_regions.min": MIN_REGIONS,
    "nr_regions.max": MAX_REGIONS,
}
_OF_SCHEME = {
    "access_pattern.sz.min": S_SZ_MIN,
    "access_pattern.sz.max": S_SZ_MAX,
    "access_pattern.nr_accesses.min": S_NR_MIN,
    "access_pattern.nr_accesses.max": S_NR_MAX,
    "access_pattern.age.min": S_AGE_MIN,
    "access_pattern.age.max": S_AGE_MAX,
    "apply_interval_us": S_APPLY_US,
    "quotas.ms": S_MS,
    "quotas.bytes": S_BYTES,
    "quotas.reset_interval_ms": S_RESET_MS,
    "quotas.weights.nr_accesses_permil": S_W_NR,
    "quotas.weights.age_permil": S_W_AGE,
}
_NO_EFFECT = "quotas.weights.sz_permil"
_IN_SCHEME = re.compile(r"schemes\[(\d+)\]\.(.+)")
_IN_GOAL = re.compile(r"quotas\.goals\[(\d+)\]\.target_value")
_SAMPLES = "samples_per_aggregation"


def numbers_of(places: Sequence[str]) -> NDArray[np.int64] | None:
    """The numbers, int64 [d, 11], of places as `damoos.tune.place` names them, in the order in which they are set.

    None if one of them isn't known here.
    """
    rows = []
    for value, place in enumerate(places):
        row = _row(place)
        if row is None:
            return None
        rows.append((_order(place), [*row, value]))
    rows.sort(key=lambda ordered: ordered[0])
    return np.array([row for _, row in rows], np.int64).reshape(-1, P_VALUE + 1)


def _order(place: str) -> int:
    # Intervals come before what is counted in them.
    return 0 if place in _ATTRIBUTES else 1 if place == _SAMPLES else 2


def _row(place: str) -> list[int] | None:
    if place == _SAMPLES:
        return [IN_SAMPLING_INTERVALS, ATTRIBUTE, 0, AGGR_US, 1, 1, DOWN, 1, 2**52, 0]
    if place in _ATTRIBUTES:
        return [BY_ITSELF, ATTRIBUTE, 0, _ATTRIBUTES[place], *_units(place)]
    scheme = _IN_SCHEME.fullmatch(place)
    if scheme is None:
        return None
    k, field = int(scheme[1]), scheme[2]
    counted = IN_SAMPLES if ".nr_accesses." in field else IN_AGGREGATIONS if ".age." in field else BY_ITSELF
    if field in _OF_SCHEME:
        return [counted, OF_SCHEME, k, _OF_SCHEME[field], *_units(place)]
    if field == _NO_EFFECT:
        return [BY_ITSELF, NOWHERE, k, 0, *_units(place)]
    goal = _IN_GOAL.fullmatch(field)
    return None if goal is None else [BY_ITSELF, OF_GOAL, k, int(goal[1]), *_units(place)]


def _units(place: str) -> list[int]:
    rounded = UP if place.endswith(".min") else DOWN if place.endswith(".max") else NEAREST
    percent = ".nr_accesses." in place or place.endswith(("_bp", "_permil"))
    grid = _PERCENT_GRID if percent else 1
    over = 100 * grid if ".nr_accesses." in place else grid
    if place.endswith(("_ms", "quotas.ms")):
        over *= 1000
    times = 100 if place.endswith("_bp") else 10 if place.endswith("_permil") else 1
    return [times, over, rounded, grid, U32_MAX if place.endswith("_permil") else 2**52, _since(place)]


def _since(place: str) -> int:
    for feature in ("intervals_goal", "apply_interval_us"):
        if feature in place:
            return kernel_number(FIRST_KERNEL[feature])
    return 0


@kernel
def _whole(exact_times, over, rounded):
    # What is not negative, divided and rounded; halves to the even one.
    whole, rest = exact_times // over, exact_times % over
    if rounded == UP:
        return whole + (rest > 0)
    if rounded == DOWN:
        return whole
    whole += 2 * rest > over or (2 * rest == over and whole % 2 == 1)
    # 0 switches a limit off, so what is small must not become 0.
    return max(whole, 1) if exact_times > 0 else whole


@kernel
def _in_kernel_units(st, values, places, asked, found):
    # Fills `asked`, which has the other attributes already, and `found`; False for what may be refused or is too fine.
    for p in range(places.shape[0]):
        place = places[p]
        value, grid = values[place[P_VALUE]], place[P_GRID]
        if not (value >= 0.0 and value * grid <= _FINEST):
            return False
        on_grid = np.int64(math.floor(value * grid + 0.5))
        if on_grid / grid != value:
            return False
        times, over, counted = place[P_TIMES], place[P_OVER], place[P_IN]
        if counted == IN_SAMPLING_INTERVALS:
            times = asked[SAMPLE_US]
        elif counted == IN_SAMPLES:
            times = max(1, asked[AGGR_US] // max(1, asked[SAMPLE_US]))
        elif counted == IN_AGGREGATIONS:
            over = max(1, asked[AGGR_US])
        if times > 0 and on_grid > _GREATEST // times:
            return False
        number = _whole(on_grid * times, over, place[P_ROUNDED])
        if counted == IN_SAMPLES or counted == IN_AGGREGATIONS:
            number = min(number, U32_MAX)
        if number > place[P_MOST] or (number > 0 and st.n[KERNEL] < place[P_SINCE]):
            return False
        if place[P_WHERE] == ATTRIBUTE:
            asked[place[P_COLUMN]] = number
        elif place[P_WHERE] == OF_GOAL and number == 0:
            return False
        found[p] = number
    return _are_possible(st, asked)


@kernel
def _are_possible(st, asked):
    sample_us, goal = asked[SAMPLE_US], asked[GOAL_AGGRS]
    if sample_us < 1 or sample_us > asked[AGGR_US]:
        return False
    if asked[MIN_REGIONS] < _FEWEST_REGIONS or asked[MIN_REGIONS] > asked[MAX_REGIONS]:
        return False
    # As `state.room_for`.
    if st.start.shape[1] < 2 * asked[MAX_REGIONS] + 3 * st.area_start.size + 64:
        return False
    return goal == 0 or (asked[GOAL_MIN_US] <= sample_us and sample_us <= asked[GOAL_MAX_US])


@kernel
def _set_schemes(st, places, found, score_kinds):
    # As `commit.with_schemes` of what `tables` makes.
    for p in range(places.shape[0]):
        place = places[p]
        if place[P_WHERE] == OF_SCHEME:
            st.scheme[place[P_ROW], place[P_COLUMN]] = found[p]
        elif place[P_WHERE] == OF_GOAL:
            st.goal[st.scheme[place[P_ROW], S_FIRST_GOAL] + place[P_COLUMN], G_TARGET] = found[p]
    for k in range(st.scheme.shape[0]):
        s, q = st.scheme[k], st.quota[k]
        has_quota = s[S_MS] > 0 or s[S_BYTES] > 0 or s[S_LAST_GOAL] > s[S_FIRST_GOAL]
        s[S_LIMITS] = (s[S_LIMITS] & ~LIMIT_QUOTA) | (LIMIT_QUOTA if has_quota else 0)
        s[S_SCORE] = score_kinds[k] if s[S_W_NR] > 0 or s[S_W_AGE] > 0 else SCORE_SAME
        q[Q_ACTIVE], q[Q_DUE], q[Q_ALLOWED] = 1, 0, 0


@kernel
def _set_attributes(st, attributes, asked):
    changed = False
    for i in range(attributes.size):
        changed = changed or st.n[attributes[i]] != asked[attributes[i]]
    st.n[ASKED_SAMPLE_US], st.n[ASKED_AGGR_US] = asked[SAMPLE_US], asked[AGGR_US]
    for i in range(attributes.size):
        at = attributes[i]
        if at != SAMPLE_US and at != AGGR_US:
            st.n[at] = asked[at]
    if changed:
        set_intervals(st, st.n[ASKED_SAMPLE_US], st.n[ASKED_AGGR_US])


@entry
def commit_values(addresses, which, values, places, attributes, base, score_kinds, asked, found):
    """Commits row i of `values` [N, d] to run i where `which` [N] is True, and makes that False where it was done.

    `addresses`: int64 [N], of the tables of the runs' states, whose last commit was of a value that differs from these
    in nothing but numbers at the places; `places`: see `numbers_of`; `attributes`: which of `State.n` are attributes,
    and `base` [N_SIZE] what they are in that value; `score_kinds` [K]: S_SCORE of each scheme if it has weights;
    `asked` [N_SIZE], `found` [d]: int64, room to work in.
    """
    for i in range(addresses.size):
        if which[i]:
            st = handle_at(addresses[i])
            for at in range(base.size):
                asked[at] = base[at]
            if _in_kernel_units(st, values[i], places, asked, found):
                asked[AGGR_SAMPLES] = asked[AGGR_US] // asked[SAMPLE_US]
                _set_schemes(st, places, found, score_kinds)
                _set_attributes(st, attributes, asked)
                which[i] = False
