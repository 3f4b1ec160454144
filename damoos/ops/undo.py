"""Undoing what a damoos that died has left on a machine: its journal, and that of its agent.

Nothing is written where a kdamond runs that no journal knows, nor, unless that is asked for, where somebody has staged
something since: making DAMON's folders anew would throw it away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from damoos.errors import BackendError, DamonInUseError
from damoos.kernel import abi
from damoos.kernel.guards import HostLock, lock_path
from damoos.kernel.host import Host
from damoos.kernel.journal import BOOT_ID, Restored, journal_path, load, restore, staged_since
from damoos.kernel.patience import Patience

from .sites import LocalSite, Recovered, Site

_SHOWN = 5


@dataclass(frozen=True)
class Undone:
    """What was undone of a damoos's own journal, and of an agent's (None: there was none)."""

    own: Restored = field(default_factory=Restored)
    agent: Recovered | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to undo."""
        return self.agent is None or not self.agent.failed


def undo(site: Site, *, anyway: bool = False, patience: Patience | None = None) -> Undone:
    """Undoes what was left over on a machine, an agent's part first: it is the newer where there are two.

    Raises DamonInUseError while a damoos works there, where a kdamond runs that is not ours, and, without `anyway`,
    where something was staged since (which an agent's journal does not tell); that journal is then as before.
    BackendError, HostError where it can't be done.
    """
    wait = patience if patience is not None else Patience()
    if not isinstance(site, LocalSite):
        if holder := site.holder():
            raise DamonInUseError(f"another damoos (pid {holder}) works on {site.name}; wait for it or end it")
        if site.files.exists(site.journal):
            raise BackendError(f"{site.name}: {site.journal} is of a damoos that ran there; run `damoos doctor` there")
        return Undone(Restored(note="nothing to undo"), _recover(site, {}, wait))
    journal = journal_path(site.root)
    with HostLock(lock_path(site.root)):
        started = load(journal).started if journal.exists() else {}
        agent = _recover(site, started, wait)
        if agent is not None and agent.failed:
            return Undone(Restored(note="not yet: the agent's journal is the newer"), agent)
        if not anyway:
            _refuse_if_staged_since(site.host, journal, wait)
        return Undone(restore(site.host, journal, wait), agent)


def _recover(site: Site, started: Mapping[int, int | None], wait: Patience) -> Recovered | None:
    if not site.files.exists(site.agent_journal):
        return None
    entries = list(_entries(site.files.read(site.agent_journal)))
    ours = dict(started)
    for entry in entries:
        if "started" in entry:
            ours[int(entry["started"].split("/")[-2])] = entry["pid"]
    of_this_boot = entries and entries[0].get("boot") == site.host.read(BOOT_ID)
    if of_this_boot and any(entry.get("path", "").startswith(f"{abi.KDAMONDS}/") for entry in entries):
        _refuse_if_others_run(site.host, ours, wait)
    return site.recover()


def _entries(journal: str) -> Iterator[dict[str, Any]]:
    for line in journal.split("\n"):
        # The last one may have been cut off, and is then about a write that never happened.
        with suppress(ValueError):
            yield json.loads(line)


def _refuse_if_others_run(host: Host, ours: Mapping[int, int | None], wait: Patience) -> None:
    for number in range(int(wait(partial(host.read, f"{abi.KDAMONDS}/nr_kdamonds")))):
        folder = f"{abi.KDAMONDS}/{number}"
        if wait(partial(host.read, f"{folder}/state")) != "on":
            continue
        pid = int(wait(partial(host.read, f"{folder}/pid")))
        if number not in ours or ours[number] not in (pid, None):
            raise DamonInUseError(
                f"kdamond {number} of sysfs (pid {pid}) runs, and no journal says that damoos started it; "
                f"end it before undoing: echo off > {folder}/state"
            )


def _refuse_if_staged_since(host: Host, journal: Path, wait: Patience) -> None:
    found = staged_since(host, journal, wait)
    if not found:
        return
    lines = [f"{each.field}: {_shown(each.asked)} then, {_shown(each.applied)} now" for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    raise DamonInUseError(
        "somebody has staged something in DAMON's files since damoos died, and undoing would throw it away "
        f"(`damoos doctor --restore-anyway` does): {'; '.join(lines)}"
    )


def _shown(value: object) -> str:
    return "not there" if value is None else repr(value)
