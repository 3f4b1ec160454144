"""Physical memory, and parts of a process, as what is monitored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.damon.attrs import Intervals
from damoos.damon.kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.modules import LruSort, Reclaim, stat
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Scheme
from damoos.errors import BackendError, KdamondsError
from damoos.sim.backend import SimBackend
from damoos.sim.layout import lay_out
from damoos.sim.monitored import FIRST_FRAME, view_of
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import machine

MEMORY = 512 << 20
MACHINE = machine(memory_bytes=MEMORY)
WORKLOAD = MasimWorkload(
    "two",
    (Region("used", 20 << 20), Region("idle", 40 << 20)),
    (Phase("p", 6000, (Pattern("used", False, 4096, 1),)),),
)
LAYOUT = lay_out(WORKLOAD)
IDLE_1S = AccessPattern.of(access=("0 samples", "0 samples"), age=("1 s", "max"))


def run(*schemes: Scheme, ops: str = "paddr", regions=(), seed: int = 1, **changes):
    context = Context(ops=ops, schemes=schemes, targets=(Target(regions=regions),))
    backend = SimBackend(machine(memory_bytes=MEMORY, **changes), Pace("time", prefault=True), trace=True)
    with backend.start(WORKLOAD, Kdamonds((Kdamond((context,)),)), seed) as session:
        return session.finish()


@pytest.mark.parametrize("seed", range(5))
def test_physical_pieces_are_the_areas_and_do_not_overlap(seed: int) -> None:
    view = view_of(Context(ops="paddr"), LAYOUT, MACHINE, seed)
    assert view.physical and view.base_address == 0 and view.followed == ()
    assert view.first == ((FIRST_FRAME, MEMORY // 4096),)
    assert (view.start[1:] >= view.end[:-1]).all() and (view.end > view.start).all()
    assert view.start[0] >= FIRST_FRAME and view.end[-1] <= MEMORY // 4096
    for i, area in enumerate(LAYOUT.areas):
        of = np.flatnonzero(view.area == i)
        if area.name in ("[vvar]", "[vdso]"):
            assert not of.size
            continue
        of = of[np.argsort(view.page[of])]
        ends = view.page[of] + view.end[of] - view.start[of]
        assert view.page[of][0] == area.start and ends[-1] == area.end and (ends[:-1] == view.page[of][1:]).all()
    again = view_of(Context(ops="paddr"), LAYOUT, MACHINE, seed)
    assert (again.start == view.start).all()
    assert len(np.unique(view.end - view.start)) > 10


def test_a_process_is_monitored_where_it_is() -> None:
    view = view_of(Context(), LAYOUT, MACHINE, 1)
    assert view.first == view.followed and len(view.first) == 3 and not view.physical
    assert view.start.tolist() == view.page.tolist() == [a.start for a in LAYOUT.areas]


def test_physical_memory_is_monitored_whole_and_shows_what_is_used() -> None:
    result = run(Scheme(Action.STAT, ANYTHING))
    trace = result.trace
    last = slice(trace.offset[-2], trace.offset[-1])
    assert trace.pages[last].sum() == MEMORY // 4096 - FIRST_FRAME
    hot = trace.nr_accesses[last] >= 10
    # Some of the smallest pieces are not found yet.
    assert trace.pages[last][hot].sum() == pytest.approx(20 * 256, rel=0.25)
    assert trace.areas == ()


def test_physical_page_out_spares_what_was_used_since_it_was_looked_at() -> None:
    # No region is old enough for the first look; it finds old what checks have marked, the second all the rest.
    result = run(Scheme(Action.PAGEOUT, IDLE_1S))
    out = result.samples.swap_out_pages
    t = result.samples.t_s
    assert out[t < 2.0][-1] < 0.05 * 40 * 256
    # Pieces that share a region of DAMON with a page in use are not idle to it.
    assert 0.25 * 40 * 256 < out[-1] < 1.05 * 40 * 256
    stats = result.scheme_stats[0]
    # What is locked in memory passes the filter but can't go.
    assert stats.sz_applied == out[-1] * 4096 < stats.sz_ops_filter_passed


def test_actions_of_the_other_kind_do_nothing() -> None:
    for action in (Action.COLD, Action.HUGEPAGE, Action.WILLNEED):
        stats = run(Scheme(action, IDLE_1S)).scheme_stats[0]
        assert stats.nr_tried > 0 and stats.nr_applied == 0
    for action in (Action.LRU_PRIO, Action.LRU_DEPRIO):
        stats = run(Scheme(action, IDLE_1S), ops="vaddr").scheme_stats[0]
        assert stats.nr_tried > 0 and stats.nr_applied == 0


def test_fvaddr_monitors_its_regions_and_keeps_to_them() -> None:
    start = LAYOUT.base_address + LAYOUT.areas[LAYOUT.region_area[0]].start * 4096
    region = AddressRange(start + 4096, start + (8 << 20))
    context = Context(
        ops="fvaddr",
        targets=(Target(regions=(region,)),),
        intervals=Intervals(ops_update_us=200_000),
        schemes=(Scheme(Action.STAT, ANYTHING),),
    )
    with SimBackend(machine(), Pace("time", prefault=True)).start(
        WORKLOAD, Kdamonds((Kdamond((context,)),)), 1
    ) as session:
        session.advance(1.0)
        seen = session.snapshot()
    assert (seen.start[0], seen.end[-1]) == (region.start, region.end)
    assert (seen.nr_accesses >= 19).all()


@pytest.mark.parametrize(
    ("error", "word", "context", "changes"),
    [
        (KdamondsError, "regions", Context(ops="fvaddr"), {}),
        (BackendError, "memory_bytes", Context(ops="paddr"), {"memory_bytes": 0}),
        (BackendError, "addr_unit", Context(ops="paddr", addr_unit=8192), {}),
        (KdamondsError, "addr_unit", Context(ops="paddr", addr_unit=3000), {}),
    ],
)
def test_what_can_not_be_monitored_is_refused(error, word: str, context: Context, changes) -> None:
    with pytest.raises(error, match=word):
        SimBackend(machine(**changes)).start(WORKLOAD, Kdamonds((Kdamond((context,)),)), 1)


def test_what_is_monitored_stays() -> None:
    context = Context(ops="paddr", schemes=(Scheme(Action.STAT, ANYTHING),))
    value = Kdamonds((Kdamond((context,)),))
    with SimBackend(machine(memory_bytes=MEMORY)).start(WORKLOAD, value, 1) as session:
        with pytest.raises(BackendError, match="operations set"):
            session.commit(value.with_context(dataclasses.replace(context, ops="vaddr")))


def test_the_kernels_modules_run() -> None:
    """DAMON_RECLAIM pages idle memory out, DAMON_LRU_SORT sorts, DAMON_STAT tunes its intervals."""
    always = {"wmarks_high": 1000, "wmarks_mid": 1000, "wmarks_low": 0}
    backend = SimBackend(machine(memory_bytes=MEMORY), Pace("time", prefault=True))
    found = {}
    for name, value in (
        ("reclaim", Reclaim(min_age=1_000_000, quota_ms=0, quota_sz=1 << 30, **always).kdamonds()),
        ("lru_sort", LruSort(cold_min_age=1_000_000, quota_ms=0, **always).kdamonds()),
        ("stat", stat()),
    ):
        with backend.start(WORKLOAD, value, 1) as session:
            found[name] = session.finish()
    assert found["reclaim"].swap_out_bytes > 3 << 20  # 15 MiB in the mean over seeds, 4 to 28
    hot, cold = found["lru_sort"].scheme_stats
    assert hot.sz_applied > 10 << 20 and cold.sz_applied > 10 << 20
    assert found["stat"].applied.context.intervals.sample_us > 5_000


@pytest.mark.parametrize(("kernel", "regions"), [("7.0", 1), ("7.1", 10)])
def test_older_kernels_begin_with_the_regions_that_are_given(kernel: str, regions: int) -> None:
    value = Kdamonds((Kdamond((Context(ops="paddr"),)),))
    with SimBackend(machine(memory_bytes=MEMORY, kernel=kernel)).start(WORKLOAD, value, 1) as session:
        assert session.snapshot().start.size == regions
