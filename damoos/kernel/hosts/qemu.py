"""The virtual machine as a value, and QEMU's command line for it.

By default its time is virtual: the guest's clock counts the instructions that it executes (2 ns each), so fixed work
takes the same time whatever else this machine does, and idle time costs nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from damoos.errors import BackendError, ConfigError

from .kernels import Kernel

PROGRAM = "qemu-system-x86_64"
Accel = Literal["tcg", "kvm"]
_MEMORY_MIB = (256, 1 << 20)
_KVM_CREATE_VM = 0xAE01


@dataclass(frozen=True)
class Machine:
    """A virtual machine.

    memory_mib: RAM of node 0, 256 MiB to 1 TiB. far_mib: RAM of a second node without CPU, as a CXL tier; 0: none.
    zram_mib: size of the swap device; 0: no swap. cpus: more than one only with kvm. rest_s: guest seconds of rest
    after boot. damon_stat: leave the kernel's own DAMON user on. append: more words for the
    kernel's command line. Raises ConfigError for values out of range.
    """

    memory_mib: int = 1024
    far_mib: int = 0
    zram_mib: int = 1024
    accel: Accel = "tcg"
    cpus: int = 1
    rest_s: int = 10
    seed: int = 1
    damon_stat: bool = False
    append: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        low, high = _MEMORY_MIB
        for name, least, most in (
            ("memory_mib", low, high),
            ("far_mib", 0, high),
            ("zram_mib", 0, high),
            ("cpus", 1, 255 if self.accel == "kvm" else 1),
            ("rest_s", 0, 3600),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError("out of range", field=name, value=value, allowed=f"{least} to {most}")
        if self.accel not in ("tcg", "kvm"):
            raise ConfigError("not a way to run a VM", field="accel", value=self.accel, allowed="tcg, kvm")

    @property
    def time_kind(self) -> str:
        """`virtual` where time counts instructions, `real` where it is this machine's."""
        return "virtual" if self.accel == "tcg" else "real"


def command(kernel: Kernel, image: Path, machine: Machine, folder: Path) -> list[str]:
    """QEMU's command line; its sockets and the console's text lie in `folder`. Raises BackendError without QEMU."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise BackendError(f"{PROGRAM} is not installed; on Debian and Ubuntu: apt install qemu-system-x86")
    words = [program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    if machine.accel == "kvm":
        words += ["-accel", "kvm", "-cpu", "host", "-smp", str(machine.cpus)]
    else:
        words += ["-accel", "tcg", "-icount", "shift=1,sleep=off", "-cpu", "max", "-smp", "1"]
        words += ["-rtc", "base=2026-01-01T00:00:00,clock=vm"]
    words += ["-seed", str(machine.seed), "-m", str(machine.memory_mib + machine.far_mib)]
    if machine.far_mib:
        for node, mib in enumerate((machine.memory_mib, machine.far_mib)):
            cpus = f",cpus=0-{machine.cpus - 1}" if node == 0 else ""
            words += ["-object", f"memory-backend-ram,id=m{node},size={mib}M"]
            words += ["-numa", f"node,nodeid={node},memdev=m{node}{cpus}"]
    words += ["-kernel", str(kernel.image), "-initrd", str(image), "-append", kernel_line(machine)]
    words += ["-serial", f"file:{folder}/console.log", "-device", "virtio-serial-pci"]
    for name in ("control", "stream"):
        words += ["-chardev", f"socket,id={name},path={folder}/{name}.sock,server=on,wait=off"]
        words += ["-device", f"virtserialport,chardev={name},id={name},name=damoos.{name}"]
    for name in ("qmp", "events", "leash"):
        words += ["-qmp", f"unix:{folder}/{name}.sock,server=on,wait=off"]
    return words


def kernel_line(machine: Machine) -> str:
    """What the guest's kernel and its init are told."""
    words = ["console=ttyS0", "quiet", "panic=-1"]
    if machine.accel == "tcg":
        # QEMU's emulated TLB keeps pages for seconds, and DAMON clears accessed bits without flushing it: hot memory
        # would look idle. With page-table isolation each return to user space empties it.
        words.append("pti=on")
    words += [f"damoos.{name}={int(getattr(machine, name))}" for name in ("zram_mib", "rest_s", "damon_stat")]
    return " ".join([*words, *machine.append])


def kvm_problem() -> str | None:
    """Why this machine can't run a guest with KVM; None if it can. A /dev/kvm that exists may still refuse."""
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    try:
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    except OSError as error:
        return f"/dev/kvm can't make a virtual machine: {error.strerror}"
    finally:
        os.close(device)
    return None
