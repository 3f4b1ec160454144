"""Filters of schemes that the core layer evaluates: by address range and by target.

Restates mm/damon/core.c damos_filter_match(), damos_core_filter_out() of Linux 7.3. Positions are pages.
"""

from __future__ import annotations

from .jit import kernel
from .layout import SPAN
from .tables import (
    FILTER_ADDR,
    FL_ALLOW,
    FL_HIGH,
    FL_LOW,
    FL_MATCHING,
    FL_TYPE,
    S_CORE_REJECTS,
    S_FIRST_FILTER,
    S_LAST_CORE_FILTER,
)
from .targets import target_of


@kernel
def core_verdict(st, k, start, end):
    """What scheme `k`'s core filters say of a region from page `start` on: (rejected, allowed by a filter, upto).

    The verdict holds for [start, upto): a region that lies only partly in an address range is cut there. One that a
    filter allows is not looked at by the operations layer's filters.
    """
    s = st.scheme[k]
    target = target_of(st, start)
    base = target * SPAN
    for f in range(s[S_FIRST_FILTER], s[S_LAST_CORE_FILTER]):
        row = st.filter[f]
        low, high = row[FL_LOW], row[FL_HIGH]
        if row[FL_TYPE] == FILTER_ADDR:
            low, high = low + base, high + base
            inside = False
            if end > low and start < high:
                if start < low:
                    end = low
                else:
                    inside = True
                    end = min(end, high)
        else:
            inside = low == target
        if inside == (row[FL_MATCHING] != 0):
            return row[FL_ALLOW] == 0, row[FL_ALLOW] != 0, end
    return s[S_CORE_REJECTS] != 0, False, end
