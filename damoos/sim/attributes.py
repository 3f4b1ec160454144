"""What becomes of monitoring results when attributes change online.

Restates damon_update_monitoring_results() and damon_set_attrs() of mm/damon/core.c, Linux 7.3. Scheme patterns are not
converted: their bounds keep their raw numbers although an aggregation now has another length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger[Any]]


def convert_age(age: Ints, old_aggr_us: int, new_aggr_us: int) -> Ints:
    """Ages, in new aggregation intervals, of regions with `age` old ones; truncated."""
    return age * old_aggr_us // new_aggr_us


def convert_nr_accesses(nr_accesses: Ints, old_samples: int, new_samples: int) -> Ints:
    """nr_accesses of `old_samples` checks as of `new_samples`: in basis points, truncated twice as in the kernel."""
    return nr_accesses * 10_000 // max(1, old_samples) * new_samples // 10_000


def convert_results(
    nr_accesses: Ints,
    last_nr_accesses: Ints,
    age: Ints,
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    mid_window: bool,
) -> tuple[Ints, Ints, Ints]:
    """(nr_accesses, last_nr_accesses, age) after intervals (sample_us, aggr_us) went from `old` to `new`.

    `mid_window`: the running aggregation is not complete, its counters are dropped. Nothing is converted when any
    interval is 0.
    """
    if 0 in old or 0 in new:
        return nr_accesses, last_nr_accesses, age
    old_samples, new_samples = old[1] // old[0], new[1] // new[0]
    counts = np.zeros_like(nr_accesses) if mid_window else convert_nr_accesses(nr_accesses, old_samples, new_samples)
    return (
        counts,
        convert_nr_accesses(last_nr_accesses, old_samples, new_samples),
        convert_age(age, old[1], new[1]),
    )
