"""The conformance suite of backends on real kernels in QEMU, and what only real kernels have."""

from __future__ import annotations

import pytest

from damoos.backend.registry import open_backend
from damoos.backend.testing import BackendConformance
from damoos.kernel.backend import KernelBackend

from .conftest import kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

_OPEN: dict[str, KernelBackend] = {}


@pytest.fixture(scope="module", autouse=True)
def backends():  # type: ignore[no-untyped-def]
    """One backend a kernel for the whole module, so that each boots once."""
    yield
    while _OPEN:
        _OPEN.popitem()[1].close()


class KernelConformance(BackendConformance):
    deterministic = False
    slack_s = 0.02
    series = ""

    def make_backend(self, *, trace: bool = False) -> KernelBackend:
        if self.series not in _OPEN:
            kernel(self.series)
            backend = open_backend(f"vm:{self.series}", timing="time")
            assert isinstance(backend, KernelBackend)
            _OPEN[self.series] = backend
        return _OPEN[self.series]


@pytest.mark.xdist_group("6.12")
class TestLinux612(KernelConformance):
    series = "6.12"


@pytest.mark.xdist_group("7.3")
class TestLinux73(KernelConformance):
    series = "7.3"
