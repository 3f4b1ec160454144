"""Many simulated runs that are watched and steered side by side: what a batch of agents sees and does.

A look and a commit at known places (`placing.numbers_of`) are compiled code for all runs, like moving on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from damoos.damon.kdamonds import Context, Kdamonds

from .commit import attributes_of
from .looking import FLOATS, INTS, look
from .placing import OF_GOAL, P_ROW, P_WHERE, commit_values, numbers_of
from .session import SimSession
from .state import N_SIZE
from .tables import score_kind
from .together import Together

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Looks(NamedTuple):
    """Where the runs of a fleet are, arrays [runs]; names and units as in `damoos.backend.result`.

    `work_done_ms`: as `SimSession.work_done_ms`; `byte_s`: the integral of resident memory; `stall_s`: as in a result;
    `esz_bytes`, `sz_tried`, `sz_applied`: of the first scheme, as in its statistics (0 without schemes).

    `bytes_by`, float64 [runs, rates, idle times]: bytes of the regions that `SimSession.snapshot` shows, by access
    rate, the share of an aggregation's samples that saw an access, and by the time without one. Row r holds rates up to
    `rate_edges[r]` and above the edge before, the last row all greater ones; column c times from `idle_edges_s[c]` to
    below the next, regions with accesses are in column 0. All 0 in runs without DAMON.
    """

    t_s: Floats
    work_done_ms: Floats
    byte_s: Floats
    kdamond_cpu_s: Floats
    stall_s: Floats
    rss_bytes: Ints
    swap_bytes: Ints
    major_faults: Ints
    swap_in_pages: Ints
    swap_out_pages: Ints
    nr_regions: Ints
    esz_bytes: Ints
    sz_tried: Ints
    sz_applied: Ints
    done: NDArray[np.bool_]
    bytes_by: Floats


class _Form(NamedTuple):
    # What `commit_values` is told of what all commits have in common.
    places: Ints
    attributes: Ints
    base: Ints
    score_kinds: Ints


class Fleet(Together):
    """Runs on the simulator that are moved on, watched and steered together.

    Between two steps `sessions` can be used as if alone; after a commit to one of them the fleet's next one is slower.
    """

    def __init__(
        self,
        sessions: Sequence[SimSession],
        places: Sequence[str],
        kdamonds_of: Callable[[Floats], Kdamonds],
        *,
        rate_edges: Sequence[float],
        idle_edges_s: Sequence[float],
        begun_with: Floats | None = None,
        threads: int | None = None,
    ) -> None:
        """`places`: where the numbers of a commit go, see `damoos.tune.place`; `kdamonds_of`: the kdamonds with such
        numbers [places] there, which differ in nothing else; `rate_edges` (from 0, which is for no access at all, up),
        `idle_edges_s`: see `Looks`; `begun_with`: the numbers [places] that most runs are started with, whose first
        commit is as quick as the others then; `threads`: how many at most, None: one a CPU that this process may use.
        """
        super().__init__(sessions, threads)
        self._kdamonds_of = kdamonds_of
        self._places = numbers_of(places)
        self._edges = np.array(rate_edges, float), np.array(idle_edges_s, float)
        n = len(self._sessions)
        self._rss_base, self._duration_ms = np.zeros(n, np.int64), np.zeros(n)
        self._values = np.zeros((n, len(places)))
        # Whether the last commit was of a value of `kdamonds_of`, and whether by compiled code.
        self._ready, self._unsaid = np.zeros(n, bool), np.zeros(n, bool)
        self._at = np.zeros(n, np.int64)
        self._form: _Form | None = None
        self._asked, self._found = np.zeros(N_SIZE, np.int64), np.zeros(len(places), np.int64)
        self._begun = None if begun_with is None else kdamonds_of(begun_with)
        if self._begun is not None:
            self._learn(self._begun.context)
        for i, session in enumerate(self._sessions):
            self._take_in(i, session)

    def advance(self, seconds: float | Floats) -> Looks:
        """Lets each run go on as `SimSession.advance` does, by `seconds` s of its clock, one number or [runs].

        Raises BackendError if a session is closed.
        """
        looks = self._new_looks(len(self._sessions))
        self._move(self._addresses(), seconds, partial(self._look_at, looks))
        return _looks(*looks)

    def look(self, which: NDArray[np.bool_] | None = None) -> Looks:
        """Where the runs are now, all or those where `which` [runs] is True. Raises BackendError if a session is
        closed."""
        self._addresses()
        at = np.arange(len(self._sessions)) if which is None else np.flatnonzero(which)
        looks = self._new_looks(len(at))
        look(self._at[at], self._rss_base[at], self._duration_ms[at], *self._edges, *looks)
        return _looks(*looks)

    def commit(self, values: Floats, which: NDArray[np.bool_] | None = None) -> None:
        """Commits the kdamonds with row i of `values`, float64 [runs, places], to run i as `SimSession.commit` does, to
        all runs or where `which` [runs] is True.

        Numbers are in the units of the places: µs, bytes, percent, counts. Raises what `kdamonds_of` and
        `SimSession.commit` raise; runs before that one have got theirs then.
        """
        asked = np.ones(len(self._sessions), bool) if which is None else np.asarray(which, bool)
        values = np.ascontiguousarray(values, np.float64)
        left = asked & self._ready
        if left.any():
            done = left.copy()
            assert self._form is not None  # without it no run is ready
            commit_values(self._at, left, values, *self._form, self._asked, self._found)
            done &= ~left
            self._values[done] = values[done]
            self._unsaid |= done
            left = asked & ~done
        else:
            left = asked
        for i in np.flatnonzero(left):
            self._commit_alone(int(i), values[i])

    def replace(self, i: int, session: SimSession) -> None:
        """Puts another run in place of run `i`, whose session is left as it is."""
        self._sessions[i].settle()
        self._sessions[i] = session
        self._take_in(i, session)

    def _take_in(self, i: int, session: SimSession) -> None:
        self._rss_base[i], self._duration_ms[i] = session.rss_base_bytes, session.duration_ms
        self._ready[i] = self._unsaid[i] = False
        if self._begun is not None and session.asked == self._begun:
            self._begun = session.asked  # the same object again, likely, which is quick to compare
            self._borrow(i)

    def _addresses(self) -> Ints:
        # Those that compiled code commits to stay where they are.
        for i in np.flatnonzero(~self._ready):
            self._at[i] = self._sessions[i].address
        return self._at

    def _commit_alone(self, i: int, row: Floats) -> None:
        kdamonds = self._kdamonds_of(row)
        self._sessions[i].commit(kdamonds)
        self._learn(kdamonds.context)
        self._borrow(i)

    def _learn(self, context: Context) -> None:
        if self._form is None and self._places is not None:
            self._form = _form_of(context, self._places)
            if self._form is None:
                self._places = None

    def _borrow(self, i: int) -> None:
        if self._form is not None:
            self._at[i], self._ready[i], self._unsaid[i] = self._sessions[i].address, True, False
            self._sessions[i].lend(partial(self._take_back, i))

    def _take_back(self, i: int) -> Callable[[], Kdamonds] | None:
        self._ready[i] = False
        return partial(self._kdamonds_of, self._values[i].copy()) if self._unsaid[i] else None

    def _new_looks(self, n: int) -> tuple[Floats, Ints, Floats]:
        by = np.empty((n, len(self._edges[0]) + 1, len(self._edges[1])))
        return np.empty((n, len(FLOATS))), np.empty((n, len(INTS)), np.int64), by

    def _look_at(self, looks: tuple[Floats, Ints, Floats], at: slice) -> None:
        look(self._at[at], self._rss_base[at], self._duration_ms[at], *self._edges, *(out[at] for out in looks))


def _looks(floats: Floats, ints: Ints, by: Floats) -> Looks:
    *counts, done = ints.T.copy()
    return Looks._make([*floats.T.copy(), *counts, done == 1, by])


def _form_of(context: Context, places: Ints) -> _Form | None:
    # None: a commit also changes what only the session can.
    goals = places[places[:, P_WHERE] == OF_GOAL, P_ROW].tolist()
    dropped = any(goal.target_value == 0 for k in goals for goal in context.schemes[k].quotas.goals)
    if dropped or any(target.regions or target.obsolete for target in context.targets):
        return None
    base = np.zeros(N_SIZE, np.int64)
    attributes = attributes_of(context)
    base[list(attributes)] = list(attributes.values())
    kinds = np.array([score_kind(scheme, context.ops) for scheme in context.schemes], np.int64)
    return _Form(places, np.array(list(attributes), np.int64), base, kinds)
