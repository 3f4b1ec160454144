from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme
from damoos.sim import arena
from damoos.sim.state import FIELDS, NR_EXTENTS, SAMPLE_CAPACITY, State, with_room
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region

from .states import rows_of, state_of

SCHEME = Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(5, U32_MAX)))
KDAMONDS = Kdamonds.of(
    intervals=Intervals(5_000, 100_000, 1_000_000), nr_regions=NrRegions(10, 1_000), schemes=(SCHEME,)
)
WORKLOAD = MasimWorkload(
    "turns",
    (Region("a", 1 << 26), Region("b", 1 << 26)),
    tuple(Phase(f"p{i}", 2_000, (Pattern("ab"[i % 2], i % 3 == 0, 4096, 1),)) for i in range(4)),
)


def test_arrays_are_where_the_table_says_and_do_not_overlap() -> None:
    state, _ = state_of([(0, 100), (100, 200)], schemes=(SCHEME, SCHEME))
    spans = []
    for field in FIELDS:
        array = getattr(state, field.name)
        address, *shape = state.table[field.entry : field.entry + 1 + array.ndim]
        assert address == array.ctypes.data and tuple(shape) == array.shape, field.name
        assert address % 16 == 0 and array.flags.c_contiguous and array.dtype == field.dtype
        spans.append((int(address), int(address) + array.nbytes))
    spans.sort()
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))


def test_declared_fields_are_the_state_s() -> None:
    assert [field.name for field in FIELDS] == list(State.__annotations__)
    shapes = {field.name: field.shape for field in FIELDS}
    assert shapes["start"] == (2, "R") and shapes["scheme"][0] == "K" and shapes["samples"][0] == SAMPLE_CAPACITY


@pytest.mark.parametrize("rest", [0, 7, 255])
def test_what_was_in_buffers_before_does_not_matter(rest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend("sim:vm-lab")
    expected = backend.start(WORKLOAD, KDAMONDS, 4).finish()

    def unclean(size: int) -> Any:
        return (ctypes.c_uint8 * size)(*[rest] * size)

    monkeypatch.setattr(arena.BLOCKS, "take", unclean)
    session = backend.start(WORKLOAD, KDAMONDS, 4)
    monkeypatch.undo()
    result = session.finish()
    assert result.rss_mean_bytes == expected.rss_mean_bytes and result.runtime_s == expected.runtime_s
    assert np.array_equal(result.samples.rss_bytes, expected.samples.rss_bytes)


def test_room_grows_and_keeps_what_is_there() -> None:
    state, _ = state_of([(0, 100, 3, 2, 1), (100, 200, 5, 4, 2)], max_nr_regions=100, schemes=(SCHEME,))
    state.stats[0] = 7
    assert with_room(state, 50, {"K": 1}) is state
    wider = with_room(state, 1_000, {"K": 2})
    assert wider.start.shape[1] > state.start.shape[1] and wider.ext_start.size > state.ext_start.size
    assert rows_of(wider) == rows_of(state)
    count = int(state.n[NR_EXTENTS])
    assert (wider.ext_end[:count] == state.ext_end[:count]).all()
    assert (wider.stats[0] == 7).all() and (wider.stats[1] == 0).all()
    assert wider.table[0] != state.table[0]
    fewer = with_room(wider, 10, {"K": 1})
    assert fewer.start.shape == wider.start.shape and len(fewer.stats) == 1
