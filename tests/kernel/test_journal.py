"""Everything that was changed is undone, wherever the one who changed it died."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from damoos.damon.attrs import Intervals
from damoos.damon.filters import Filter
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import BackendError, DamonInUseError, HostError
from damoos.kernel import abi
from damoos.kernel.abi import KDAMONDS
from damoos.kernel.control import Control
from damoos.kernel.host import LocalHost
from damoos.kernel.journal import JournalingHost, load, restore
from damoos.kernel.patience import Patience

from .fake import FakeTree

QUICK = Patience(0.1, 0.0)
WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)
SOMEBODYS = Kdamonds.of(
    Intervals(7_000, 140_000),
    schemes=[Scheme(access_pattern=ANYTHING, ops_filters=(Filter("memcg", memcg_path="/app"),)), DOCUMENTED_PAGEOUT],
)
THP = "/sys/kernel/mm/transparent_hugepage/enabled"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


class Crash(BaseException):
    """The process is gone: nothing of ours runs any more."""


class CrashingTree(FakeTree):
    """Dies at the write number `at`: before it reaches the kernel, or (`after`) before its answer does."""

    at, after, seen = -1, False, 0

    def write(self, path: str, value: str) -> None:
        number, self.seen = self.seen, self.seen + 1
        if number == self.at and not self.after:
            raise Crash
        super().write(path, value)
        if number == self.at:
            raise Crash


def machine(staged: Kdamonds | None, kernel: str = "7.3") -> CrashingTree:
    """A machine on which somebody has staged something, not running, and where THP shows all its words."""
    host = CrashingTree(kernel, alive={100})
    host.files[THP] = "always [madvise] never"
    if staged is not None:
        Control(host, abi.files_of(kernel), QUICK).stage(staged, [55])
    host.writes.clear()
    host.seen = 0
    return host


def work(host: JournalingHost, kernel: str = "7.3") -> None:
    """What a run does: a setting of the machine, a start, a commit, a stop."""
    host.write(THP, "always")
    control = Control(host, abi.files_of(kernel), QUICK)
    control.stage(Kdamonds.of(schemes=[WATCH]), [100])
    control.turn_on()
    control.command("update_schemes_tried_regions")
    control.commit(Kdamonds.of(schemes=[WATCH, DOCUMENTED_PAGEOUT]), [100])
    host.write(THP, "never")


def state_of(host: FakeTree) -> dict[str, str]:
    return {path: text for path, text in host.files.items() if path != THP}


@pytest.mark.parametrize("staged", [None, SOMEBODYS], ids=["nothing staged", "somebody's staged"])
@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_the_end_of_the_block_undoes_it(staged: Kdamonds | None, kernel: str, tmp_path: Path) -> None:
    host = machine(staged, kernel)
    host.regions = [(0, 4096, 1, 1)]
    before = state_of(host)
    with pytest.raises(RuntimeError), JournalingHost(host, tmp_path / "journal", QUICK) as journaled:
        work(journaled, kernel)
        assert host.running
        raise RuntimeError
    assert state_of(host) == before and not host.running
    assert [value for path, value in host.writes if path == THP] == ["always", "never", "madvise"]
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("staged", [None, SOMEBODYS], ids=["nothing staged", "somebody's staged"])
def test_death_at_any_write_is_undone_by_the_next(staged: Kdamonds | None, after: bool, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    whole = machine(staged)
    work(JournalingHost(whole, tmp_path / "whole", QUICK))
    for at in range(whole.seen):
        host = machine(staged)
        host.at, host.after = at, after
        before = state_of(host)
        with pytest.raises(Crash):
            work(JournalingHost(host, journal, QUICK))
        host.at = -1
        restore(host, journal, QUICK)
        assert state_of(host) == before, at
        assert host.files[THP] in ("madvise", "always [madvise] never"), at
        assert not journal.exists() and not host.running


def test_death_while_undoing_is_undone_by_the_next(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    at = 0
    while True:
        host = machine(SOMEBODYS)
        before = state_of(host)
        work(JournalingHost(host, journal, QUICK))
        host.seen, host.at = 0, at
        try:
            restore(host, journal, QUICK)
        except Crash:
            host.at = -1
            restore(host, journal, QUICK)
        assert state_of(host) == before, at
        if host.seen <= at:
            break
        at += 1
    assert at > 10


def test_undoing_twice_is_undoing_once(tmp_path: Path) -> None:
    host = machine(SOMEBODYS)
    work(JournalingHost(host, tmp_path / "journal", QUICK))
    restored = restore(host, tmp_path / "journal", QUICK)
    assert restored.stopped == (0,) and THP in restored.written
    again = restore(host, tmp_path / "journal", QUICK)
    assert again.written == () and again.note == "nothing to undo"


def test_a_kdamond_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    host = machine(None)
    work(JournalingHost(host, tmp_path / "journal", QUICK))
    host.target_exits()
    host.running.add(0)
    host.files[f"{KDAMONDS}/0/state"], host.files[f"{KDAMONDS}/0/pid"] = "on", "777"
    before = dict(host.files)
    with pytest.raises(DamonInUseError, match="kdamond 0"):
        restore(host, tmp_path / "journal", QUICK)
    assert host.files == before and (tmp_path / "journal").exists()


def test_a_start_whose_pid_was_not_noted_is_judged_by_what_is_staged(tmp_path: Path) -> None:
    for staged_anew in (False, True):
        host = machine(None)
        path = tmp_path / f"journal-{staged_anew}"
        work(JournalingHost(host, path, QUICK))
        lines = [line for line in path.read_text().splitlines() if '"started"' not in line]
        path.write_text("\n".join(lines) + "\n")
        if not staged_anew:
            assert restore(host, path, QUICK).stopped == (0,)
            continue
        host.files[f"{KDAMONDS}/0/contexts/0/targets/0/pid_target"] = "200"
        with pytest.raises(DamonInUseError):
            restore(host, path, QUICK)


def test_a_machine_that_was_started_anew_has_nothing_left(tmp_path: Path) -> None:
    host = machine(None)
    work(JournalingHost(host, tmp_path / "journal", QUICK))
    other = machine(SOMEBODYS)
    other.files["/proc/sys/kernel/random/boot_id"] = "another"
    assert "started anew" in restore(other, tmp_path / "journal", QUICK).note
    assert other.writes == [] and not (tmp_path / "journal").exists()


def test_what_is_written_is_on_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    path = tmp_path / "journal"
    host = machine(SOMEBODYS)
    seen: list[str] = []
    real = host.write
    host.write = lambda where, value: (seen.append(path.read_text()), real(where, value))[1]  # type: ignore[method-assign]
    journaled = JournalingHost(host, path, QUICK)
    journaled.write(f"{KDAMONDS}/nr_kdamonds", "2")
    assert '"/app"' in seen[0] and seen[0].endswith('"new": "2"}\n')
    journaled.write(THP, "never")
    assert len(synced) >= 5
    assert seen[1].endswith('"new": "never", "old": "madvise"}\n')


def test_an_earlier_journal_stops_a_new_one(tmp_path: Path) -> None:
    host = machine(None)
    work(JournalingHost(host, tmp_path / "journal", QUICK))
    with pytest.raises(BackendError, match="doctor --restore"):
        JournalingHost(host, tmp_path / "journal", QUICK)


def test_a_file_that_can_not_be_put_back_keeps_the_journal(tmp_path: Path) -> None:
    host = machine(None)
    work(JournalingHost(host, tmp_path / "journal", QUICK))
    del host.files[THP]
    with pytest.raises(HostError, match=THP):
        restore(host, tmp_path / "journal", QUICK)
    assert (tmp_path / "journal").exists() and not host.running
    host.files[THP] = "always madvise [never]"
    restore(host, tmp_path / "journal", QUICK)
    assert host.files[THP] == "madvise"


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    host = machine(None)
    path = tmp_path / "journal"
    JournalingHost(host, path, QUICK).write(THP, "never")
    path.write_text(path.read_text() + '{"write": "/sys/x", "ne')
    assert dict(load(path).olds) == {THP: "madvise"}
    path.write_text('{"format"')
    assert restore(host, path, QUICK).written == ()


@pytest.mark.parametrize(
    "text", ["nonsense\n", "[]\n", '{"format": 1}\n', json.dumps({"format": 99, "boot_id": ""}) + "\n"]
)
def test_what_is_no_journal_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text(text)
    with pytest.raises(BackendError, match="journal"):
        load(tmp_path / "journal")


WRITER = """
import pathlib, sys
from damoos.kernel.host import LocalHost
from damoos.kernel.host import LocalHost
from damoos.kernel.journal import JournalingHost
root = pathlib.Path(sys.argv[1])
host = JournalingHost(LocalHost(root), root / "journal")
print("begun", flush=True)
for n in range(1_000_000):
    host.write(f"/sys/vm/setting{n % 7}", str(n))
"""


def test_kill_9_at_random_moments_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    moments = np.random.default_rng(3).uniform(0, 0.05, 10)
    folder = tmp_path / "sys" / "vm"
    folder.mkdir(parents=True)
    for n in range(7):
        (folder / f"setting{n}").write_text(f"old {n}")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    host = LocalHost(tmp_path)
    undone = 0
    for moment in moments:
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
            time.sleep(moment)
            writer.kill()
        undone += len(restore(host, tmp_path / "journal", QUICK).written)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert undone > 10
