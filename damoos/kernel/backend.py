"""Real kernels as backends: `vm[:VERSION or NAME]`, `host`, `ssh:USER@HOST`."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from damoos.backend.base import Capabilities, Workload
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, DamonInUseError, InputError, SetUpError
from damoos.workload.pace import Pace

from . import abi
from .dry_run import dry_run_text
from .hosts import kernels, machines, qemu
from .place import Place, connect_guest, connect_local, connect_ssh, connect_vm
from .program import Program, staged
from .session import KernelSession, Setting

SAMPLE_EVERY_S = 0.5
VM_SAMPLE_EVERY_S = 0.1
_VM_BYTES = 1600 << 20
_PLACEHOLDER_PID = 4194304  # the kernel's own limit: no process has it


class Pool:
    """Connected machines that are used one run at a time; connects when one is needed."""

    def __init__(self, connect: Callable[[], Place], size: int) -> None:
        self._connect, self._size = connect, size
        self._lock = threading.Lock()
        self._free: list[Place] = []
        self._used = 0

    def take(self) -> Place:
        """A machine, until `give_back`. Raises BackendError as connecting does, and if all are in use."""
        with self._lock:
            if self._used >= self._size:
                raise BackendError("runs on one host never overlap: close the other session first")
            self._used += 1
            if self._free:
                return self._free.pop()
        try:
            return self._connect()
        except BaseException:
            with self._lock:
                self._used -= 1
            raise

    def give_back(self, place: Place, good: bool) -> None:
        """Ends the use of a machine; one that is not good is left, and the next user gets another connection."""
        with self._lock:
            self._used -= 1
            if good:
                self._free.append(place)
        if not good:
            place.close()

    def close(self) -> None:
        """Leaves all machines that are not in use."""
        with self._lock:
            places, self._free = self._free, []
        for place in places:
            place.close()


@dataclass(frozen=True)
class KernelBackend:
    """Runs workloads on machines with real kernels; see `damoos.backend.base.Backend`.

    `kernel`: which one was asked for, where it could be chosen. `sample_every_s`: how often memory is sampled there.
    """

    name: str
    time_kind: str
    kernel: str
    pace: Pace
    sample_every_s: float
    slots: int = field(repr=False)
    pool: Pool = field(repr=False, compare=False)
    outputs: Path | None = field(default=None, repr=False, compare=False)

    def probe(self) -> Capabilities:
        """See Backend.probe."""
        place = self.pool.take()
        try:
            return place.features.capabilities(self.name, self.time_kind)
        finally:
            self.pool.give_back(place, good=True)

    def preview(self, kdamonds: Kdamonds) -> str:
        """See Backend.preview."""
        place = self.pool.take()
        try:
            with place.awake():
                pids = (_PLACEHOLDER_PID,) if kdamonds.context.ops != "paddr" else ()
                writes = place.control.plan(staged(kdamonds, Program(None, {})), pids)
        finally:
            self.pool.give_back(place, good=True)
        text = dry_run_text(writes, keywords=[(f"{abi.KDAMONDS}/0/state", "on")])
        return text.replace(str(_PLACEHOLDER_PID), "(pid of the workload)")

    def start(self, workload: Workload, kdamonds: Kdamonds | None, seed: int) -> KernelSession:
        """See Backend.start."""
        try:
            place = self.pool.take()
        except DamonInUseError:
            raise
        except BackendError as error:
            raise SetUpError(str(error)) from error
        setting = Setting(
            backend=self.name,
            time_kind=self.time_kind,
            workload=workload,
            kdamonds=kdamonds,
            seed=seed,
            pace=self.pace,
            sample_every_s=self.sample_every_s,
            output=None if self.outputs is None else self.outputs / _output_name(kdamonds, seed),
        )
        return KernelSession(place, setting, lambda good: self.pool.give_back(place, good))

    def close(self) -> None:
        """See Backend.close."""
        self.pool.close()


def open_vm(
    detail: str = "",
    *,
    timing: str = "work",
    pace: Pace | None = None,
    sample_every_s: float = VM_SAMPLE_EVERY_S,
    trace: bool = False,
    outputs: Path | None = None,
    machine: qemu.Machine | None = None,
) -> KernelBackend:
    """Guests that are booted for it, one a CPU, of the kernel `detail` (a version such as 7.3; default the newest that
    was fetched), or the guest of that name that `damoos vm start` left.

    `trace` is not to be had: results are without. Raises InputError for a guest that is not there, BackendError if the
    kernel was not fetched.
    """
    if detail and not detail[0].isdigit():
        kinds = {guest.name: guest.machine.time_kind for guest in machines.running()}
        if detail not in kinds:
            known = ", ".join(f"vm:{name}" for name in kinds) or "none is; `damoos vm start` starts one"
            raise InputError("no such VM is running", field="backend", value=f"vm:{detail}", allowed=known)
        return KernelBackend(
            name=f"vm:{detail}",
            time_kind=kinds[detail],
            kernel="",
            pace=pace_of(timing, pace),
            sample_every_s=sample_every_s,
            slots=1,
            pool=Pool(lambda: connect_guest(detail), 1),
            outputs=outputs,
        )
    kernel = kernels.find(detail)
    machine = machine if machine is not None else qemu.Machine()
    slots = _nr_guests(machine) if machine.accel == "tcg" else 1
    return KernelBackend(
        name=f"vm:{kernel.series}",
        time_kind=machine.time_kind,
        kernel=f"{kernel.release}, {machine}",
        pace=pace_of(timing, pace),
        sample_every_s=sample_every_s,
        slots=slots,
        pool=Pool(lambda: connect_vm(kernel, machine), slots),
        outputs=outputs,
    )


def open_host(
    detail: str = "",
    *,
    timing: str = "work",
    pace: Pace | None = None,
    sample_every_s: float = SAMPLE_EVERY_S,
    trace: bool = False,
    outputs: Path | None = None,
) -> KernelBackend:
    """This machine. `trace` is not to be had. Raises InputError."""
    if detail:
        raise InputError("has no detail", field="backend", value=f"host:{detail}", allowed="host")
    pool = Pool(lambda: connect_local(Path("/")), 1)
    return KernelBackend("host", "real", "", pace_of(timing, pace), sample_every_s, 1, pool, outputs=outputs)


def open_ssh(
    detail: str = "",
    *,
    timing: str = "work",
    pace: Pace | None = None,
    sample_every_s: float = SAMPLE_EVERY_S,
    trace: bool = False,
    outputs: Path | None = None,
) -> KernelBackend:
    """Another machine by ssh. `trace` is not to be had. Raises InputError."""
    if not detail:
        raise InputError("says no machine", field="backend", value="ssh", allowed="ssh:USER@HOST")
    pool = Pool(lambda: connect_ssh(detail), 1)
    return KernelBackend(f"ssh:{detail}", "real", "", pace_of(timing, pace), sample_every_s, 1, pool, outputs=outputs)


def pace_of(timing: str, pace: Pace | None) -> Pace:
    """The pace that these options name together. Raises InputError for an unknown timing."""
    if timing not in ("work", "time"):
        raise InputError("unknown timing", field="timing", value=timing, allowed="work, time")
    return pace if pace is not None else Pace(timing="work" if timing == "work" else "time")


def _nr_guests(machine: qemu.Machine) -> int:
    # Each keeps a CPU of this machine busy, and may come to use all of its own memory.
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    need = _VM_BYTES + ((machine.memory_mib + machine.far_mib - 1024) << 20)
    return max(1, min(len(os.sched_getaffinity(0)), free // need))


def _output_name(kdamonds: Kdamonds | None, seed: int) -> str:
    scheme = "none" if kdamonds is None else hashlib.sha256(repr(kdamonds).encode()).hexdigest()[:10]
    return f"{scheme}-seed{seed}.txt"
