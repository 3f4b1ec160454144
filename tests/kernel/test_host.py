"""The files of this machine, below a folder that is not its own."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from damoos.errors import BackendError, HostError
from damoos.kernel.host import SWITCH, LocalHost, TreeReader, read_table, read_tree
from damoos.kernel.link import AgentHost, AgentLink, agent_argv


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    folder = tmp_path / "sys" / "kernel" / "few"
    (folder / "inner").mkdir(parents=True)
    (folder / "word").write_text("vaddr\n")
    (folder / "inner" / "lines").write_text("one\ntwo\n")
    return LocalHost(tmp_path)


def test_reads_lists_and_writes_by_the_machines_own_names(host: LocalHost) -> None:
    assert host.read("/sys/kernel/few/word") == "vaddr"
    assert host.listdir("/sys/kernel/few") == ["inner", "word"]
    assert host.exists("/sys/kernel/few") and not host.exists("/sys/kernel/many")
    host.write("/sys/kernel/few/word", "paddr")
    assert (host.root / "sys/kernel/few/word").read_text() == "paddr"
    host.write("/sys/kernel/few/word", "")
    assert (host.root / "sys/kernel/few/word").read_text() == "\n" and host.read("/sys/kernel/few/word") == ""


def test_the_name_tells_the_root(host: LocalHost) -> None:
    assert host.name == f"host:{host.root}" and LocalHost(Path("/")).name == "host"


def test_errors_carry_path_value_and_errno(host: LocalHost) -> None:
    with pytest.raises(HostError, match="can't read /sys/none") as caught:
        host.read("/sys/none")
    assert (caught.value.errno, caught.value.value) == (errno.ENOENT, None)
    with pytest.raises(HostError, match="can't write '7' to /sys/none") as caught:
        host.write("/sys/none", "7")
    assert (caught.value.errno, caught.value.value) == (errno.ENOENT, "7")
    assert not (host.root / "sys/none").exists()
    with pytest.raises(HostError) as caught:
        host.read("/sys/kernel/few")
    assert caught.value.errno == errno.EISDIR
    with pytest.raises(HostError) as caught:
        host.listdir("/sys/kernel/few/word")
    assert caught.value.errno == errno.ENOTDIR


@pytest.mark.parametrize("path", ["/sys/../etc/passwd", "sys/kernel/few/word", ""])
def test_paths_that_could_lead_elsewhere_are_refused(host: LocalHost, path: str) -> None:
    with pytest.raises(HostError, match="absolute"):
        host.read(path)


def test_a_tree_is_read_whole(host: LocalHost) -> None:
    assert read_tree(host, "/sys/kernel/few") == {"word": "vaddr", "inner/lines": "one\ntwo"}
    with pytest.raises(HostError):
        read_tree(host, "/sys/none")


def test_a_host_that_reads_trees_in_one_go_is_asked_to(host: LocalHost) -> None:
    class Quick(LocalHost):
        def read_tree(self, folder: str) -> dict[str, str]:
            return {"asked": folder}

    assert not isinstance(host, TreeReader)
    assert read_tree(Quick(host.root), "/sys") == {"asked": "/sys"}


def test_a_table_is_read_from_the_tree_where_a_host_has_no_quicker_way(host: LocalHost) -> None:
    for number in ("1", "10", "all"):
        folder = host.root / "sys/t" / number
        folder.mkdir(parents=True)
        (folder / "age").write_text(f"{number}\n")
        (folder / "sz").write_text("4\n")
    assert read_table(host, "/sys/t", ["sz", "age"]) == {1: ["4", "1"], 10: ["4", "10"]}


@pytest.mark.parametrize("path", ["/sys/kernel/mm", "/proc/swaps", "/sys/nothing/there"])
def test_switched_off_the_machines_own_files_are_refused_before_they_are_opened(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "off")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    (tmp_path / "sys").symlink_to("/sys")
    (tmp_path / "proc").symlink_to("/proc")
    for root in (Path("/"), tmp_path):
        host = LocalHost(root)
        with monkeypatch.context() as patched:
            patched.setattr("os.open", never)
            patched.setattr("os.listdir", never)
            patched.setattr("io.open", never)
            for action in (host.read, host.listdir, host.exists, lambda p, host=host: host.write(p, "1")):
                with pytest.raises(BackendError, match=f"unset {SWITCH}") as caught:
                    action(path)
                assert not isinstance(caught.value, HostError)


def test_switched_off_a_fake_tree_still_works(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    assert host.read("/sys/kernel/few/word") == "vaddr"
    assert not host.exists("/sys/kernel/mm")


def test_an_agent_is_a_host_like_any_other(host: LocalHost) -> None:
    with AgentLink(agent_argv(str(host.root), None)) as link:
        assert read_tree(AgentHost(link, "agent"), "/sys/kernel/few") == read_tree(host, "/sys/kernel/few")
