"""What DAMON can see of the program that runs a workload."""

from __future__ import annotations

import numpy as np
import pytest

from damoos.damon.kdamonds import Context
from damoos.sim import visible
from damoos.sim.handle import handle_of
from damoos.sim.jit import callable_kernel
from damoos.sim.start import build_state
from damoos.sim.state import C_BATCH
from damoos.sim.tables import scheme_tables
from damoos.workload.pace import Pace

from .states import LAB, TINY

see_own_pages = callable_kernel(visible.see_own_pages)


def seen(batches: float, pace: Pace) -> tuple[float, float]:
    """How likely the program's code and its stack are seen touched in an interval of that many batches."""
    state, layout = build_state(
        TINY,
        LAB,
        pace,
        1,
        sample_every_us=1e5,
        trace=False,
        exact=False,
        max_nr_regions=100,
        schemes=scheme_tables(Context(), 0),
    )
    # Before the first step no process has been chosen to run; here it is the only one.
    see_own_pages(handle_of(state), np.float64(batches * state.c[C_BATCH]))
    text, stack = ([a.name for a in layout.areas].index(name) for name in ("[text]", "[stack]"))
    return float(state.hit_p[text]), float(state.hit_p[stack])


@pytest.mark.parametrize(
    ("batches", "text", "stack"),
    [
        (3.0, 1.0, 1.0),
        # Within a batch only the innermost loop runs, one of the two pages of code, as while pages have to come in.
        (0.0, 0.5, 0.0),
        (0.25, 0.625, 0.25),
    ],
)
def test_around_each_batch_the_whole_program_is_used(batches: float, text: float, stack: float) -> None:
    assert seen(batches, Pace()) == pytest.approx((text, stack))


def test_a_paced_workload_sleeps_after_each_batch() -> None:
    assert seen(0.25, Pace(limit_per_ms=1000.0)) == pytest.approx((0.25, 0.25))
