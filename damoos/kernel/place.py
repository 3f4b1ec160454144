"""A machine that damoos is connected to: an agent there, DAMON's files through it, and whether its time may pass.

Connecting locks the machine, undoes what a killed agent left, and refuses where somebody else uses DAMON.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from damoos.errors import BackendError, InputError

from .control import Control
from .features import Features, probe
from .guards import lock_path, refuse_if_used
from .hosts import kernels, machines, qemu
from .hosts.image import GUEST_PYTHON
from .hosts.vm import HOST_S_PER_GUEST_S, VmHost
from .journal import agent_journal_path
from .link import AGENT, BOOTSTRAP, AgentHost, AgentLink, agent_argv

SSH = "ssh"
KEEP_ALIVE_S = 10.0
SILENCE_S = 60.0
"""A remote agent that hears nothing for so long takes its controller for lost; it is told something more often."""

VM_REPLY_S = 180.0
"""A guest that shares busy CPUs with much else is slow to answer, above all to start an agent."""

_GUEST_AGENT = "/root/agent.py"
_SSH_OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


@dataclass(frozen=True)
class Place:
    """A connected machine. Not shared between threads.

    `machine`: in words. `user`: whose rights workloads get unless they say (None: of the user who called sudo there).
    `folder`: where commands run unless they say (None: the agent's own). `awake`: lets the machine's time pass, for a
    block; whatever talks to it needs that. `here_s_per_s`: at most so many s pass here for one there.
    """

    name: str
    machine: str
    user: str | None
    folder: str | None
    link: AgentLink
    control: Control
    features: Features
    awake: Callable[[], AbstractContextManager[None]]
    here_s_per_s: float
    _stack: ExitStack

    @property
    def host(self) -> AgentHost:
        """The machine's files."""
        assert isinstance(self.control.host, AgentHost)
        return self.control.host

    def patience_s(self, seconds: float) -> float:
        """How long to wait here for what takes `seconds` there."""
        return VM_REPLY_S + self.here_s_per_s * (seconds + 1.0)

    def is_alive(self) -> bool:
        """Whether the agent still answers."""
        try:
            with self.awake():
                return bool(self.link.request("hello")["ok"])
        except BackendError:
            return False

    def close(self) -> None:
        """Undoes everything, leaves the machine, and switches off one that was booted for this."""
        self._stack.close()


def connect_local(root: Path) -> Place:
    """This machine, whose `/` is `root` (a fake tree in tests). Raises BackendError, of it DamonInUseError."""
    argv = agent_argv(str(root), str(agent_journal_path(root)), lock=str(lock_path(root)))
    with ExitStack() as stack:
        link = stack.enter_context(AgentLink(argv))
        return _place("host", stack, link, user=None, folder=os.getcwd())


def connect_ssh(target: str) -> Place:
    """Another machine, by the system's own ssh client; a user who is not root there needs `sudo` without a password.

    Raises InputError for a target that ssh could take for an option, BackendError, of it DamonInUseError.
    """
    with ExitStack() as stack:
        link = stack.enter_context(ssh_link(target))
        return _place(f"ssh:{target}", stack, link, user=None, folder=None)


def ssh_link(target: str, *, read_only: bool = False) -> AgentLink:
    """A link to an agent on another machine; `read_only` without lock and journal. Raises InputError, BackendError."""
    argv, source = ssh_command(target, read_only=read_only)
    try:
        return AgentLink(argv, preamble=source, keep_alive_s=KEEP_ALIVE_S)
    except BackendError as error:
        hint = f"try `ssh {target} sudo -n python3 --version`: it must not ask for anything"
        raise type(error)(f"ssh:{target}: {error}; {hint}") from error


def ssh_command(target: str, *, read_only: bool = False) -> tuple[list[str], bytes]:
    """The command line that starts an agent on another machine, and what it reads first. Raises InputError."""
    if not target or target.startswith("-") or any(c.isspace() for c in target):
        raise InputError("not a machine", field="ssh", value=target, allowed="USER@HOST, or a name that ssh knows")
    source, root = AGENT.read_bytes(), Path("/")
    if read_only:
        words = agent_argv("/", None)
    else:
        words = agent_argv("/", str(agent_journal_path(root)), lock=str(lock_path(root)))
    options = [*words[words.index("--root") :], "--silence", f"{SILENCE_S:g}"]
    program = shlex.join(["python3", "-I", "-S", "-c", BOOTSTRAP, str(len(source)), *options])
    command = f'if [ "$(id -u)" = 0 ]; then exec {program}; else exec sudo -n {program}; fi'
    return [SSH, *_SSH_OPTIONS, target, command], source


def connect_vm(kernel: kernels.Kernel, machine: qemu.Machine) -> Place:
    """A guest that is booted now and ends with this process. Raises BackendError."""
    with ExitStack() as stack:
        vm = stack.enter_context(machines.boot(kernel, machine))
        return _vm_place(stack, vm, f"{machine.memory_mib} MiB, zram {machine.zram_mib} MiB")


def connect_guest(name: str) -> Place:
    """A guest that `damoos vm start` left. Raises BackendError, of it DamonInUseError."""
    with ExitStack() as stack:
        vm = stack.enter_context(machines.attach(name))
        return _vm_place(stack, vm, f"guest {name}")


def connect_booted(vm: VmHost) -> Place:
    """A guest that is there already, and goes on afterwards. Raises as `connect_guest`."""
    with ExitStack() as stack:
        return _vm_place(stack, vm, "guest")


def _vm_place(stack: ExitStack, vm: VmHost, words: str) -> Place:
    root = Path("/")
    vm.put(_GUEST_AGENT, AGENT.read_bytes())
    argv = agent_argv(
        "/", str(agent_journal_path(root)), lock=str(lock_path(root)), python=GUEST_PYTHON, agent=_GUEST_AGENT
    )
    stream = stack.enter_context(vm.stream(argv))
    stack.enter_context(vm.standing())
    with vm.running():
        link = AgentLink(stream.argv, reply_s=VM_REPLY_S)
    stack.callback(_close_awake, vm, link)
    return _place(
        vm.name, stack, link, user="root", folder="/root", awake=vm.running, here=HOST_S_PER_GUEST_S, words=words
    )


def _close_awake(vm: VmHost, link: AgentLink) -> None:
    try:
        with vm.running():
            link.close()
    except BackendError:
        link.abandon()  # the guest is gone, and what was to be undone with it


def _place(
    name: str,
    stack: ExitStack,
    link: AgentLink,
    *,
    user: str | None,
    folder: str | None,
    awake: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    here: float = 1.0,
    words: str = "",
) -> Place:
    host = AgentHost(link, name)
    with awake():
        refuse_if_used(host)
        features = probe(host, scratch=True)
        report = link.request_raw("restore")
    if report.get("failed"):
        paths = ", ".join(entry["path"] for entry in report["failed"])
        raise BackendError(f"{name}: trying what the kernel can do left something that can't be undone: {paths}")
    machine = f"Linux {link.hello['kernel']}" + (f", {words}" if words else "")
    return Place(
        name, machine, user, folder, link, Control(host, features.files), features, awake, here, stack.pop_all()
    )
