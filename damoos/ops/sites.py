"""Where the doctor looks: this machine, a virtual machine, another machine; each a Host and what lies beside it.

On each machine damoos keeps below /run/damoos a lock, the journal of a damoos that ran there, and that of an agent.
What has to be written for a look is written so that it is undone after any death: here by a JournalingHost, elsewhere
by an agent.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damoos.errors import BackendError, DamonInUseError, InputError
from damoos.kernel.guards import HostLock, lock_holder, lock_path
from damoos.kernel.host import Host, LocalHost
from damoos.kernel.hosts import kernels, machines, qemu
from damoos.kernel.hosts.image import GUEST_PYTHON
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.journal import JournalingHost, agent_journal_path, journal_path
from damoos.kernel.link import AGENT, AgentHost, AgentLink, agent_argv
from damoos.kernel.patience import Patience
from damoos.kernel.place import ssh_link

_ALLOWED = "host, vm, vm:7.3, vm:NAME, ssh:USER@HOST"
_RECOVER_S = 120.0
_TOP = Path("/")
_THERE = str(lock_path(_TOP).parent)


@dataclass(frozen=True)
class Recovered:
    """What an agent undid: processes killed, files put back, files no longer there, what it could not (path, why)."""

    killed: int = 0
    restored: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Site(ABC):
    """A machine that the doctor looks at. `name`: as `open_site` takes it; `host`: its files; `files`: where those
    below /run/damoos are read, by the same names."""

    name: str
    host: Host
    files: Host
    journal = str(journal_path(_TOP))
    agent_journal = str(agent_journal_path(_TOP))

    def holder(self) -> str | None:
        """The pid of the damoos that works there, None if none does. Takes nothing."""
        lock = str(lock_path(_TOP))
        if not self.files.exists(lock):
            return None
        pid = self.files.read(lock)
        held = re.findall(r"FLOCK\s+\S+\s+\S+\s+(\d+)", self.files.read("/proc/locks"))
        return pid if pid in held else None

    @abstractmethod
    def journaled(self, patience: Patience) -> AbstractContextManager[Host]:
        """A Host whose writes are undone at the block's end, or after any death by the next `--restore`.

        Raises DamonInUseError while another damoos works there.
        """

    @abstractmethod
    def recover(self) -> Recovered:
        """Has an agent undo what an earlier one left there. Raises BackendError if it can't or won't."""

    def left_over(self) -> tuple[str, ...]:
        """The journals of those who died there, by name."""
        return tuple(path for path in (self.journal, self.agent_journal) if self.files.exists(path))


class LocalSite(Site):
    """This machine, or what looks like one below `root`; `host` instead of the files there, for tests."""

    def __init__(self, root: Path, host: Host | None = None) -> None:
        self.name = "host"
        self.root = root
        self.host = LocalHost(root) if host is None else host
        self.files = LocalHost(root)

    def holder(self) -> str | None:
        """See Site.holder."""
        return lock_holder(lock_path(self.root))

    @contextlib.contextmanager
    def journaled(self, patience: Patience) -> Iterator[Host]:
        """See Site.journaled."""
        with HostLock(lock_path(self.root)), JournalingHost(self.host, journal_path(self.root), patience) as host:
            yield host

    def recover(self) -> Recovered:
        """See Site.recover."""
        argv = [*agent_argv(str(self.root), str(agent_journal_path(self.root))), "--recover"]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_RECOVER_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"the agent that undoes can't be run: {error}") from error
        return _told(done.returncode, done.stdout)


class VmSite(Site):
    """A guest; what is below its /run/damoos is seen and undone there."""

    def __init__(self, vm: VmHost, name: str) -> None:
        self.vm = vm
        self.name = name
        self.host = self.files = vm

    @contextlib.contextmanager
    def journaled(self, patience: Patience) -> Iterator[Host]:
        """See Site.journaled."""
        if holder := self.holder():
            raise DamonInUseError(f"another damoos (pid {holder}) works on {self.name}; wait for it or end it")
        with self.vm.stream(self._agent()) as stream, AgentLink(stream.argv) as link:
            yield AgentHost(link, self.name)
            _check(link)

    def recover(self) -> Recovered:
        """See Site.recover."""
        done = self.vm.run([*self._agent(), "--recover"], timeout_s=_RECOVER_S)
        return _told(done.status, done.out)

    def _agent(self) -> Sequence[str]:
        self.vm.run(["mkdir", "-p", _THERE])
        self.vm.put(f"{_THERE}/agent.py", AGENT.read_bytes())
        lock = str(lock_path(_TOP))
        return agent_argv("/", self.agent_journal, lock=lock, python=GUEST_PYTHON, agent=f"{_THERE}/agent.py")


class SshSite(Site):
    """Another machine; it is looked at through an agent that has neither lock nor journal, so undoes nothing."""

    def __init__(self, target: str, link: AgentLink) -> None:
        self.target = target
        self.name = f"ssh:{target}"
        self.host = self.files = AgentHost(link, self.name)

    @contextlib.contextmanager
    def journaled(self, patience: Patience) -> Iterator[Host]:
        """See Site.journaled."""
        with ssh_link(self.target) as link:
            yield AgentHost(link, self.name)
            _check(link)

    def recover(self) -> Recovered:
        """See Site.recover."""
        with ssh_link(self.target) as link:
            return _recovered(link.hello["recovered"])


@contextlib.contextmanager
def open_site(text: str, root: Path = _TOP) -> Iterator[Site]:
    """The machine that `text` names: `host`, `vm` (boots the newest fetched kernel), `vm:7.3` (boots that one),
    `vm:NAME` (a guest that `damoos vm start` left), `ssh:USER@HOST`.

    `root`: of `host`. Raises InputError for other words, BackendError.
    """
    kind, _, detail = text.partition(":")
    if text not in ("host", "vm") and (kind not in ("vm", "ssh") or not detail):
        raise InputError("not a machine", field="HOST", value=text, allowed=_ALLOWED)
    if kind != "host" and root != _TOP:
        raise InputError("goes with this machine only", field="--root", value=str(root))
    with _OPENERS[kind](detail, root) as site:
        yield site


def _local(detail: str, root: Path) -> AbstractContextManager[Site]:
    return contextlib.nullcontext(LocalSite(root))


@contextlib.contextmanager
def _ssh(detail: str, root: Path) -> Iterator[Site]:
    with ssh_link(detail, read_only=True) as link:
        yield SshSite(detail, link)


@contextlib.contextmanager
def _vm(detail: str, root: Path) -> Iterator[Site]:
    # As `damoos.kernel.backend.open_vm` tells versions from names.
    if detail and not detail[0].isdigit():
        with machines.attach(detail) as vm:
            yield VmSite(vm, f"vm:{detail}")
    else:
        with machines.boot(kernels.find(detail), qemu.Machine(rest_s=0)) as vm:
            yield VmSite(vm, vm.name)


_OPENERS: dict[str, Callable[[str, Path], AbstractContextManager[Site]]] = {"host": _local, "vm": _vm, "ssh": _ssh}


def _told(status: int, out: bytes) -> Recovered:
    try:
        report = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        raise BackendError(f"the agent that undoes ended with {status} and said {out[-200:]!r}") from None
    if report.get("event") != "recovered":
        path = f"{report['path']}: " if report.get("path") else ""
        raise BackendError(f"the agent that undoes refuses: {path}{report.get('error')}")
    return _recovered(report)


def _recovered(report: Mapping[str, Any]) -> Recovered:
    failed = tuple((entry["path"], entry["error"]) for entry in report["failed"])
    return Recovered(report["killed"], tuple(report["restored"]), tuple(report["gone"]), failed)


def _check(link: AgentLink) -> None:
    problems = [f"{entry['path']}: {entry['error']}" for entry in link.close()["failed"]]
    if problems:
        raise BackendError(f"what was written for this can't be undone: {'; '.join(problems)}")
