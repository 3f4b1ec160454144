"""Guests with real kernels for the tests: one boot per kernel, for all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from damoos.errors import BackendError
from damoos.kernel.backend import KernelBackend, Pool
from damoos.kernel.hosts import kernels, machines, qemu
from damoos.kernel.hosts.vm import VmHost
from damoos.kernel.place import connect_booted
from damoos.workload.pace import Pace

SERIES = ("6.12", "7.3")


def missing(reason: str) -> NoReturn:
    """Skips, or fails where kernel tests are asked for."""
    if os.environ.get("DAMOOS_KERNEL_TESTS") == "1":
        pytest.fail(f"DAMOOS_KERNEL_TESTS=1, but {reason}")
    pytest.skip(reason)


def kernel(series: str) -> kernels.Kernel:
    """A fetched kernel to boot with QEMU; skips or fails without."""
    for program, package in ((qemu.PROGRAM, "qemu-system-x86"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            missing(f"{program} is not installed (apt install {package})")
    try:
        return kernels.find(series)
    except BackendError as error:
        missing(str(error))


def on_guest(vm: VmHost, outputs: Path, pace: Pace) -> KernelBackend:
    """A backend on a booted guest, where runs go one after the other."""
    return KernelBackend(
        name=vm.name,
        time_kind="virtual",
        kernel="",
        pace=pace,
        sample_every_s=0.1,
        slots=1,
        pool=Pool(lambda: connect_booted(vm), 1),
        outputs=outputs,
    )


@pytest.fixture(scope="session", params=SERIES)
def vm(request: pytest.FixtureRequest) -> Iterator[VmHost]:
    """A guest of each kernel, with a second node; leave it as you found it."""
    with machines.boot(kernel(request.param), qemu.Machine(far_mib=256)) as host:
        yield host


@pytest.fixture(scope="session")
def new_vm_kernel() -> kernels.Kernel:
    """The newest kernel, for tests that boot a guest of their own."""
    return kernel(SERIES[-1])
