"""What a machine's kernel can do for damoos, and for each thing that is missing the line that fixes it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from damoos.damon.features import kernel_version
from damoos.errors import HostError
from damoos.kernel import abi
from damoos.kernel.features import Features, probe
from damoos.kernel.guards import damon_users
from damoos.kernel.host import Host
from damoos.kernel.hosts import kernels, qemu
from damoos.kernel.patience import Patience

from .sites import LocalSite, Site

_OSRELEASE = "/proc/sys/kernel/osrelease"
_SWAPS = "/proc/swaps"
_PSI = "/proc/pressure/memory"
_THP = "/sys/kernel/mm/transparent_hugepage/enabled"
_CGROUP = "/sys/fs/cgroup/cgroup.controllers"
_NODES = "/sys/devices/system/node/has_memory"
# A look, not a wait: who holds the lock for longer than this uses DAMON.
_LOOK = Patience(deadline_s=2.0)


class Verdict(StrEnum):
    """`bad` keeps damoos from tuning here, `note` only keeps it from some of it."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, what that allows or prevents, the line that changes it."""

    name: str
    verdict: Verdict
    found: str
    means: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a host; `kernel` is its release."""

    host: str
    kernel: str
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether damoos can tune here now."""
        return all(finding.verdict is not Verdict.BAD for finding in self.findings)


def examine(site: Site, *, try_words: bool = False) -> Diagnosis:
    """Looks at a machine; writes nothing.

    With `try_words`, where nobody uses DAMON, it stages one of everything, tries which words the kernel takes, and puts
    everything back (locked and journaled). Raises BackendError where this machine's own kernel is switched off.
    """
    host = site.host
    release = host.read(_OSRELEASE)
    findings = [Finding("kernel", Verdict.OK, release), *_damon(site, try_words)]
    findings += [_swap(host), _thp(host), _psi(host), _cgroup(host), _nodes(host)]
    if isinstance(site, LocalSite):
        findings += [_rights(), _virtual_machines()]
    return Diagnosis(host.name, release, tuple(findings))


def _damon(site: Site, try_words: bool) -> Iterator[Finding]:
    host = site.host
    if not host.exists(f"{abi.KDAMONDS}/nr_kdamonds"):
        yield Finding(
            "DAMON",
            Verdict.BAD,
            f"no {abi.KDAMONDS}",
            "this kernel has no DAMON, or sysfs is not mounted",
            "boot a kernel 5.18 or newer with CONFIG_DAMON_SYSFS=y, CONFIG_DAMON_VADDR=y and CONFIG_DAMON_PADDR=y",
        )
        return
    try:
        host.read(f"{abi.KDAMONDS}/nr_kdamonds")
    except HostError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise
        fix = "sudo damoos doctor"
        yield Finding("DAMON", Verdict.BAD, "may not be read", "its files are root's", fix)
        return
    holder, left_over = site.holder(), site.left_over()
    if holder is not None:
        yield Finding(
            "in use", Verdict.BAD, f"another damoos (pid {holder})", "one at a time", f"wait, or kill {holder}"
        )
    else:
        for journal in left_over:
            means = "a damoos died here, and its changes are still in force"
            yield Finding("left over", Verdict.BAD, journal, means, restore_line(site))
    users = damon_users(host, _LOOK)
    for user in users:
        pid = "" if user.pid is None else f" (pid {user.pid})"
        means = "damoos never takes over from others, and starts only where DAMON is free"
        yield Finding("in use", Verdict.BAD, f"{user.what}{pid}", means, user.how_to_free)
    free = not users and holder is None
    if free:
        yield Finding("in use", Verdict.OK, "by nobody")
    if try_words and free and not left_over:
        with site.journaled(_LOOK) as journaled:
            features = probe(journaled, scratch=True, patience=_LOOK)
    else:
        features = probe(host, scratch=False, patience=_LOOK)
    yield from _abilities(features)


def restore_line(site: Site) -> str:
    """The command that undoes what was left over on a machine."""
    return "sudo damoos doctor --restore" if isinstance(site, LocalSite) else f"damoos doctor {site.name} --restore"


def _abilities(features: Features) -> Iterator[Finding]:
    if features.tried:
        yield Finding("features", Verdict.OK, "each was tried")
    else:
        yield Finding("features", Verdict.OK, "as seen, or as the version has them", "`damoos doctor --try` tries each")
    for name, what, kernel_option in (
        ("vaddr", "processes", "CONFIG_DAMON_VADDR"),
        ("fvaddr", "address ranges of processes", "CONFIG_DAMON_VADDR"),
        ("paddr", "physical memory", "CONFIG_DAMON_PADDR"),
    ):
        if name in features.ops:
            yield Finding(name, Verdict.OK, f"{what} can be monitored")
        else:
            verdict = Verdict.BAD if name == "vaddr" else Verdict.NOTE
            yield Finding(name, verdict, "not there", f"{what} can't be monitored", f"a kernel with {kernel_option}=y")
    yield Finding("actions", Verdict.OK, ", ".join(features.actions))
    by_version: dict[str, list[str]] = {}
    for name, since in features.missing.items():
        by_version.setdefault(since.removeprefix("needs Linux "), []).append(name)
    for since, names in sorted(by_version.items(), key=lambda entry: kernel_version(entry[0])):
        yield Finding("lacks", Verdict.NOTE, ", ".join(names), fix=f"Linux {since} or newer")


def _swap(host: Host) -> Finding:
    lines = [line.split() for line in (_read(host, _SWAPS) or "").splitlines()[1:]]
    if lines:
        found = ", ".join(f"{name} ({_swap_kind(name, kind)}, {int(kib) >> 10} MiB)" for name, kind, kib, *_ in lines)
        return Finding("swap", Verdict.OK, found, "pageout saves any memory")
    fix = "sudo modprobe zram && sudo zramctl --find --size 4G, then mkswap and swapon it"
    return Finding("swap", Verdict.NOTE, "none", "pageout saves only memory of files", fix)


def _swap_kind(name: str, kind: str) -> str:
    return "memory, compressed" if name.startswith("/dev/zram") else kind


def _thp(host: Host) -> Finding:
    text = _read(host, _THP)
    if text is None:
        fix = "a kernel with CONFIG_TRANSPARENT_HUGEPAGE=y"
        return Finding("huge pages", Verdict.NOTE, "none", "hugepage and nohugepage do nothing", fix)
    chosen = re.search(r"\[(\w+)\]", text)
    policy = chosen[1] if chosen else text
    if policy == "madvise":
        return Finding("huge pages", Verdict.OK, policy, "hugepage and nohugepage decide")
    fix = f"echo madvise | sudo tee {_THP}"
    means = "hugepage does nothing" if policy == "never" else "all memory has them but for nohugepage"
    return Finding("huge pages", Verdict.NOTE, policy, means, fix)


def _psi(host: Host) -> Finding:
    try:
        text = _read(host, _PSI)
    except HostError as error:
        # Kernel: built in but switched off, opening it says EOPNOTSUPP.
        if error.errno != errno.EOPNOTSUPP:
            raise
        text = None
    if text is not None:
        return Finding("pressure", Verdict.OK, "measured (PSI)", "goals on some_mem_psi_us work")
    fix = "psi=1 on the kernel command line, or a kernel with CONFIG_PSI=y"
    return Finding("pressure", Verdict.NOTE, "not measured", "goals on some_mem_psi_us are never met", fix)


def _cgroup(host: Host) -> Finding:
    controllers = _read(host, _CGROUP)
    if controllers is not None and "memory" in controllers.split():
        return Finding("cgroups", Verdict.OK, "version 2 with memory", "groups can be filtered and measured")
    found = "version 1 or none" if controllers is None else "version 2 without memory"
    fix = "systemd.unified_cgroup_hierarchy=1 on the kernel command line, without cgroup_disable=memory"
    return Finding("cgroups", Verdict.NOTE, found, "groups can't be measured", fix)


def _nodes(host: Host) -> Finding:
    text = (_read(host, _NODES) or "0").strip()
    if re.search(r"[-,]", text):
        return Finding("nodes", Verdict.OK, text, "migrate_hot and migrate_cold have somewhere to go")
    fix = "`damoos vm` can give a virtual machine a second node"
    return Finding("nodes", Verdict.NOTE, "one", "migrate_hot and migrate_cold have nowhere to go", fix)


def _rights() -> Finding:
    if os.geteuid() == 0:
        return Finding("rights", Verdict.OK, "root")
    means = "DAMON's files are root's; simulating and tuning in a VM need no root"
    return Finding("rights", Verdict.NOTE, "not root", means, "sudo for what touches this machine's DAMON")


def _virtual_machines() -> Finding:
    programs = {"qemu-system-x86": qemu.PROGRAM, "busybox-static": "busybox"}
    packages = [package for package, program in programs.items() if shutil.which(program) is None]
    fetched = sorted({kernel.series for kernel in kernels.cached()}, key=kernel_version)
    if packages or not fetched:
        fixes = [f"sudo apt install {' '.join(packages)}"] if packages else []
        fixes += [] if fetched else ["damoos vm fetch"]
        missing = " and no ".join([*(programs[package] for package in packages), *([] if fetched else ["kernel"])])
        return Finding("vm", Verdict.NOTE, f"no {missing}", "--backend vm has nothing to boot", "; ".join(fixes))
    problem = qemu.kvm_problem()
    time = "in real time too if KVM works" if problem is None else f"not in real time ({problem})"
    return Finding("vm", Verdict.OK, f"Linux {', '.join(fetched)}", f"--backend vm boots them in virtual time, {time}")


def _read(host: Host, path: str) -> str | None:
    """What a file says; None if there is none."""
    return host.read(path) if host.exists(path) else None
