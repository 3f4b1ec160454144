"""What we know about DAMON's sysfs against the kernels themselves, in QEMU."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.features import FIRST_KERNEL, kernel_version, missing_on
from damoos.damon.filters import Filter, Probe, ProbeFilter
from damoos.damon.kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import Dest, QuotaGoal, Quotas, Watermarks, Weights
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Range, Scheme
from damoos.errors import BackendError, DamonInUseError, DamoosError, HostError, KdamondsError
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.features import probe
from damoos.kernel.guards import refuse_if_used
from damoos.kernel.host import read_tree
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.journal import JournalingHost, restore
from damoos.kernel.readings import read_effective_bytes, read_snapshot, read_stats, read_tuned_intervals
from damoos.ops.doctor import Verdict, examine
from damoos.ops.sites import VmSite
from damoos.units import U32_MAX, U64_MAX

pytestmark = pytest.mark.kernel

MIB = 1 << 20
FAST = Intervals(sample_us=5_000, aggr_us=100_000, ops_update_us=1_000_000)
WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)
RECLAIM = Scheme(
    action=Action.PAGEOUT,
    access_pattern=AccessPattern(sz=Range(4096, U64_MAX), nr_accesses=Range(0, 0), age=Range(5, U32_MAX)),
)
PLAIN = Kdamonds.of(FAST, NrRegions(10, 100), [WATCH])
# 8 MiB always in use, 16 MiB touched once.
HOT_AND_IDLE = """
import mmap
hot, idle = mmap.mmap(-1, 8 << 20), mmap.mmap(-1, 16 << 20)
for area in (hot, idle):
    for at in range(0, len(area), 4096): area[at] = 1
print("touched", flush=True)
while True:
    for at in range(0, len(hot), 4096): hot[at] = 1
"""


def series(vm: VmHost) -> str:
    return vm.name.removeprefix("vm:")


def tree_of(vm: VmHost) -> dict[str, str]:
    return read_tree(vm, abi.KDAMONDS)


def rss_bytes(vm: VmHost, pid: int) -> int:
    line = next(line for line in vm.read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def let_pass(vm: VmHost, seconds: float) -> None:
    assert vm.run(["sleep", str(seconds)]).status == 0


@pytest.fixture
def control(vm: VmHost) -> Iterator[Control]:
    """A Control of a free guest, which is as before afterwards."""
    before = tree_of(vm)
    control = Control(vm, probe(vm, scratch=True).files)
    yield control
    for number in range(int(vm.read(f"{abi.KDAMONDS}/nr_kdamonds"))):
        control.turn_off(number)
    vm.write(f"{abi.KDAMONDS}/nr_kdamonds", "0")
    assert tree_of(vm) == before


@contextmanager
def workload(vm: VmHost) -> Iterator[int]:
    """A process whose memory is hot and idle; its pid in the guest."""
    with vm.stream(["python3", "-I", "-S", "-c", HOT_AND_IDLE]) as stream:
        with subprocess.Popen(stream.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe:
            assert pipe.stdout is not None and pipe.stdout.readline() == b"touched\n"
            try:
                yield stream.pid
            finally:
                pipe.kill()


def everything(kernel: str) -> Kdamonds:
    """Something other than the default in every field that this kernel has."""
    scheme = Scheme(
        action=Action.MIGRATE_COLD,
        access_pattern=AccessPattern(Range(4096, U64_MAX), Range(0, 3), Range(7, U32_MAX)),
        apply_interval_us=1_000_000,
        target_nid=1,
        dests=(Dest(0, 3), Dest(1, U32_MAX)),
        quotas=Quotas(
            ms=10,
            bytes=U64_MAX,
            reset_interval_ms=1_000,
            weights=Weights(1, 20, 300),
            goals=(
                QuotaGoal("some_mem_psi_us", 1_000, 5),
                QuotaGoal("node_memcg_used_bp", 1_000, nid=1, path="/a group"),
                QuotaGoal("node_eligible_mem_bp", 10_000, nid=1),
            ),
            goal_tuner="temporal",
            fail_charge_num=1,
            fail_charge_denom=10,
        ),
        watermarks=Watermarks("free_mem_rate", 5_000_000, 500, 400, 50),
        core_filters=(Filter("addr", True, True, addr_start=4096, addr_end=1 << 40), Filter("target")),
        ops_filters=tuple(
            [Filter("memcg", True, True, memcg_path="/a group"), Filter("hugepage_size", min=1, max=2 * MIB)]
            + [Filter(kind, matching=True) for kind in ("anon", "active", "young", "unmapped")]
        ),
        max_nr_snapshots=9,
    )
    context = Context(
        ops="paddr",
        addr_unit=4096,
        pause=True,
        intervals=Intervals(6_000, 120_000, 2_000_000, IntervalsGoal(400, 3, 5_000, 10_000_000)),
        nr_regions=NrRegions(11, 999),
        probes=(Probe(7, (ProbeFilter("memcg", True, True, "/a group"),)), Probe()),
        targets=(Target(None, (AddressRange(4096, 8192), AddressRange(12288, 1 << 40)), obsolete=True),),
        schemes=(scheme, WATCH),
    )
    asked = Kdamonds((Kdamond((context,), refresh_ms=250),))
    return asked if kernel == "7.3" else without(asked, kernel)


def without(asked: Kdamonds, kernel: str) -> Kdamonds:
    """`asked` without what came after `kernel`, 6.12."""
    context, (scheme, *rest) = asked.context, asked.context.schemes
    core, ops = (
        tuple(
            dataclasses.replace(f, allow=False)
            for f in filters
            if kernel_version(FIRST_KERNEL.get(f"filters.type={f.type}", "5.18")) <= kernel_version(kernel)
        )
        for filters in (scheme.core_filters, scheme.ops_filters)
    )
    quotas = dataclasses.replace(
        scheme.quotas, goals=scheme.quotas.goals[:1], goal_tuner="consist", fail_charge_num=0, fail_charge_denom=0
    )
    scheme = dataclasses.replace(
        scheme, dests=(), quotas=quotas, core_filters=core, ops_filters=ops, max_nr_snapshots=0
    )
    targets = tuple(dataclasses.replace(target, obsolete=False) for target in context.targets)
    intervals = dataclasses.replace(context.intervals, intervals_goal=IntervalsGoal())
    context = dataclasses.replace(
        context, addr_unit=1, pause=False, intervals=intervals, probes=(), targets=targets, schemes=(scheme, *rest)
    )
    return Kdamonds((Kdamond((context,)),))


def test_probing_finds_what_the_version_should_have_and_leaves_no_trace(vm: VmHost) -> None:
    before = tree_of(vm)
    found = probe(vm, scratch=True)
    assert tree_of(vm) == before
    assert found.files == abi.files_of(series(vm)) and found.tried
    later = {name for name, since in FIRST_KERNEL.items() if kernel_version(since) > kernel_version(series(vm))}
    assert set(found.missing) == later
    assert found == dataclasses.replace(probe(vm, scratch=False), tried=True, assumed=found.assumed, words=found.words)


def test_every_field_is_staged_and_read_back(vm: VmHost, control: Control) -> None:
    asked = everything(series(vm))
    assert missing_on(asked, series(vm)) == []
    applied = control.stage(asked)
    assert applied.differences == () and applied.applied == asked
    assert control.stage(asked).writes == ()
    back = control.stage(PLAIN, [1])
    assert back.differences == ()


def test_what_came_later_is_refused_with_its_field(vm: VmHost, control: Control) -> None:
    if series(vm) == "7.3":
        pytest.skip("the newest kernel has it all")
    with pytest.raises(KdamondsError, match="from Linux"):
        control.stage(everything("7.3"))
    with pytest.raises(KdamondsError, match=r"action.*refuses it"):
        control.stage(PLAIN.with_schemes([dataclasses.replace(WATCH, action=Action.COLLAPSE)]), [1])


def test_hot_memory_is_found_and_idle_memory_paged_out(vm: VmHost, control: Control) -> None:
    with workload(vm) as pid:
        before = rss_bytes(vm, pid)
        control.stage(PLAIN, [pid])
        kdamond = control.turn_on()
        assert vm.read(f"/proc/{kdamond}/comm").startswith("kdamond")
        with pytest.raises(DamonInUseError, match=str(kdamond)):
            refuse_if_used(vm)
        let_pass(vm, 3)
        snapshot = read_snapshot(control, 3.0)
        assert (snapshot.start[1:] >= snapshot.end[:-1]).all() and snapshot.sample_us == 5_000
        sizes = snapshot.end - snapshot.start
        hot = int(sizes[snapshot.nr_accesses >= 10].sum())
        assert 6 * MIB < hot < 12 * MIB
        assert snapshot.age[snapshot.nr_accesses == 0].max() >= 10
        assert read_stats(control)[0].nr_tried > 0
        applied = control.commit(PLAIN.with_schemes([WATCH, RECLAIM]), [pid])
        assert applied.differences == () and control.pid() == kdamond
        let_pass(vm, 3)
        assert rss_bytes(vm, pid) < before - 12 * MIB
        stats = read_stats(control)
        assert len(stats) == 2 and stats[1].sz_applied > 12 * MIB
        control.turn_off()
        control.turn_off()
        assert not control.is_on() and control.pid() == -1
        with pytest.raises(BackendError, match="has ended"):
            read_stats(control)


def test_a_quota_limits_and_is_reported(vm: VmHost, control: Control) -> None:
    quota = Quotas(bytes=MIB, reset_interval_ms=1_000)
    with workload(vm) as pid:
        control.stage(PLAIN.with_schemes([dataclasses.replace(RECLAIM, quotas=quota)]), [pid])
        control.turn_on()
        let_pass(vm, 4)
        assert read_effective_bytes(control) == (MIB,)
        stats = read_stats(control)[0]
        assert stats.sz_applied > 0 and stats.qt_exceeds > 0
        # 6.12 starts without a limit: its first reset interval takes all that is idle.
        assert series(vm) == "6.12" or stats.sz_applied < 10 * MIB


def test_goals_are_fed_while_running(vm: VmHost, control: Control) -> None:
    goal = QuotaGoal("user_input", target_value=1_000, current_value=100)
    quota = Quotas(bytes=8 * MIB, reset_interval_ms=200, goals=(goal,))
    with workload(vm) as pid:
        control.stage(PLAIN.with_schemes([dataclasses.replace(RECLAIM, quotas=quota)]), [pid])
        control.turn_on()
        let_pass(vm, 2)
        grown = read_effective_bytes(control)[0]
        control.commit_goals([1_900])
        let_pass(vm, 2)
        assert read_effective_bytes(control)[0] < grown
        assert control.read_back().context.schemes[0].quotas.goals[0].current_value == 1_900


def test_tuned_intervals_are_kept_over_a_commit(vm: VmHost, control: Control) -> None:
    if series(vm) == "6.12":
        pytest.skip("from 6.15 on")
    goal = IntervalsGoal(access_bp=9_000, aggrs=3, min_sample_us=5_000, max_sample_us=100_000)
    asked = Kdamonds.of(dataclasses.replace(FAST, intervals_goal=goal), NrRegions(10, 100), [WATCH])
    with workload(vm) as pid:
        control.stage(asked, [pid])
        control.turn_on()
        let_pass(vm, 3)
        sample_us, aggr_us = read_tuned_intervals(control)
        assert sample_us > 5_000 and aggr_us == 20 * sample_us
        applied = control.commit(asked.with_schemes([WATCH, RECLAIM]), [pid])
        assert applied.applied.context.intervals.sample_us >= sample_us and applied.differences == ()
        assert read_tuned_intervals(control)[0] >= sample_us


def test_a_refused_commit_leaves_everything_as_it_was(vm: VmHost, control: Control) -> None:
    with workload(vm) as pid:
        control.stage(PLAIN, [pid])
        kdamond = control.turn_on()
        before = control.inputs()
        with pytest.raises(KdamondsError):
            control.commit(Kdamonds.of(Intervals(200_000, 100_000)), [pid])
        assert control.inputs() == before and control.pid() == kdamond
        # No process has this pid: 7.3 refuses, 6.12 says yes and ends.
        with pytest.raises(DamoosError):
            control.commit(PLAIN, [99_999])
        if series(vm) == "7.3":
            assert control.inputs() == before and control.pid() == kdamond
        else:
            assert not control.is_on()


def test_the_end_of_the_target_ends_its_kdamond(vm: VmHost, control: Control) -> None:
    with workload(vm) as pid:
        control.stage(PLAIN, [pid])
        control.turn_on()
    let_pass(vm, 2)
    assert not control.is_on()
    with pytest.raises(BackendError, match="has ended"):
        read_snapshot(control, 0.0)
    with pytest.raises(BackendError, match="has ended"):
        control.commit(PLAIN, [pid])
    with pytest.raises(BackendError, match="process may have ended"):
        control.turn_on()


def test_a_lock_that_a_command_holds_is_waited_for(vm: VmHost, control: Control) -> None:
    slow = dataclasses.replace(WATCH, apply_interval_us=3_000_000)
    state = f"{abi.KDAMONDS}/0/state"
    with workload(vm) as pid:
        control.stage(PLAIN.with_schemes([slow]), [pid])
        control.turn_on()
        ask = f"setsid sh -c 'echo update_schemes_tried_regions > {state}' > /dev/null 2>&1 &"
        vm.run(["sh", "-c", f"{ask} sleep 0.2"])
        with pytest.raises(HostError) as busy:
            vm.read(state)
        assert busy.value.errno == errno.EBUSY
        let_pass(vm, 2)  # or waiting takes longer here, where time passes only while somebody asks, than it is waited
        assert control.is_on()
        # Kernel: 6.12 hangs for ever if folders are removed before that command has noticed that it is done.
        let_pass(vm, 0.5)
        assert "update_schemes" not in vm.run(["ps"]).out.decode()


@pytest.mark.parametrize("module", ["damon_stat", "damon_reclaim", "damon_lru_sort"])
def test_another_user_is_named_and_left_alone(vm: VmHost, module: str) -> None:
    switch = f"/sys/module/{module}/parameters/enabled"
    if not vm.exists(switch):
        pytest.skip(f"no {module}")
    vm.write(switch, "Y")
    try:
        before = tree_of(vm)
        with pytest.raises(DamonInUseError, match=rf"{module.upper()}.*echo N > {switch}"):
            refuse_if_used(vm)
        diagnosis = examine(VmSite(vm, vm.name), try_words=True)
        assert not diagnosis.ready and any(f.fix == f"echo N > {switch}" for f in diagnosis.findings)
        assert tree_of(vm) == before and vm.read(switch) == "Y"
    finally:
        vm.write(switch, "N")
    refuse_if_used(vm)


def test_the_doctor_finds_a_guest_ready(vm: VmHost) -> None:
    before = tree_of(vm)
    diagnosis = examine(VmSite(vm, vm.name), try_words=True)
    assert diagnosis.ready, diagnosis
    assert {f.name for f in diagnosis.findings if f.verdict is Verdict.OK} >= {"swap", "pressure", "vaddr", "paddr"}
    assert tree_of(vm) == before


@pytest.mark.parametrize("somebodys", [False, True], ids=["nothing staged", "somebody's staged"])
def test_what_a_dead_controller_left_is_undone(vm: VmHost, control: Control, somebodys: bool, tmp_path: Path) -> None:
    journal, thp = tmp_path / "journal", "/sys/kernel/mm/transparent_hugepage/enabled"
    policy = vm.read(thp)
    if somebodys:
        control.stage(everything(series(vm)))
    before = tree_of(vm)
    with workload(vm) as pid:
        journaled = JournalingHost(vm, journal)
        journaled.write(thp, "never")
        ours = Control(journaled, control.files)
        ours.stage(PLAIN, [pid])
        ours.turn_on()
        let_pass(vm, 1)
        read_snapshot(ours, 1.0)
        ours.commit(PLAIN.with_schemes([WATCH, RECLAIM]), [pid])
        assert vm.read(thp) != policy
        assert restore(vm, journal).stopped == (0,)
    assert tree_of(vm) == before and vm.read(thp) == policy
    assert not journal.exists()
