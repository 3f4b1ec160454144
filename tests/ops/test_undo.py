"""What a damoos or its agent left is undone, and nothing of anybody else's."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from damoos.damon.attrs import Intervals, IntervalsGoal
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.errors import BackendError, DamonInUseError
from damoos.kernel import abi
from damoos.kernel.abi import KDAMONDS
from damoos.kernel.control import Control
from damoos.kernel.guards import HostLock, lock_path
from damoos.kernel.journal import BOOT_ID, JournalingHost, agent_journal_path, journal_path, staged_since
from damoos.kernel.link import AgentHost, AgentLink, agent_argv
from damoos.kernel.patience import Patience
from damoos.ops.sites import LocalSite
from damoos.ops.undo import undo
from tests.kernel.fake import FakeTree, plant

QUICK = Patience(0.05, 0.0)
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
SWAPPINESS = "/proc/sys/vm/swappiness"
STATE = f"{KDAMONDS}/0/state"
SAMPLE = f"{KDAMONDS}/0/contexts/0/monitoring_attrs/intervals/sample_us"


def left(root: Path, host: FakeTree, kdamonds: Kdamonds | None = None) -> Control:
    """A Control that has staged and started something, and whose owner is taken to be dead."""
    control = Control(JournalingHost(host, journal_path(root), QUICK), abi.files_of("7.3"), QUICK)
    control.stage(kdamonds or Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT]), [100])
    control.turn_on()
    return control


def files_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    host = FakeTree("7.3")
    # An agent asks this machine itself which boot it is.
    host.files |= {THP: "always [madvise] never", SWAPPINESS: "60", BOOT_ID: Path(BOOT_ID).read_text().strip()}
    plant(host, tmp_path)
    return tmp_path


def killed_agent(root: Path, *writes: tuple[str, str]) -> None:
    """An agent that writes, and is then killed with -9."""
    link = AgentLink(agent_argv(str(root), str(agent_journal_path(root)), lock=str(lock_path(root))))
    try:
        for path, value in writes:
            AgentHost(link, "host").write(path, value)
        with pytest.raises(DamonInUseError, match=f"pid {link.hello['pid']}"):
            undo(LocalSite(root))
        os.kill(link.hello["pid"], signal.SIGKILL)
    finally:
        link.abandon()


# --- a journal of our own


def test_what_was_staged_since_is_not_thrown_away(tmp_path: Path) -> None:
    host = FakeTree("7.3")
    before = dict(host.files)
    left(tmp_path, host)
    host.write(STATE, "off")
    host.write(SAMPLE, "7000")
    host.write(f"{KDAMONDS}/0/contexts/0/schemes/0/quotas/goals/nr_goals", "1")
    staged, written = dict(host.files), len(host.writes)
    with pytest.raises(DamonInUseError, match=f"{SAMPLE}: '5000' then, '7000' now; .*nr_goals: '0' then, '1' now") as e:
        undo(LocalSite(tmp_path, host), patience=QUICK)
    assert "--restore-anyway" in str(e.value) and e.value.exit_code == 2
    assert host.files == staged and len(host.writes) == written and journal_path(tmp_path).exists()
    undo(LocalSite(tmp_path, host), anyway=True, patience=QUICK)
    assert host.files == before and not journal_path(tmp_path).exists()


def test_folders_made_anew_since_are_told(tmp_path: Path) -> None:
    host = FakeTree("7.3")
    left(tmp_path, host)
    host.write(STATE, "off")
    host.write(f"{KDAMONDS}/nr_kdamonds", "2")
    found = {each.field: (each.asked, each.applied) for each in staged_since(host, journal_path(tmp_path))}
    assert found[f"{KDAMONDS}/nr_kdamonds"] == ("1", "2")
    assert found[f"{KDAMONDS}/0/contexts/0/schemes/0/action"] == ("pageout", None)
    with pytest.raises(DamonInUseError, match=r"and \d+ more"):
        undo(LocalSite(tmp_path, host), patience=QUICK)


def test_what_the_kernel_tuned_is_nobodys(tmp_path: Path) -> None:
    host = FakeTree("7.3", tuned=(9_000, 180_000))
    goal = IntervalsGoal(access_bp=400, aggrs=3, min_sample_us=5_000, max_sample_us=10_000_000)
    control = left(tmp_path, host, Kdamonds.of(Intervals(5_000, 100_000, intervals_goal=goal)))
    control.command("update_tuned_intervals")
    assert host.files[SAMPLE] == "9000" and staged_since(host, journal_path(tmp_path)) == ()


def test_undoing_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeTree("7.3")
    Control(host, abi.files_of("7.3"), QUICK).stage(Kdamonds.of(Intervals(7_000, 140_000)), [200])
    before = dict(host.files)
    left(tmp_path, host)
    real, written = host.write, len(host.writes)

    def write(path: str, value: str) -> None:
        if len(host.writes) == written + 4:
            raise KeyboardInterrupt
        real(path, value)

    monkeypatch.setattr(host, "write", write)
    with pytest.raises(KeyboardInterrupt):
        undo(LocalSite(tmp_path, host), patience=QUICK)
    monkeypatch.setattr(host, "write", real)
    assert host.files != before
    assert undo(LocalSite(tmp_path, host), patience=QUICK).complete
    assert host.files == before


def test_the_lock_is_respected(tmp_path: Path) -> None:
    host = FakeTree("7.3")
    left(tmp_path, host)
    with HostLock(lock_path(tmp_path)), pytest.raises(DamonInUseError, match="another damoos"):
        undo(LocalSite(tmp_path, host), patience=QUICK)


# --- an agent's journal


def test_what_a_killed_agent_left_is_undone(root: Path) -> None:
    (root / STATE[1:]).parent.mkdir()
    (root / STATE[1:]).write_text("off\n")
    before = files_of(root)
    killed_agent(root, (f"{KDAMONDS}/nr_kdamonds", "1"), (SWAPPINESS, "10"))
    undone = undo(LocalSite(root))
    assert undone.agent is not None and undone.complete
    assert set(undone.agent.restored) == {f"{KDAMONDS}/nr_kdamonds", SWAPPINESS} and undone.agent.failed == ()
    lock_path(root).unlink()
    assert files_of(root) == before and LocalSite(root).left_over() == ()
    assert undo(LocalSite(root)).agent is None


def test_what_can_not_be_undone_is_told_and_kept(root: Path) -> None:
    # Of a kernel such a file marks the chosen word by itself; one that does not can't be brought back.
    killed_agent(root, (THP, "never"))
    undone = undo(LocalSite(root))
    assert undone.agent is not None and not undone.complete
    assert undone.agent.failed == ((THP, "holds something else"),)
    assert agent_journal_path(root).exists()


def test_a_kdamond_that_no_journal_knows_stops_everything(root: Path) -> None:
    killed_agent(root, (f"{KDAMONDS}/nr_kdamonds", "1"), (SWAPPINESS, "10"))
    folder = root / KDAMONDS[1:] / "0"
    folder.mkdir()
    (folder / "state").write_text("on\n")
    (folder / "pid").write_text("77\n")
    before = files_of(root)
    with pytest.raises(DamonInUseError, match=rf"kdamond 0 .*pid 77.*echo off > {KDAMONDS}/0/state"):
        undo(LocalSite(root), patience=QUICK)
    with agent_journal_path(root).open("a") as journal:
        journal.write(json.dumps({"started": STATE, "pid": 78}) + "\n")
    with pytest.raises(DamonInUseError, match="kdamond 0"):
        undo(LocalSite(root), patience=QUICK)
    assert {path: text for path, text in files_of(root).items() if "/run/" not in str(path)} == {
        path: text for path, text in before.items() if "/run/" not in str(path)
    }


def test_a_journal_of_something_else_is_not_undone(root: Path) -> None:
    agent_journal_path(root).parent.mkdir(parents=True)
    head = {"format": 2, "root": "/elsewhere", "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    agent_journal_path(root).write_text(json.dumps(head) + "\n")
    with pytest.raises(BackendError, match="the agent that undoes refuses: .*this journal is about /elsewhere"):
        undo(LocalSite(root))


def test_both_journals_are_undone_the_newer_first(root: Path) -> None:
    before = (root / SWAPPINESS[1:]).read_text()
    JournalingHost(LocalSite(root).host, journal_path(root)).write(SWAPPINESS, "30")
    killed_agent(root, (SWAPPINESS, "10"))
    undone = undo(LocalSite(root))
    assert undone.own.written == (SWAPPINESS,) and undone.agent is not None
    assert (root / SWAPPINESS[1:]).read_text().strip() == before.strip()
