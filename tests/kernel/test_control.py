"""Staging, starting, committing and reading back, on a tree that answers as real kernels did."""

from __future__ import annotations

import dataclasses
import errno

import pytest

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import QuotaGoal, Quotas
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import BackendError, HostError, KdamondsError
from damoos.kernel import abi
from damoos.kernel.abi import KDAMONDS
from damoos.kernel.control import Control, with_pids
from damoos.kernel.patience import Patience
from damoos.kernel.readings import read_effective_bytes, read_snapshot, read_stats, read_tuned_intervals

from .fake import FakeTree

WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)
PLAIN = Kdamonds.of(schemes=[WATCH])
QUICK = Patience(deadline_s=0.2, pause_s=0.0)
KERNELS = ("6.12", "7.3")


def control_of(host: FakeTree, patience: Patience = QUICK) -> Control:
    return Control(host, abi.files_of(host.kernel), patience)


def running(host: FakeTree, kdamonds: Kdamonds = PLAIN) -> Control:
    control = control_of(host)
    control.stage(kdamonds, [100])
    control.turn_on()
    host.writes.clear()
    return control


@pytest.mark.parametrize("kernel", KERNELS)
def test_staging_reads_back_what_was_asked(kernel: str) -> None:
    goal = QuotaGoal("some_mem_psi_us", 1_500)
    scheme = dataclasses.replace(
        DOCUMENTED_PAGEOUT, quotas=Quotas(ms=10, bytes=1 << 27, reset_interval_ms=1_000, goals=(goal,))
    )
    host = FakeTree(kernel)
    applied = control_of(host).stage(Kdamonds.of(schemes=[scheme, WATCH]), [100])
    assert applied.differences == ()
    assert applied.applied.context.targets == (Target(100),)
    assert applied.applied.context.schemes == (scheme, WATCH)
    assert [(w.path, w.new) for w in applied.writes] == host.writes


def test_what_is_planned_is_what_is_written() -> None:
    host = FakeTree()
    control = control_of(host)
    planned = control.plan(PLAIN, [100])
    assert host.writes == []
    assert control.stage(PLAIN, [100]).writes == planned
    assert control.plan(PLAIN, [100]) == ()


def test_a_kernel_that_keeps_something_else_shows_as_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeTree()
    real = host._checked
    clamp = lambda path, pattern, value: "500" if pattern.endswith("nr_regions/max") else real(path, pattern, value)  # noqa: E731
    monkeypatch.setattr(host, "_checked", clamp)
    found = control_of(host).stage(Kdamonds.of(nr_regions=NrRegions(10, 800)), [100]).differences
    assert [(d.field, d.asked, d.applied) for d in found] == [("kdamonds[0].contexts[0].nr_regions.max", 800, 500)]


def test_pids_go_to_the_targets_that_have_none() -> None:
    context = Context(targets=(Target(), Target(7), Target()))
    filled = with_pids(Kdamonds((Kdamond((context,)),)), [1, 2])
    assert [target.pid for target in filled.context.targets] == [1, 7, 2]
    assert with_pids(Kdamonds.of(ops="paddr"), []) == Kdamonds.of(ops="paddr")
    for pids in ([], [1], [1, 2, 3]):
        with pytest.raises(KdamondsError, match="pids"):
            with_pids(Kdamonds((Kdamond((context,)),)), pids)


def test_a_word_that_the_kernel_does_not_know_is_refused_with_its_field() -> None:
    asked = Kdamonds.of(schemes=[dataclasses.replace(WATCH, action=Action.COLLAPSE)])
    with pytest.raises(KdamondsError, match=r"schemes\[0\]\.action.*'collapse'"):
        control_of(FakeTree("6.12")).stage(asked, [100])


def test_what_any_kernel_would_refuse_is_never_written() -> None:
    host = FakeTree()
    with pytest.raises(KdamondsError):
        control_of(host).stage(Kdamonds.of(Intervals(200_000, 100_000)), [100])
    assert host.writes == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_on_and_off(kernel: str) -> None:
    host = FakeTree(kernel)
    control = control_of(host)
    control.stage(PLAIN, [100])
    assert not control.is_on() and control.pid() == -1
    assert control.turn_on() == control.pid() == 4000
    with pytest.raises(BackendError, match="on already"):
        control.turn_on()
    control.turn_off()
    control.turn_off()
    assert not control.is_on()


def test_why_it_does_not_start() -> None:
    host = FakeTree()
    control = control_of(host)
    control.stage(PLAIN, [999])
    with pytest.raises(BackendError, match="process may have ended"):
        control.turn_on()
    control.stage(PLAIN, [100])
    host.files["/sys/module/damon_stat/parameters/enabled"] = "Y"
    with pytest.raises(BackendError, match="damoos doctor"):
        Control(host, control.files, Patience(0.0)).turn_on()


def test_a_busy_lock_is_waited_for() -> None:
    host = FakeTree()
    control = running(host)
    host.busy = 20
    assert control.is_on()
    host.busy = 20
    control.command("update_schemes_stats")
    host.busy = 20
    control.commit(PLAIN.with_schemes([WATCH, WATCH]), [100])
    assert host.busy == 0


def test_a_lock_that_stays_busy_ends_in_its_error() -> None:
    host = FakeTree()
    running(host)
    host.busy = 10**9
    with pytest.raises(HostError) as caught:
        control_of(host, Patience(0.02, 0.001)).is_on()
    assert caught.value.errno == errno.EBUSY and caught.value.path.endswith("/0/state")


@pytest.mark.parametrize("kernel", KERNELS)
def test_commit_changes_what_differs_and_nothing_else(kernel: str) -> None:
    host = FakeTree(kernel)
    control = running(host)
    asked = Kdamonds.of(Intervals(10_000, 200_000), schemes=[WATCH])
    applied = control.commit(asked, [100])
    assert applied.differences == () and applied.applied.context.intervals == asked.context.intervals
    names = [path.rpartition("/")[2] for path, _ in host.writes]
    assert sorted(names) == ["aggr_us", "sample_us", "state"] and host.writes[-1][1] == "commit"


def test_a_commit_after_another_reads_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeTree("7.3")
    control = running(host)
    first, second = (Kdamonds.of(Intervals(us, 200_000), schemes=[WATCH]) for us in (10_000, 8_000))
    before = control.commit(first, [100])
    host.writes.clear()
    monkeypatch.setattr(control, "inputs", lambda: pytest.fail("reads all files"))
    applied = control.commit(second, [100])
    assert [path.rpartition("/")[2] for path, _ in host.writes] == ["sample_us", "state"]
    assert applied.applied.context.intervals.sample_us == 8_000 and applied.differences == before.differences == ()
    monkeypatch.undo()
    assert control.read_back() == applied.applied


def test_a_commit_of_other_schemes_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeTree("7.3")
    control = running(host)
    control.commit(Kdamonds.of(Intervals(10_000, 200_000), schemes=[WATCH]), [100])
    more = control.commit(Kdamonds.of(Intervals(10_000, 200_000), schemes=[WATCH, DOCUMENTED_PAGEOUT]), [100])
    assert control.read_back() == more.applied and more.differences == ()
    fewer = control.commit(Kdamonds.of(Intervals(9_000, 200_000), schemes=[WATCH]), [100])
    assert control.read_back() == fewer.applied and fewer.differences == ()


def test_commit_to_what_has_ended_says_so() -> None:
    host = FakeTree()
    control = running(host)
    host.target_exits()
    with pytest.raises(BackendError, match="has ended"):
        control.commit(PLAIN, [100])
    assert host.writes == []


def test_the_number_of_kdamonds_stays_while_they_run() -> None:
    host = FakeTree()
    control = running(host)
    with pytest.raises(KdamondsError, match="while they run"):
        control.commit(Kdamonds(PLAIN.kdamonds * 2), [100, 200])


def test_a_refused_commit_leaves_files_and_kdamond_as_they_were() -> None:
    host = FakeTree("7.3")
    control = running(host)
    before = control.inputs()
    with pytest.raises(HostError) as caught:
        control.commit(Kdamonds.of(Intervals(10_000), schemes=[WATCH, WATCH]), [999])
    assert caught.value.errno == errno.EINVAL
    assert control.inputs() == before and control.is_on()


def test_a_commit_that_ends_the_kdamond_is_an_error() -> None:
    control = running(FakeTree("6.12"))
    with pytest.raises(BackendError, match="ended at the commit"):
        control.commit(PLAIN, [999])


def test_tuned_intervals_survive_a_commit_that_does_not_ask_for_others() -> None:
    goal = IntervalsGoal.of()
    tuning = Kdamonds.of(Intervals(5_000, 100_000, intervals_goal=goal), schemes=[WATCH])
    host = FakeTree()
    control = running(host, tuning)
    host.tuned = (40_000, 800_000)
    applied = control.commit(tuning.with_schemes([DOCUMENTED_PAGEOUT]), [100])
    assert applied.differences == ()
    assert applied.applied.context.intervals == Intervals(40_000, 800_000, intervals_goal=goal)
    other = Kdamonds.of(Intervals(10_000, 200_000, intervals_goal=goal), schemes=[WATCH])
    assert control.commit(other, [100]).applied.context.intervals.sample_us == 10_000


def test_goals_are_fed_one_by_one() -> None:
    goals = (QuotaGoal("user_input", 10_000), QuotaGoal("user_input", 50))
    host = FakeTree()
    control = running(host, Kdamonds.of(schemes=[dataclasses.replace(WATCH, quotas=Quotas(goals=goals))]))
    control.commit_goals([7_000, 20])
    folder = f"{KDAMONDS}/0/contexts/0/schemes/0/quotas/goals"
    assert host.writes == [
        (f"{folder}/0/current_value", "7000"),
        (f"{folder}/1/current_value", "20"),
        (f"{KDAMONDS}/0/state", "commit_schemes_quota_goals"),
    ]


def test_a_snapshot_is_sorted_and_in_bytes() -> None:
    # More than ten, so that sorting by name would be wrong.
    regions = [(n * 8192, n * 8192 + 4096, n, 2 * n) for n in reversed(range(12))]
    host = FakeTree(regions=regions)
    snapshot = read_snapshot(running(host), t_s=1.5)
    assert snapshot.t_s == 1.5 and (snapshot.sample_us, snapshot.aggr_us) == (5_000, 100_000)
    assert snapshot.start.tolist() == [n * 8192 for n in range(12)]
    assert snapshot.nr_accesses.tolist() == list(range(12)) and snapshot.age.tolist() == list(range(0, 24, 2))


def test_physical_addresses_are_multiplied_by_their_unit() -> None:
    asked = Kdamonds((Kdamond((Context(ops="paddr", addr_unit=4096, schemes=(WATCH,)),)),))
    host = FakeTree(regions=[(1, 3, 0, 0)], stats={"nr_tried": 2, "sz_tried": 5})
    control = control_of(host)
    control.stage(asked)
    control.turn_on()
    snapshot = read_snapshot(control, 0.0)
    assert (snapshot.start[0], snapshot.end[0]) == (4096, 3 * 4096)
    assert read_stats(control)[0].sz_tried == 5 * 4096 and read_stats(control)[0].nr_tried == 2


def test_an_empty_snapshot_is_empty() -> None:
    assert read_snapshot(running(FakeTree()), 0.0).start.size == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_statistics_of_each_scheme(kernel: str) -> None:
    host = FakeTree(kernel, stats={"nr_tried": 4, "sz_applied": 4096, "qt_exceeds": 1, "nr_snapshots": 9})
    stats = read_stats(running(host, PLAIN.with_schemes([WATCH, WATCH])))
    assert len(stats) == 2
    assert (stats[1].nr_tried, stats[1].sz_applied, stats[1].qt_exceeds) == (4, 4096, 1)
    assert stats[1].nr_snapshots == (9 if kernel == "7.3" else 0)


def test_effective_quotas_and_tuned_intervals() -> None:
    host = FakeTree(effective_bytes=12_345, tuned=(7_000, 140_000))
    control = running(host)
    assert read_effective_bytes(control) == (12_345,)
    assert read_tuned_intervals(control) == (7_000, 140_000)


def test_asking_what_has_ended_or_is_too_old_says_which() -> None:
    host = FakeTree("6.12")
    control = running(host)
    with pytest.raises(BackendError, match=r"from Linux 6\.15 on"):
        read_tuned_intervals(control)
    host.target_exits()
    with pytest.raises(BackendError, match="has ended"):
        read_stats(control)
