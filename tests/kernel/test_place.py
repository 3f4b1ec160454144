"""Connecting to machines: refusals here, the way by ssh in a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from damoos.backend.registry import open_backend
from damoos.backend.testing import WORKLOAD
from damoos.errors import BackendError, InputError, SetUpError
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.link import AgentHost, AgentLink
from damoos.kernel.place import ssh_command

FAKE_SSH = """#!/bin/sh
printf '%s\\n' "$@" > "$0.log"
for last; do :; done
exec sh -c "$last"
"""


def test_this_machine_is_left_alone_when_switched_off() -> None:
    backend = open_backend("host")
    with pytest.raises(BackendError, match="DAMOOS_HOST_BACKEND=off"):
        backend.probe()
    with pytest.raises(SetUpError, match="DAMOOS_HOST_BACKEND=off"):
        backend.start(WORKLOAD, None, 1)
    backend.close()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("host:x", "has no detail"),
        ("ssh", "says no machine"),
        ("vm:nobody", "no such VM is running"),
    ],
)
def test_bad_names_are_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_backend(spec)
    for target in ("-oProxyCommand=evil", "a b", ""):
        with pytest.raises(InputError, match="not a machine"):
            ssh_command(target)


def test_ssh_is_called_without_questions_and_says_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ssh"
    script.write_text(FAKE_SSH)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    # It runs here, where the switch keeps the agent away from sysfs.
    with pytest.raises(BackendError, match="ssh:me@there: .*DAMOOS_HOST_BACKEND=off.*sudo -n"):
        open_backend("ssh:me@there").probe()
    words = (tmp_path / "ssh.log").read_text().splitlines()
    assert "BatchMode=yes" in words and "me@there" in words


@pytest.mark.kernel
def test_the_command_for_ssh_starts_an_agent_there(vm: VmHost) -> None:
    argv, source = ssh_command("me@there")
    with vm.stream(["sh", "-c", argv[-1]]) as stream:
        with AgentLink(stream.argv, preamble=source) as link:
            assert AgentHost(link, "x").read("/proc/sys/kernel/osrelease") == vm.release
            assert vm.read("/run/damoos/lock") == str(link.hello["pid"])
            assert vm.exists("/run/damoos/agent.journal")
    assert not vm.exists("/run/damoos/agent.journal")
