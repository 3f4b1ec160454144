"""The command line itself on a machine with a real kernel, as root: what it says, and that nobody is disturbed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from damoos.errors import DamonInUseError
from damoos.kernel import abi
from damoos.kernel.guards import lock_path
from damoos.kernel.hosts import machines, qemu
from damoos.kernel.hosts.image import GUEST_PYTHON, image_for
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.journal import agent_journal_path
from damoos.kernel.link import AGENT, AgentHost, AgentLink, agent_argv
from damoos.kernel.patience import Patience
from damoos.ops.doctor import examine
from damoos.ops.sites import VmSite, open_site
from damoos.ops.undo import undo

from .conftest import SERIES, kernel
from .guest_damoos import damoos, image_with_damoos

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

DOCTOR = ("doctor", "--root", "{root}", "--restore", "--try")
TUNE = ("tune", "--backend", "host", "--", "true")
DAMON, MODULES = "/sys/kernel/mm/damon", "/sys/module"
STAT = f"{MODULES}/damon_stat/parameters/enabled"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
# What DAMON_STAT measures while it runs.
MEASURED = ("estimated_memory_bandwidth", "memory_idle_ms_percentiles", "aggr_interval_us")
CONTEXT = f"{abi.KDAMONDS}/0/contexts/0"


# ssh as far as damoos needs it: the command that it was given runs in the guest, its input and output are ssh's.
# Without the limit on silence: on an idle CPU virtual time leaps over it.
SSH = """#!{python}
import base64, os, subprocess, sys
with subprocess.Popen({bridge!r}, stdin=subprocess.PIPE) as bridge:
    data = base64.b64encode(sys.argv[-1].replace("--silence 60", "").encode()) + b"\\n"
    while data:
        bridge.stdin.write(data)
        bridge.stdin.flush()
        data = os.read(0, 65536)
    bridge.stdin.close()
"""
SSHD = """
import base64, os
command = b""
while not command.endswith(b"\\n"):
    command += os.read(0, 1)
os.execvp("sh", ["sh", "-c", base64.b64decode(command).decode()])
"""


@pytest.fixture(scope="module", params=SERIES)
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmHost]:
    """A guest with the command line in it, as it was booted: where the kernel has DAMON_STAT, that is on."""
    folder = tmp_path_factory.mktemp("image")
    with pytest.MonkeyPatch.context() as patch:
        found = kernel(request.param)
        image = image_with_damoos(image_for(found), folder, [DOCTOR, TUNE])
        patch.setattr(machines, "image_for", lambda _: image)
        booting = machines.boot(found, qemu.Machine(rest_s=0, damon_stat=True))
    with booting as vm:
        yield vm
    image.unlink()


@pytest.fixture
def free(guest: VmHost) -> VmHost:
    """The guest where nobody uses DAMON."""
    if guest.exists(STAT):
        guest.write(STAT, "N")
    return guest


def everything(vm: VmHost) -> dict[str, str]:
    """All that DAMON's users can see or set."""
    found = {f"{DAMON}/{path}": text for path, text in vm.read_tree(DAMON).items()}
    for module in (name for name in vm.listdir(MODULES) if name.startswith("damon_")):
        parameters = vm.read_tree(f"{MODULES}/{module}/parameters")
        found |= {f"{module}/{name}": text for name, text in parameters.items() if name not in MEASURED}
    return found | {THP: vm.read(THP)}


@contextmanager
def somebodys_kdamond(vm: VmHost) -> Iterator[int]:
    """A kdamond that somebody started by hand; its pid."""
    script = f"""
        setsid sleep 100000 > /dev/null 2>&1 &
        cd {abi.KDAMONDS}
        echo 1 > nr_kdamonds && echo 1 > 0/contexts/nr_contexts && echo vaddr > 0/contexts/0/operations
        echo 1 > 0/contexts/0/targets/nr_targets && echo $! > 0/contexts/0/targets/0/pid_target
        echo on > 0/state && cat 0/pid
        """
    done = vm.run(["sh", "-ec", script])
    assert (done.status, done.err) == (0, b""), done
    try:
        yield int(done.out)
    finally:
        vm.run(["sh", "-c", f"echo off > {abi.KDAMONDS}/0/state; killall sleep"])
        vm.write(f"{abi.KDAMONDS}/nr_kdamonds", "0")


@contextmanager
def working_agent(vm: VmHost) -> Iterator[AgentLink]:
    """An agent as damoos starts it, that has changed a policy and started a workload, and DAMON on physical memory."""
    vm.put("/root/agent.py", AGENT.read_bytes())
    root = Path("/")
    argv = agent_argv(
        "/", str(agent_journal_path(root)), lock=str(lock_path(root)), python=GUEST_PYTHON, agent="/root/agent.py"
    )
    with vm.stream(argv) as stream:
        link = AgentLink(stream.argv)
        try:
            host = AgentHost(link, "vm")
            link.request("start", argv=["sleep", "100000"], user="root")
            for path, value in (
                (THP, "never"),
                (f"{abi.KDAMONDS}/nr_kdamonds", "1"),
                (f"{abi.KDAMONDS}/0/contexts/nr_contexts", "1"),
                (f"{CONTEXT}/operations", "paddr"),
                (f"{CONTEXT}/targets/nr_targets", "1"),
                (f"{CONTEXT}/targets/0/regions/nr_regions", "1"),
                (f"{CONTEXT}/targets/0/regions/0/end", str(512 << 20)),
                (f"{abi.KDAMONDS}/0/state", "on"),
            ):
                host.write(path, value)
            yield link
        finally:
            link.abandon()


def test_a_free_machine(free: VmHost) -> None:
    before = everything(free)
    looked = damoos(free, "doctor")
    assert (looked.status, looked.err) == (0, b""), looked
    lines = looked.out.decode().splitlines()
    assert lines[0] == f"ok   kernel     {free.release}" and lines[-1] == "damoos can tune here."
    assert "ok   in use     by nobody" in lines and "ok   rights     root" in lines
    assert everything(free) == before


def test_trying_leaves_no_trace(free: VmHost) -> None:
    before = everything(free)
    tried = damoos(free, "doctor", "--try")
    assert tried.status == 0 and "ok   features   each was tried" in tried.out.decode().splitlines(), tried
    assert everything(free) == before and free.listdir("/run/damoos") == ["lock"]


def test_damon_stat_is_named_and_left_on(guest: VmHost) -> None:
    if not guest.exists(STAT):
        pytest.skip("no DAMON_STAT")
    guest.write(STAT, "Y")
    before, pid = everything(guest), guest.read(STAT.replace("enabled", "kdamond_pid"))
    looked, tuned = damoos(guest, "doctor"), damoos(guest, *TUNE)
    assert looked.status == 1, looked
    assert f"BAD  in use     DAMON_STAT (pid {pid}): " in looked.out.decode()
    assert f"fix: echo N > {STAT}" in looked.out.decode()
    assert (tuned.status, tuned.out) == (2, b""), tuned
    assert f"DAMON_STAT (pid {pid}) uses DAMON; to free it: echo N > {STAT}" in tuned.err.decode()
    assert everything(guest) == before and guest.read(f"/proc/{pid}/comm").startswith("kdamond")


def test_somebodys_kdamond_is_named_and_left_alone(free: VmHost) -> None:
    with somebodys_kdamond(free) as pid:
        before = everything(free)
        looked, tuned = damoos(free, "doctor", "--try"), damoos(free, *TUNE)
        assert looked.status == 1, looked
        text = looked.out.decode()
        assert f"BAD  in use     kdamond 0 of sysfs (pid {pid}): " in text
        (fix,) = [line.split("fix: ")[1] for line in text.splitlines() if "fix: echo off" in line]
        assert (tuned.status, tuned.out) == (2, b""), tuned
        assert f"kdamond 0 of sysfs (pid {pid}) uses DAMON; to free it: {fix}" in tuned.err.decode()
        assert everything(free) == before and free.read(f"/proc/{pid}/comm").startswith("kdamond")
        # The line that it gives does what it says.
        assert free.run(["sh", "-c", fix.split(" (or")[0]]).status == 0
        assert free.read(f"{abi.KDAMONDS}/0/state") == "off"


@pytest.mark.parametrize("where", ["there", "from here"])
def test_what_a_killed_agent_left_is_undone(free: VmHost, where: str) -> None:
    before, site = everything(free), VmSite(free, "vm:mine")
    with working_agent(free) as link:
        pid = link.hello["pid"]
        with free.standing():
            assert site.holder() == str(pid)
            with pytest.raises(DamonInUseError, match=f"another damoos .pid {pid}. works on vm:mine"):
                undo(site)
            if where == "there":
                refused = damoos(free, "doctor", "--restore")
                assert refused.status == 2 and f"pid {pid}" in refused.err.decode(), refused
            assert free.read(f"{abi.KDAMONDS}/0/state") == "on"
            free.run(["kill", "-9", str(pid)])
    left = everything(free)
    assert left[f"{abi.KDAMONDS}/0/state"] == "on" and left[THP] != before[THP]
    if where == "there":
        looked = damoos(free, "doctor")
        assert looked.status == 1 and "BAD  left over  /run/damoos/agent.journal" in looked.out.decode(), looked
        assert everything(free) == left
        done = damoos(free, "doctor", "--restore")
        assert done.status == 0 and done.out.startswith(b"restored after an agent: processes ended: "), done
    else:
        (finding,) = [f for f in examine(site).findings if f.name == "left over"]
        assert finding.fix == "damoos doctor vm:mine --restore"
        undone = undo(site)
        assert undone.agent is not None and undone.complete
    assert everything(free) == before
    assert "sleep 100000" not in free.run(["ps"]).out.decode() and site.left_over() == ()


def test_by_ssh(free: VmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    @contextmanager
    def sshd() -> Iterator[None]:
        with free.stream(["python3", "-I", "-S", "-c", SSHD]) as stream:
            (tmp_path / "ssh").write_text(SSH.format(python=sys.executable, bridge=list(stream.argv)))
            (tmp_path / "ssh").chmod(0o755)
            yield

    before = everything(free)
    with sshd(), open_site("ssh:me@there") as site:
        assert site.left_over() == () and site.holder() is None
    with sshd(), site.journaled(Patience()) as host:
        assert VmSite(free, free.name).holder() is not None
        host.write(THP, "never")
    assert everything(free) == before
    with working_agent(free) as link:
        free.run(["kill", "-9", str(link.hello["pid"])])
    with sshd(), open_site("ssh:me@there") as site:
        diagnosis = examine(site)
        assert (diagnosis.host, diagnosis.kernel) == ("ssh:me@there", free.release)
        (finding,) = [f for f in diagnosis.findings if f.name == "left over"]
        assert finding.fix == "damoos doctor ssh:me@there --restore"
        assert everything(free)[THP] != before[THP]
    with sshd():
        recovered = site.recover()
    assert recovered.failed == () and THP in recovered.restored
    assert everything(free) == before
