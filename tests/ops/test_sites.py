"""Which machine a word names."""

from __future__ import annotations

from pathlib import Path

import pytest

from damoos.errors import BackendError, InputError
from damoos.kernel.hosts import machines
from damoos.ops.sites import LocalSite, open_site


@pytest.fixture(autouse=True)
def _no_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_host_is_the_files_below_a_root(tmp_path: Path) -> None:
    with open_site("host", tmp_path) as site:
        assert isinstance(site, LocalSite) and site.root == tmp_path and site.host.name == f"host:{tmp_path}"


@pytest.mark.parametrize("text", ["", "hosts", "host:", "host:x", "vm:", "ssh", "ssh:", "sim", "sim:zram", ":", "/"])
def test_other_words_are_wrong_input(text: str) -> None:
    with pytest.raises(InputError, match="HOST: not a machine, got .*allowed: host, vm"), open_site(text):
        pass


def test_a_root_goes_with_the_host_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--root"), open_site("vm", tmp_path):
        pass


def test_targets_that_ssh_would_take_for_options_are_wrong_input() -> None:
    with pytest.raises(InputError, match="ssh: not a machine"), open_site("ssh:-oProxyCommand=x"):
        pass


def test_guests_and_kernels_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="no VM named mine is running .running: none.; `damoos vm start`"):
        with open_site("vm:mine"):
            pass
    for text, what in (("vm:7.3", "no kernel 7.3"), ("vm", "no kernel in")):
        with pytest.raises(BackendError, match=f"{what}.*damoos vm fetch"), open_site(text):
            pass
    assert machines.running() == ()
