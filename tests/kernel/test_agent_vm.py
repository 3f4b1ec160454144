"""The agent in a guest with a real kernel: stages DAMON, samples, and leaves everything as it was, whatever dies."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.link import AGENT, AgentHost, AgentLink, agent_argv
from damoos.workload import masim, touch
from damoos.workload.pace import Pace

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

PYTHON, JOURNAL, FOLDER = "/bin/python3", "/root/agent.journal", "/root"
KDAMONDS = "/sys/kernel/mm/damon/admin/kdamonds"
CONTEXT = f"{KDAMONDS}/0/contexts/0"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
MIB = 1 << 20


@pytest.fixture
def guest(vm: VmHost) -> VmHost:
    """The guest with agent and workload in it: 64 MiB in use for two minutes."""
    program = masim.parse("a, 67108864\n\np\n120000\na, 0, 4096, 1, wo\n", "busy")
    plan = touch.plan(program, Pace(timing="time", prefault=True), 1)
    for name, data in (
        ("agent.py", AGENT.read_bytes()),
        ("touch_run.py", touch.RUNNER.read_bytes()),
        ("plan.json", json.dumps(plan).encode()),
    ):
        vm.put(f"{FOLDER}/{name}", data)
    return vm


def command(*more: str) -> list[str]:
    return [*agent_argv("/", JOURNAL, python=PYTHON, agent=f"{FOLDER}/agent.py"), *more]


@contextmanager
def agent(guest: VmHost) -> Iterator[AgentLink]:
    """A link to an agent in the guest that may be cut at any time."""
    with guest.stream(command()) as stream:
        link = AgentLink(stream.argv)
        try:
            yield link
        finally:
            link.abandon()


def state(guest: VmHost) -> tuple[dict[str, str], str]:
    return guest.read_tree(KDAMONDS), guest.read(THP)


def steps(link: AgentLink) -> list[Callable[[], object]]:
    """What a controller does, one step each, from nothing to DAMON at work."""
    host = AgentHost(link, "vm")

    def start() -> None:
        argv = touch.argv(f"{FOLDER}/plan.json", python=PYTHON, runner=f"{FOLDER}/touch_run.py")
        pid = link.request("start", argv=argv, user="root")["pid"]
        host.write(f"{CONTEXT}/targets/0/pid_target", str(pid))

    return [
        lambda: host.write(f"{KDAMONDS}/nr_kdamonds", "1"),
        lambda: host.write(f"{KDAMONDS}/0/contexts/nr_contexts", "1"),
        lambda: host.write(f"{CONTEXT}/operations", "vaddr"),
        lambda: host.write(f"{CONTEXT}/targets/nr_targets", "1"),
        start,
        lambda: host.write(THP, "never"),
        lambda: host.write(f"{KDAMONDS}/0/state", "on"),
        lambda: link.request("sample", every_s=0.1),
        lambda: link.wait("sample", 30),
    ]


def settled(guest: VmHost, link: AgentLink) -> None:
    """Waits until the agent is gone."""
    for _ in range(200):
        if not guest.exists(f"/proc/{link.hello['pid']}"):
            return
        guest.run(["busybox", "sleep", "0.1"])
    raise AssertionError("the agent stays")


def workloads(guest: VmHost) -> list[str]:
    listed = guest.run(["busybox", "ps"]).out.decode().splitlines()
    return [line for line in listed if "touch_run" in line]


def test_samples_damon_and_costs_little(guest: VmHost) -> None:
    before = state(guest)
    with agent(guest) as link:
        for step in steps(link):
            step()
        host = AgentHost(link, "vm")
        assert host.read(f"{KDAMONDS}/0/state") == "on"
        kdamond = int(host.read(f"{KDAMONDS}/0/pid"))
        first = link.request("sample", every_s=0.5, kdamonds=[kdamond])["sample"]
        link.events()
        samples = [link.wait("sample", 60) for _ in range(10)]
        assert all(samples)
        last = samples[-1] or {}
        assert last["rss_bytes"] > 64 * MIB and last["processes"] == 1
        assert last["kdamonds"][str(kdamond)] > first["kdamonds"][str(kdamond)]
        assert last["agent_cpu_s"] - first["agent_cpu_s"] < 0.005 * (last["t_s"] - first["t_s"])
        status = host.read(f"/proc/{link.hello['pid']}/status")

        assert int(status.split("VmRSS:")[1].split()[0]) < 10 * 1024
        assert link.close()["failed"] == []
    assert state(guest) == before
    assert workloads(guest) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_link_leaves_everything_as_it_was(guest: VmHost, seed: int) -> None:
    before = state(guest)
    with agent(guest) as link:
        todo = steps(link)
        for step in todo[: random.Random(seed).randint(1, len(todo))]:
            step()
        link.abandon()
        settled(guest, link)
        assert state(guest) == before
        assert workloads(guest) == []


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_of_the_agent_is_made_good_by_the_next(guest: VmHost, seed: int) -> None:
    before = state(guest)
    with agent(guest) as link:
        todo = steps(link)
        for step in todo[: random.Random(seed + 10).randint(1, len(todo))]:
            step()
        guest.run(["busybox", "kill", "-9", str(link.hello["pid"])])
        settled(guest, link)
    done = guest.run(command("--recover"))
    assert done.status == 0, done.out
    assert json.loads(done.out)["failed"] == []
    assert state(guest) == before
    assert workloads(guest) == []
    assert not guest.exists(JOURNAL)
