"""Where in physical memory the page allocator puts what the workload touches.

Free memory is a set of blocks of 2^order pages, each aligned to its size, and a page comes from the smallest block that
there is; only when the small ones are used up is a larger one broken. So the first pages of a process lie in pieces of
a few pages and the last in pieces of megabytes, between pages of others and blocks that stay free. Dumps of the page
tables on the recorded machine show just that. What memory looks like depends on what has run before, which is drawn
here: some of the largest blocks are broken, each half of a broken block is again broken, free, or in use by others.
Kernel: mm/page_alloc.c, the buddy allocator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

LARGEST = 1024
"""Pages of the largest block, 4 MiB."""
_RUNS = 4
"""In how many runs the broken blocks lie."""
_HALF_BROKEN, _HALF_FREE = 0.6, 0.3
"""Chances that half of a broken block is broken or free. They and the number of broken blocks on the recorded machine
(`fragmented_bytes`) are such that all its runs with physical memory show as many regions on average, at the most, and
while the second region is in use."""


def scatter(
    sizes: Sequence[int], spans: Sequence[tuple[int, int]], rooms: Sequence[int], fragmented: int, seed: int
) -> Ints:
    """Where `sizes` pages of each of several areas come to lie that are touched for the first time one after another.

    `spans`: the page frames [first, last) of the nodes, which are filled in their order, with no more pages of the
    workload than their `rooms`; `fragmented`: pages of a node in broken blocks, at most half of it. Returns pieces
    [V, 4], sorted: first frame, one past the last, area, its page.
    """
    draw = np.random.default_rng([seed, spans[-1][1]])
    pieces = []
    blocks = _blocks(spans, rooms, fragmented, draw)
    start, free = next(blocks)
    for area, size in enumerate(sizes):
        page = 0
        while page < size:
            if free == 0:
                start, free = next(blocks)
                continue
            taken = min(free, size - page)
            pieces.append((start, start + taken, area, page))
            page, start, free = page + taken, start + taken, free - taken
    return np.array(sorted(pieces), np.int64).reshape(-1, 4)


def _blocks(
    spans: Sequence[tuple[int, int]], rooms: Sequence[int], fragmented: int, draw: np.random.Generator
) -> Iterator[tuple[int, int]]:
    # (first frame, pages) of free memory in the order of its use; the last without end.
    for (first, last), room in zip(spans, rooms, strict=True):
        for start, pages in _free_blocks(first, last, fragmented, draw):
            taken = min(pages, room)
            room -= taken
            yield start, taken
            if room == 0:
                break
    yield spans[-1][1], 2**60


def _free_blocks(first: int, last: int, fragmented: int, draw: np.random.Generator) -> Iterator[tuple[int, int]]:
    whole = np.arange(-(-first // LARGEST), last // LARGEST) * LARGEST
    broken = np.zeros(len(whole), bool)
    count = min(fragmented // LARGEST, len(whole) // 2)
    for k in range(_RUNS):
        run = (count + k) // _RUNS
        at = int(draw.integers(0, len(whole) - run + 1))
        broken[at : at + run] = True
    free: list[tuple[Ints, int]] = []
    halves, size = whole[broken], LARGEST
    while size > 1 and len(halves) > 0:
        size //= 2
        halves = np.concatenate((halves, halves + size))
        chance = draw.random(len(halves))
        free.append((halves[(chance >= _HALF_BROKEN) & (chance < _HALF_BROKEN + _HALF_FREE)], size))
        halves = halves[chance < _HALF_BROKEN]
    for blocks, size in reversed(free):
        yield from ((int(start), size) for start in draw.permutation(blocks))
    # Larger free memory is in one piece as far as it is not broken; it is used from a place of chance on.
    intact = np.flatnonzero(~broken)
    for index in np.roll(intact, -int(draw.integers(0, max(1, len(intact))))):
        yield int(whole[index]), LARGEST
