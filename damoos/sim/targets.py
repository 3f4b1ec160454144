"""Targets of one context, told apart by where their regions lie.

Regions of all targets are one sorted list, as if the address spaces lay side by side: target t's page p is numbered
p + t * SPAN. So what the kernel does for one target after the other is one walk, and what it sums over all targets
(number of regions, their size, thresholds, histograms) needs no second thought. Areas of the workload's processes are
numbered in the same way, by process.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .layout import SPAN
from .state import DONE, NR_REGIONS, PHASE, PHYSICAL

_SHIFT, _HALF = np.int64(SPAN.bit_length() - 1), np.int64(SPAN // 2)

# Columns of `State.target`: what leads from its pages to those of areas; the process it watches; whether it began with
# regions that were given.
T_SHIFT, T_PROCESS, T_GIVEN = range(3)


@kernel
def target_of(st, page):
    """Index of the target that a region with `page` belongs to."""
    if st.target.shape[0] == 1:
        return np.int64(0)
    return (page + _HALF) >> _SHIFT


@kernel
def is_valid(st, target):
    """Whether the process that a target watches has not ended; physical memory is always there."""
    if st.process_n.shape[0] == 1 or st.n[PHYSICAL] == 1:
        return True
    return st.process_n[st.target[target, T_PROCESS], DONE - PHASE] == 0


@kernel
def area_shift(st, page):
    """What is to be added to `page` of a region of a process to get the page of its area."""
    return st.target[target_of(st, page), T_SHIFT]


@kernel
def is_last_of_target(st, cur, i, following):
    """Whether no region of the same target follows region `i`; `following`: index of the next region, in use or not."""
    if following >= st.n[NR_REGIONS]:
        return True
    if st.target.shape[0] == 1:
        return False
    return target_of(st, st.start[cur, i]) != target_of(st, st.start[cur, following])
