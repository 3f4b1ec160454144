"""What was changed on a tuned machine, on disk before it is changed, so that it can be undone after any death.

A journal is a file of JSON lines, each flushed to the disk before the write that it is about. Of DAMON's tree it holds
everything that was staged before our first write, since one count can take away all of it; of any other file (THP
policy, sysctl) what it held before. Undoing it twice is undoing it once. What is not undone: results of former runs
(`stats`, `tried_regions`) that the kernel drops with the folders they are in.

    with HostLock(lock_path), JournalingHost(host, path) as journaled:
        control = Control(journaled, files)
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from damoos.damon.features import kernel_version
from damoos.errors import BackendError, DamonInUseError, HostError

from . import abi
from .host import Host, read_tree
from .patience import Patience
from .plan import Difference, forget_below, is_input, plan_afresh

FORMAT = 1
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""What this file says changes with each start of the machine."""

_OSRELEASE = "/proc/sys/kernel/osrelease"
# Kernel: up to 6.14 (seen on 6.12) a command to `state`, of a process that may be dead by now, looks every 100 ms
# whether it is done or its kdamond gone. Folders that are removed before that wait for it with the lock that it needs
# to look: both hang for ever.
_NO_HANGING_FROM = (6, 15)
_COMMAND_LOOKS_S = 0.3


@dataclass(frozen=True)
class Journal:
    """A journal as read: the boot it is about, DAMON's inputs before the first write (None: never touched), the oldest
    value of each other file, the last value given to each file, the kdamonds started (pid, None if not known), all
    writes in order (path, value; of the last it is not sure that it happened), and whether undoing it has begun."""

    boot_id: str
    damon: Mapping[str, str] | None = None
    olds: Mapping[str, str] = field(default_factory=dict)
    news: Mapping[str, str] = field(default_factory=dict)
    started: Mapping[int, int | None] = field(default_factory=dict)
    writes: tuple[tuple[str, str], ...] = ()
    undoing: bool = False


@dataclass(frozen=True)
class Restored:
    """What undoing a journal did: kdamonds stopped, files written, or why nothing was to be done (`note`)."""

    stopped: tuple[int, ...] = ()
    written: tuple[str, ...] = ()
    note: str = ""


class JournalingHost:
    """A Host that remembers what it changes, and undoes it at the end of its `with` block."""

    def __init__(self, host: Host, path: Path, patience: Patience | None = None) -> None:
        """Starts a journal at `path`, which must not exist. Raises BackendError if it does: undo that one first."""
        self.inner = host
        self.path = path
        self.patience = patience if patience is not None else Patience()
        self._damon = False
        self._known: set[str] = set()
        head = {"format": FORMAT, "boot_id": _boot_id(host), "host": host.name, "pid": os.getpid()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise BackendError(f"{path}: an earlier run was not undone; `damoos doctor --restore` does it") from None
        except OSError as error:
            raise BackendError(f"{path}: can't write the journal: {error.strerror}") from error
        self._append(head)
        _sync_folder(path)

    @property
    def name(self) -> str:
        """That of the host."""
        return self.inner.name

    def read(self, path: str) -> str:
        """See Host.read."""
        return self.inner.read(path)

    def listdir(self, path: str) -> list[str]:
        """See Host.listdir."""
        return self.inner.listdir(path)

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        return self.inner.exists(path)

    def read_tree(self, folder: str) -> dict[str, str]:
        """See TreeReader.read_tree."""
        return read_tree(self.inner, folder)

    def write(self, path: str, value: str) -> None:
        """See Host.write; the old value is on disk before. Raises HostError, also where the old can't be read."""
        below = _below(path)
        if below:
            if not self._damon:
                self._append({"damon": _inputs(self.inner, self.patience)})
                self._damon = True
            # Of commands only `on` leaves something to undo.
            if is_input(below) or value == "on":
                self._append({"write": path, "new": value})
        else:
            old = {} if path in self._known else {"old": _chosen(self.inner.read(path))}
            self._append({"write": path, "new": value} | old)
            self._known.add(path)
        self.inner.write(path, value)
        if below.endswith("/state") and value == "on":
            pid = int(self.patience(partial(self.inner.read, path.removesuffix("state") + "pid")))
            self._append({"started": int(below.split("/")[0]), "pid": pid})

    def restore(self) -> Restored:
        """Undoes everything and removes the journal. Raises as `restore` does; the journal then stays."""
        return restore(self.inner, self.path, self.patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def _append(self, entry: dict[str, Any]) -> None:
        _append(self.path, entry)


def journal_path(root: Path) -> Path:
    """Where the journal of the host with this root is; after a restart there is neither it nor anything to undo."""
    return root / "run" / "damoos" / "journal.jsonl"


def agent_journal_path(root: Path) -> Path:
    """Where an agent that works on the host with this root keeps its own journal, which only agents undo."""
    return root / "run" / "damoos" / "agent.journal"


def load(path: Path) -> Journal:
    """A journal from its file. A line that was cut off by a crash is about a write that did not happen. Raises
    BackendError for anything else that is no journal."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        entries = [json.loads(line) for line in lines]
        if not entries:
            return Journal(boot_id="")
        head, *rest = entries
        if head["format"] != FORMAT:
            raise BackendError(f"{path}: a journal of format {head['format']}, this damoos knows {FORMAT}")
        damon: dict[str, str] | None = None
        olds: dict[str, str] = {}
        news: dict[str, str] = {}
        started: dict[int, int | None] = {}
        writes: list[tuple[str, str]] = []
        undoing = False
        for entry in rest:
            if "damon" in entry:
                damon = entry["damon"]
            elif "started" in entry:
                started[entry["started"]] = entry["pid"]
            elif "undoing" in entry:
                undoing = True
            else:
                where = entry["write"]
                news[where] = entry["new"]
                writes.append((where, entry["new"]))
                if "old" in entry:
                    olds.setdefault(where, entry["old"])
                below = _below(where)
                if below.endswith("/state"):
                    started[int(below.split("/")[0])] = None
                file = abi.file_of(below)
                if file is not None and file.kind is abi.Kind.COUNT:
                    forget_below(news, where)
        return Journal(head["boot_id"], damon, olds, news, started, tuple(writes), undoing)
    except OSError as error:
        raise BackendError(f"{path}: can't read the journal: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"{path}: not a journal of damoos: {error}") from error


def restore(host: Host, path: Path, patience: Patience | None = None) -> Restored:
    """Undoes the journal at `path`, if there is one, and removes it; may be repeated after any interruption.

    Stops only kdamonds that the journal says are ours: DamonInUseError, and nothing changed, if others run. HostError
    if a file can't be written; whatever else can be undone is. The journal stays in both cases.
    """
    wait = patience if patience is not None else Patience()
    if not path.exists():
        return Restored(note="nothing to undo")
    journal = load(path)
    if journal.boot_id and journal.boot_id != _boot_id(host):
        path.unlink()
        return Restored(note="the machine has been started anew since, so there is nothing left to undo")
    stopped, written = [], []
    if journal.damon is not None:
        stopped = _stop_ours(host, journal, wait)
        if journal.started and kernel_version(host.read(_OSRELEASE)) < _NO_HANGING_FROM:
            time.sleep(_COMMAND_LOOKS_S)
        _append(path, {"undoing": True})
        written = _restore_damon(host, journal.damon, wait)
    failure: HostError | None = None
    for where, old in reversed(list(journal.olds.items())):
        try:
            if _chosen(host.read(where)) != old:
                host.write(where, old)
                written.append(where)
        except HostError as error:
            failure = error
    if failure is not None:
        raise failure
    path.unlink()
    _sync_folder(path)
    return Restored(tuple(stopped), tuple(written))


def staged_since(host: Host, path: Path, patience: Patience | None = None) -> tuple[Difference, ...]:
    """What is staged below DAMON's folder and was not staged by who wrote the journal at `path`; `field` is a path.

    It was staged since, by somebody else, and undoing would throw it away. Nothing after a restart of the machine,
    and once undoing has begun. Raises HostError, and BackendError as `load` does.
    """
    if not path.exists():
        return ()
    wait = patience if patience is not None else Patience()
    journal = load(path)
    if journal.damon is None or journal.undoing or journal.boot_id != _boot_id(host):
        return ()
    now = _inputs(host, wait)
    writes = [(_below(where), new) for where, new in journal.writes if is_input(_below(where))]
    # Who died after the last line may not have got to its write.
    return min((_unexpected(now, _replay(journal.damon, some)) for some in (writes, writes[:-1])), key=len)


def _replay(before: Mapping[str, str], writes: Iterable[tuple[str, str]]) -> dict[str, str]:
    staged = dict(before)
    for path, value in writes:
        if abi.BY_PATTERN[abi.pattern_of(path)].kind is abi.Kind.COUNT:
            forget_below(staged, path)
        staged[path] = value
    return staged


def _unexpected(now: Mapping[str, str], staged: Mapping[str, str]) -> tuple[Difference, ...]:
    found = []
    for path, text in now.items():
        expected = staged.get(path, abi.BY_PATTERN[abi.pattern_of(path)].default)
        if text != expected and not _is_tuned(path, now):
            found.append(Difference(f"{abi.KDAMONDS}/{path}", expected, text))
    gone = [path for path in staged if path not in now]
    return (*found, *(Difference(f"{abi.KDAMONDS}/{path}", staged[path], None) for path in gone))


def _is_tuned(path: str, now: Mapping[str, str]) -> bool:
    """Whether the kernel itself may have written an input file: it tells tuned intervals in those that set them."""
    folder, _, name = path.rpartition("/")
    return name in ("sample_us", "aggr_us") and now.get(f"{folder}/intervals_goal/aggrs", "0") != "0"


def _stop_ours(host: Host, journal: Journal, wait: Patience) -> list[int]:
    count = int(wait(partial(host.read, f"{abi.KDAMONDS}/nr_kdamonds")))
    states = {number: f"{abi.KDAMONDS}/{number}/state" for number in range(count)}
    on = [number for number, state in states.items() if wait(partial(host.read, state)) == "on"]
    for number in on:
        if not _is_ours(host, journal, number, wait):
            raise DamonInUseError(
                f"kdamond {number} of sysfs runs, and the journal does not say that damoos started it; "
                f"end it before undoing: echo off > {states[number]}"
            )
    for number in on:
        # It may end by itself between the look and the write, which then fails.
        with suppress(HostError):
            wait(partial(host.write, states[number], "off"))
        if wait(partial(host.read, states[number])) == "on":
            raise BackendError(f"{states[number]}: kdamond {number} does not stop")
    return on


def _is_ours(host: Host, journal: Journal, number: int, wait: Patience) -> bool:
    if number not in journal.started:
        return False
    folder = f"{abi.KDAMONDS}/{number}/"
    pid = journal.started[number]
    if pid is not None:
        return int(wait(partial(host.read, f"{folder}pid"))) == pid
    # Died between `on` and noting the pid: ours if everything that was staged is still there.
    staged = {path: new for path, new in journal.news.items() if path.startswith(folder) and is_input(_below(path))}
    return all(host.exists(path) and wait(partial(host.read, path)) == new for path, new in staged.items())


def _restore_damon(host: Host, before: Mapping[str, str], wait: Patience) -> list[str]:
    writes = plan_afresh(wait(partial(host.read, f"{abi.KDAMONDS}/nr_kdamonds")), before)
    for write in writes:
        wait(partial(host.write, write.path, write.new))
    return [write.path for write in writes]


def _inputs(host: Host, wait: Patience) -> dict[str, str]:
    values = wait(partial(read_tree, host, abi.KDAMONDS))
    return {path: text for path, text in values.items() if is_input(path)}


def _below(path: str) -> str:
    """A path relative to KDAMONDS; empty if it is elsewhere."""
    return path.removeprefix(f"{abi.KDAMONDS}/") if path.startswith(f"{abi.KDAMONDS}/") else ""


def _chosen(text: str) -> str:
    """What to write to get a file back that shows all its words: `always` of `[always] madvise never`."""
    chosen = re.search(r"\[([^\]]+)\]", text)
    return chosen[1] if chosen else text


def _boot_id(host: Host) -> str:
    return host.read(BOOT_ID) if host.exists(BOOT_ID) else ""


def _append(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
