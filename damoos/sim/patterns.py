"""Access patterns of schemes. Kernel: mm/damon/core.c __damos_valid_target() of Linux 7.3."""

from __future__ import annotations

from .jit import kernel
from .state import S_AGE_MAX, S_AGE_MIN, S_NR_MAX, S_NR_MIN, S_SZ_MAX, S_SZ_MIN


@kernel
def matches(schemes, k, size, rate, age):
    """Whether a region of `size` bytes has the access pattern of scheme `k`; all bounds are inclusive."""
    return (
        schemes[k, S_AGE_MIN] <= age <= schemes[k, S_AGE_MAX]
        and schemes[k, S_NR_MIN] <= rate <= schemes[k, S_NR_MAX]
        and schemes[k, S_SZ_MIN] <= size <= schemes[k, S_SZ_MAX]
    )
