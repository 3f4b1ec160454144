"""Memory for runs is used again, but never while somebody has an array in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from damoos.sim import arena, blocks
from damoos.sim.blocks import Blocks
from damoos.sim.state import State

from .states import state_of


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    found = Blocks()
    monkeypatch.setattr(arena, "BLOCKS", found)
    return found


def test_a_state_takes_the_block_of_one_that_is_gone(memory: Blocks) -> None:
    like, _ = state_of([(0, 100), (100, 200)])
    memory.spare.clear()
    state = State(like.plan, like)
    address, state.c[:] = state.address, 5.0
    del state
    state = State(like.plan, like)
    assert state.address == address and (state.c == like.c).all()


def test_a_block_with_an_array_that_is_still_in_use_stays_as_it_is(memory: Blocks) -> None:
    like, _ = state_of([(0, 100), (100, 200)])
    memory.spare.clear()
    state = State(like.plan, like)
    address, held = state.address, state.age[0, :2]
    held[:] = 7
    del state
    assert State(like.plan, like).address != address and held.tolist() == [7, 7]


def test_blocks_of_all_sizes_lie_apart_whichever_thread_takes_them() -> None:
    memory = Blocks()
    sizes = [1, 65_536, 65_537, 600_000, 5 << 20] * 20

    def filled(i: int) -> Any:
        block = memory.take(sizes[i])
        np.frombuffer(block, np.uint8)[:] = i
        return block

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(filled, range(len(sizes))))
    for i, block in enumerate(taken):
        assert len(block) >= sizes[i] and (np.frombuffer(block, np.uint8) == i).all()


def test_little_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Blocks()
    monkeypatch.setattr(blocks, "SPARE_BYTES", 200_000)
    taken = [memory.take(60_000) for _ in range(5)]
    while taken:
        block = taken.pop()
        memory.give_back(block)
    assert sum(len(spare) for spare in memory.spare.values()) == 3
