"""Several targets in one context, regions that are given to them, address units, and commits that change targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import Quotas
from damoos.damon.schemes import ANYTHING, U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme
from damoos.errors import KdamondsError
from damoos.sim import regions, schemes
from damoos.sim.backend import SimBackend
from damoos.sim.jit import callable_kernel
from damoos.sim.layout import SPAN, lay_out
from damoos.sim.session import SimSession
from damoos.sim.state import CORE_PAGE, NOW, NR_AGGREGATIONS, PASSED, ST_SNAPSHOTS, ST_SZ_TRIED
from damoos.sim.tables import NOWHERE, Q_RESUME
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import Pace

from .memory_states import machine
from .states import rows_of, state_of

apply_schemes = callable_kernel(schemes.apply_schemes)
merge_regions = callable_kernel(regions.merge_regions)
sampled_end = callable_kernel(regions.sampled_end)
MIB = 1 << 20
MEMORY = 512 * MIB
WORKLOAD = MasimWorkload(
    "two",
    (Region("used", 20 * MIB), Region("idle", 40 * MIB)),
    (Phase("p", 6000, (Pattern("used", False, 4096, 1),)),),
)
LAYOUT = lay_out(WORKLOAD)
USED, IDLE = (LAYOUT.areas[a] for a in LAYOUT.region_area)
STAT = Scheme(Action.STAT, ANYTHING)
COLD = AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(5, U32_MAX))


def part(start: int, end: int) -> AddressRange:
    """Pages of the workload as addresses."""
    return AddressRange(LAYOUT.base_address + start * 4096, LAYOUT.base_address + end * 4096)


def context(ops: str, *regions: Sequence[AddressRange], scheme: Scheme = STAT, **more: object) -> Context:
    return Context(ops=ops, targets=tuple(Target(regions=tuple(r)) for r in regions), schemes=(scheme,), **more)  # type: ignore[arg-type]


def start(asked: Context, seed: int = 1, **changes: object) -> SimSession:
    backend = SimBackend(machine(memory_bytes=MEMORY, **changes), Pace("time", prefault=True))
    return backend.start(WORKLOAD, Kdamonds((Kdamond((asked,)),)), seed)


def spans(session: SimSession) -> list[tuple[int, int, int]]:
    """(target, first byte, end) of each adjoining run of regions."""
    seen, found = session.snapshot(), []
    for t, lo, hi in zip(seen.target.tolist(), seen.start.tolist(), seen.end.tolist(), strict=True):
        if found and found[-1][0] == t and found[-1][2] == lo:
            found[-1] = (t, found[-1][1], hi)
        else:
            found.append((t, lo, hi))
    return found


def three(target: int) -> list[tuple[int, int, int]]:
    with start(Context(schemes=(STAT,))) as session:
        return [(target, lo, hi) for _, lo, hi in spans(session)]


def test_each_target_has_regions_of_its_own() -> None:
    two = (part(USED.start, USED.end), part(IDLE.start, IDLE.end))
    with start(context("fvaddr", two[:1], two[1:], nr_regions=NrRegions(12, 100))) as session:
        session.advance(1.0)
        seen = session.snapshot()
        assert spans(session) == [(0, two[0].start, two[0].end), (1, two[1].start, two[1].end)]
        assert (seen.nr_accesses[seen.target == 0] >= 19).all() and (seen.nr_accesses[seen.target == 1] == 0).all()
        # The limits are for all targets together: each region has at most a twelfth of 60 MiB.
        assert (seen.end - seen.start <= 5 * MIB).all()
        assert session.stats()[0].nr_snapshots == 2 * int(session.state.n[NR_AGGREGATIONS])


def test_targets_of_vaddr_follow_the_mappings_each() -> None:
    with start(Context(targets=(Target(), Target()), schemes=(STAT,))) as session:
        session.advance(2.0)
        assert spans(session) == three(0) + three(1)


def test_what_a_target_of_vaddr_is_given_lasts_until_the_first_update() -> None:
    given = part(USED.start, USED.start + 100)
    asked = context("vaddr", [given], intervals=Intervals(ops_update_us=1_000_000))
    with start(asked) as session:
        session.advance(0.5)
        assert spans(session) == [(0, given.start, given.end)]
        session.advance(1.0)
        assert spans(session) == three(0)


def test_old_kernels_cut_each_target_by_its_own_size() -> None:
    asked = Context(targets=(Target(), Target(regions=(part(0, 1000),))), nr_regions=NrRegions(10, 1000))
    with start(asked, kernel="7.0") as session:
        seen = session.snapshot()
        # Ranges of 419, 15,872 and 33,287 pages make 0, 3 and 6 pieces of a tenth; what was given stays whole.
        sizes = [hi - lo for _, lo, hi in three(0)]
        cut = sum(max(1, size // (sum(sizes) // 10)) for size in sizes)
        assert np.bincount(seen.target).tolist() == [cut, 1]


def test_neighbours_of_two_targets_are_never_joined() -> None:
    state, handle = state_of([(0, 10, 5, 5, 1), (10, 20, 5, 5, 1), (SPAN, SPAN + 10, 5, 5, 1)], targets=2)
    merge_regions(handle)
    assert [row[:2] for row in rows_of(state)] == [(0, 20), (SPAN, SPAN + 10)]


class Passes:
    """Passes of one scheme over four pages of each of two targets."""

    def __init__(self, scheme: Scheme, kernel: str = "7.3") -> None:
        self.state, self.handle = state_of([(0, 4), (SPAN, SPAN + 4)], schemes=[scheme], kernel=kernel, targets=2)

    def apply(self) -> tuple[int, int]:
        """(pages tried, page to resume at)"""
        before = self.state.stats[0].copy()
        apply_schemes(self.handle)
        self.state.n[PASSED] += 20
        self.state.f[NOW] += 20_000.0
        at = int(self.state.quota[0, Q_RESUME])
        return int((self.state.stats[0] - before)[ST_SZ_TRIED]) // 4096, -1 if at == NOWHERE else at


TWO_PAGES = Scheme(Action.STAT, ANYTHING, quotas=Quotas(bytes=2 * 4096, reset_interval_ms=1))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        # What is left of a target's last region is applied; then the next target's turn comes.
        ("7.3", [(2, 2), (2, 4), (2, SPAN + 2), (2, SPAN + 4), (0, -1), (2, 2)]),
        # The last region of the target to resume in is skipped, and what was cut of it stays cut.
        ("7.1", [(2, 2), (2, SPAN + 2), (0, -1), (2, 2)]),
    ],
)
def test_a_quota_resumes_in_the_target_where_it_ended(kernel: str, expected: list[tuple[int, int]]) -> None:
    passes = Passes(TWO_PAGES, kernel)
    assert [passes.apply() for _ in expected] == expected


def test_a_snapshot_is_counted_for_each_target() -> None:
    for scheme in (STAT, dataclasses.replace(STAT, access_pattern=AccessPattern.of(age=("9 s", "max"))), TWO_PAGES):
        passes = Passes(scheme)
        passes.apply()
        # With the quota used up in the first target nothing gets to the end of the second.
        assert passes.state.stats[0, ST_SNAPSHOTS] == (1 if scheme is TWO_PAGES else 2) - (scheme is TWO_PAGES)
    passes = Passes(dataclasses.replace(STAT, max_nr_snapshots=1))
    assert passes.apply() == (4, -1) and passes.apply() == (0, -1)


@pytest.mark.parametrize(
    ("entry", "pages"),
    [
        (Filter("target", True, True, damon_target_idx=1), 4),
        (Filter("target", True, True, damon_target_idx=2), 0),
        (Filter("target", False, True, damon_target_idx=2), 8),
        # Addresses are those of each target's own address space.
        (Filter("addr", True, True, addr_start=4096, addr_end=3 * 4096), 4),
    ],
)
def test_core_filters_know_targets_and_their_addresses(entry: Filter, pages: int) -> None:
    assert Passes(dataclasses.replace(STAT, core_filters=(entry,))).apply()[0] == pages


def test_actions_reach_the_process_from_each_target() -> None:
    idle = (part(IDLE.start, IDLE.end),)
    for first in ((part(USED.start, USED.end),), idle):
        asked = context("fvaddr", first, idle, scheme=Scheme(Action.PAGEOUT, COLD))
        with start(asked) as session:
            session.advance(2.0)
            assert session.advance(0.5).swap_bytes[-1] == 40 * MIB
            tried = session.stats()[0]
            assert tried.sz_tried >= 40 * MIB and tried.sz_applied == tried.sz_tried


def test_a_commit_adds_and_removes_targets_by_index() -> None:
    used, idle = part(USED.start, USED.end), part(IDLE.start, IDLE.end)
    value = Kdamonds((Kdamond((context("fvaddr", [used], [idle]),)),))

    def commit(*targets: Target) -> None:
        session.commit(value.with_context(dataclasses.replace(value.context, targets=targets)))

    with start(value.context) as session:
        session.advance(2.0)
        before = session.snapshot()
        commit(Target(obsolete=True), Target())
        after = session.snapshot()
        assert spans(session) == [(0, idle.start, idle.end)]
        assert after.age.tolist() == before.age[before.target == 1].tolist()
        # Given regions are what those of a target are fitted to, without any they stay; new ones are added behind.
        smaller = AddressRange(idle.start + 5 * MIB, idle.end)
        commit(Target(regions=(smaller,)), Target(regions=(used,)))
        assert spans(session) == [(0, smaller.start, smaller.end), (1, used.start, used.end)]
        session.advance(1.0)
        assert session.snapshot().age.max() >= 25
        commit(Target())
        assert spans(session) == [(0, smaller.start, smaller.end)]
        with pytest.raises(KdamondsError, match="no such target.*-EINVAL"):
            commit(Target(), Target(obsolete=True))
        assert session.finish().runtime_s == pytest.approx(6.0, abs=0.3)


def test_a_new_target_of_vaddr_is_monitored_from_the_next_update_on() -> None:
    value = Kdamonds((Kdamond((Context(schemes=(STAT,), intervals=Intervals(ops_update_us=1_000_000)),)),))
    with start(value.context) as session:
        session.advance(0.5)
        session.commit(value.with_context(dataclasses.replace(value.context, targets=(Target(), Target()))))
        assert {t for t, _, _ in spans(session)} == {0}
        session.advance(1.0)
        assert spans(session) == three(0) + three(1)


def test_a_quota_forgets_a_target_that_is_gone() -> None:
    used, idle = part(USED.start, USED.end), part(IDLE.start, IDLE.end)
    scheme = dataclasses.replace(TWO_PAGES, quotas=Quotas(bytes=25 * MIB, reset_interval_ms=100))
    value = Kdamonds((Kdamond((context("fvaddr", [used], [idle], scheme=scheme),)),))
    for targets, where in (((Target(obsolete=True), Target()), 0), ((Target(), Target(obsolete=True)), None)):
        with start(value.context) as session:
            while session.state.quota[0, Q_RESUME] < SPAN // 2:
                session.advance(0.1)
            at = int(session.state.quota[0, Q_RESUME])
            session.commit(value.with_context(dataclasses.replace(value.context, targets=targets)))
            assert session.state.quota[0, Q_RESUME] == (NOWHERE if where is None else at - SPAN)


def test_an_address_unit_changes_what_numbers_mean_and_nothing_else() -> None:
    # Memory above 1 MiB in 16 equal parts of whole pages, so that limits come out the same.
    limits = NrRegions(16, 200)
    found = []
    for unit in (1, 64, 4096):
        pattern = AccessPattern(Range(MIB // unit, U64_MAX), Range(0, 0), Range(5, U32_MAX))
        quotas = Quotas(bytes=64 * MIB // unit, reset_interval_ms=200)
        keep = Filter("addr", True, False, addr_start=0, addr_end=100 * MIB // unit)
        scheme = Scheme(Action.PAGEOUT, pattern, quotas=quotas, core_filters=(keep,))
        given = [AddressRange(MIB // unit, MEMORY // unit)]
        with start(context("paddr", given, scheme=scheme, nr_regions=limits, addr_unit=unit)) as session:
            result = session.finish()
        found.append((result.scheme_stats, result.samples.swap_bytes.tolist()))
    assert found[0] == found[1] == found[2]
    assert found[0][0][0].sz_applied > 8 * MIB


def test_a_time_quota_starts_from_core_addresses() -> None:
    scheme = Scheme(Action.STAT, ANYTHING, quotas=Quotas(ms=1))
    with (
        start(Context(ops="paddr", schemes=(scheme,))) as plain,
        start(Context(ops="paddr", addr_unit=16, schemes=(scheme,))) as coarse,
    ):
        for session in (plain, coarse):
            session.advance(0.15)
        assert plain.stats()[0].effective_bytes == 4096 * 1024
        assert coarse.stats()[0].effective_bytes == 16 * 4096 * 1024


@pytest.mark.parametrize(
    ("kernel", "unit", "gib", "sampled"),
    [("7.3", 1, 6, 6), ("7.1", 1, 6, 2), ("6.12", 1, 4, 4), ("7.1", 1, 8, 4), ("7.1", 16, 6, 6), ("7.1", 16, 65, 1)],
)
def test_older_kernels_sample_large_regions_at_their_start_only(kernel: str, unit: int, gib: int, sampled: int) -> None:
    state, handle = state_of([(0, 10)], kernel=kernel)
    state.n[CORE_PAGE] = 4096 // unit
    assert sampled_end(handle, 7, 7 + (gib << 18)) == 7 + (sampled << 18)


def test_what_lies_above_4_gib_in_a_region_looks_idle_to_older_kernels() -> None:
    below = AddressRange(LAYOUT.base_address + USED.end * 4096 - (6 << 30), LAYOUT.base_address + USED.end * 4096)
    seen = {}
    for kernel in ("7.0", "7.3"):
        # One region of 6 GiB whose last 20 MiB are used all the time: 1 of 300 checks hits.
        asked = context("fvaddr", [below], nr_regions=NrRegions(3, 4), intervals=Intervals(1000, 10_000_000))
        with start(asked, kernel=kernel) as session:
            session.advance(4.0)
            seen[kernel] = int(session.snapshot().nr_accesses.sum())
    assert seen["7.0"] == 0 < seen["7.3"]
