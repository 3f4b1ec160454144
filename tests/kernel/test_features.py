"""What a kernel can do, by looking and trying, against the trees of real kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from damoos.damon.features import FIRST_KERNEL, kernel_version
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.errors import BackendError
from damoos.kernel import abi
from damoos.kernel.control import Control
from damoos.kernel.features import probe
from damoos.kernel.host import LocalHost
from damoos.kernel.patience import Patience

from .fake import FakeTree
from .trees import KERNELS, tree

QUICK = Patience(0.1, 0.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_trying_finds_exactly_the_files_of_the_real_tree(kernel: str) -> None:
    found = probe(FakeTree(kernel), scratch=True, patience=QUICK)
    # What only a running kdamond shows is assumed, by version.
    running = {abi.pattern_of(path) for path in tree(kernel, running=True)}
    real = {abi.pattern_of(path) for path in tree(kernel)} | running
    assert found.files - {"#/contexts/#/schemes/#/tried_regions/#/probes/#/hits"} == real
    assert all("tried_regions/#" in pattern for pattern in found.assumed)
    assert found.tried and found.kernel.startswith(kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_missing_is_what_came_later(kernel: str) -> None:
    for scratch in (False, True):
        missing = probe(FakeTree(kernel), scratch=scratch, patience=QUICK).missing
        later = {name: since for name, since in FIRST_KERNEL.items() if kernel_version(since) > kernel_version(kernel)}
        assert missing == {name: f"needs Linux {since}" for name, since in later.items()}


def test_every_entry_can_be_asked_for() -> None:
    found = probe(FakeTree("7.3"), scratch=True, patience=QUICK)
    assert all(found.has(name) for name in FIRST_KERNEL)
    with pytest.raises(KeyError):
        found.has("teleport")


@pytest.mark.parametrize("staged", [None, Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])])
def test_trying_leaves_what_was_staged(staged: Kdamonds | None) -> None:
    host = FakeTree()
    if staged is not None:
        Control(host, abi.files_of("7.3"), QUICK).stage(staged, [100])
    before = dict(host.files)
    probe(host, scratch=True, patience=QUICK)
    assert host.files == before


def test_looking_writes_nothing_and_says_what_it_assumed() -> None:
    host = FakeTree()
    found = probe(host, scratch=False, patience=QUICK)
    assert host.writes == [] and not found.tried
    assert found.files == abi.files_of("7.3") and "#/state" in found.assumed


def test_a_file_that_is_not_there_counts_more_than_the_version() -> None:
    host = FakeTree("7.3")
    del host.defaults["#/contexts/#/schemes/#/target_nid"]
    Control(host, abi.files_of("7.3") - {"#/contexts/#/schemes/#/target_nid"}, QUICK).stage(
        Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT]), [100]
    )
    for scratch in (False, True):
        found = probe(host, scratch=scratch, patience=QUICK)
        assert not found.has("target_nid") and found.has("dests")


def test_an_operations_set_that_is_not_registered_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeTree()
    real = host.read
    monkeypatch.setattr(host, "read", lambda path: "vaddr" if path.endswith("avail_operations") else real(path))
    found = probe(host, scratch=True, patience=QUICK)
    assert found.ops == ("vaddr",)
    assert "lru_prio" not in found.actions and "hugepage" in found.actions


def test_capabilities_say_the_same() -> None:
    offered = probe(FakeTree("6.12"), scratch=True, patience=QUICK).capabilities("host", "real")
    assert offered.ops == ("vaddr", "fvaddr", "paddr") and offered.time_kind == "real"
    assert "pageout" in offered.actions and "collapse" not in offered.actions
    assert offered.missing["action=collapse"] == "needs Linux 7.2"


def test_a_machine_without_damon_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text("5.10.0-1-amd64\n")
    with pytest.raises(BackendError, match=r"5\.10.*CONFIG_DAMON_SYSFS"):
        probe(LocalHost(tmp_path), scratch=False)


def test_a_release_that_is_no_version_is_named() -> None:
    host = FakeTree()
    host.files["/proc/sys/kernel/osrelease"] = "custom"
    with pytest.raises(BackendError, match="custom"):
        probe(host, scratch=False, patience=QUICK)
