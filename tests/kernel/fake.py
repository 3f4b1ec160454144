"""A DAMON that exists only in memory but answers as the real ones did: see `tests/data/sysfs` and Linux's own sysfs.c.

Its files and defaults come from the trees of real kernels, not from what damoos knows about them.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from damoos.damon.features import FIRST_KERNEL, kernel_version
from damoos.errors import HostError
from damoos.kernel import abi
from damoos.kernel.abi import KDAMONDS, Kind, pattern_of
from damoos.kernel.tree import decode

from .trees import tree

MODULE_USERS = {"6.12": ("damon_reclaim", "damon_lru_sort"), "7.3": ("damon_stat", "damon_reclaim", "damon_lru_sort")}
KEYWORDS = {
    "#/contexts/#/schemes/#/action": "action=",
    "#/contexts/#/operations": "ops=",
    "#/contexts/#/schemes/#/quotas/goals/#/target_metric": "goals.target_metric=",
    "#/contexts/#/schemes/#/filters/#/type": "filters.type=",
}
# What takes the global lock, and so answers EBUSY while a command runs.
LOCKED = ("#/state", "#/pid")


@dataclass
class FakeTree:
    """A Host: the DAMON of one of the recorded kernels.

    `alive`: pids of processes. `regions` and `stats`: what update keywords report. `tuned`: what the kernel tuned
    sample_us and aggr_us to. `busy`: how many of the next locked accesses answer EBUSY. `writes` are kept.
    """

    kernel: str = "7.3"
    alive: set[int] = field(default_factory=lambda: {100, 200})
    regions: list[tuple[int, int, int, int]] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    effective_bytes: int = 0
    tuned: tuple[int, int] = (0, 0)
    busy: int = 0
    writes: list[tuple[str, str]] = field(default_factory=list)
    name: str = "fake"

    def __post_init__(self) -> None:
        self.running: set[int] = set()
        self.ended: set[int] = set()
        self.modes: dict[str, int] = {}
        self.defaults: dict[str, str] = {}
        for path, entry in (tree(self.kernel, running=True) | tree(self.kernel)).items():
            self.modes[pattern_of(path)] = entry.mode
            self.defaults[pattern_of(path)] = "0" if "/nr_" in f"/{path}" and self._is_count(path) else entry.value
        self.files: dict[str, str] = {
            f"{KDAMONDS}/nr_kdamonds": "0",
            "/proc/sys/kernel/osrelease": f"{self.kernel}.4-amd64",
            "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555",
        }
        for module in MODULE_USERS[self.kernel]:
            self.files[f"/sys/module/{module}/parameters/enabled"] = "N"
            self.files[f"/sys/module/{module}/parameters/kdamond_pid"] = "-1"

    @staticmethod
    def _is_count(path: str) -> bool:
        file = abi.file_of(path)
        return file is not None and file.kind is Kind.COUNT

    # --- the Host

    def read(self, path: str) -> str:
        self._lock(path)
        if path not in self.files:
            raise HostError(path, errno.EISDIR if self.exists(path) else errno.ENOENT, "no such file")
        pattern = pattern_of(path.removeprefix(f"{KDAMONDS}/"))
        if pattern == "#/contexts/#/avail_operations":
            return "vaddr\nfvaddr\npaddr"
        return self.files[path]

    def listdir(self, path: str) -> list[str]:
        if not self.exists(path) or path in self.files:
            raise HostError(path, errno.ENOENT, "no such folder")
        return sorted({name[len(path) + 1 :].split("/")[0] for name in self.files if name.startswith(f"{path}/")})

    def exists(self, path: str) -> bool:
        return path in self.files or any(name.startswith(f"{path}/") for name in self.files)

    def write(self, path: str, value: str) -> None:
        self._lock(path, value)
        if path not in self.files:
            raise HostError(path, errno.ENOENT, os.strerror(errno.ENOENT), value=value)
        self.writes.append((path, value))
        below = path.removeprefix(f"{KDAMONDS}/")
        pattern = pattern_of(below)
        if below == path:
            self.files[path] = value
        elif not self.modes[pattern] & 0o200:
            self._fail(path, value, errno.EACCES)
        elif pattern == "#/state":
            self._command(int(below.split("/")[0]), path, value)
        elif self._is_count(below):
            self._recreate(path, below, value)
        else:
            self.files[path] = self._checked(path, pattern, value)

    # --- what a kernel does

    def _fail(self, path: str, value: str, number: int) -> None:
        raise HostError(path, number, os.strerror(number), value=value)

    def _lock(self, path: str, value: str | None = None) -> None:
        below = path.removeprefix(f"{KDAMONDS}/")
        locked = pattern_of(below) in LOCKED or (value is not None and self._is_count(below))
        if locked and path != below and self.busy:
            self.busy -= 1
            raise HostError(path, errno.EBUSY, os.strerror(errno.EBUSY), value=value)

    def _recreate(self, path: str, below: str, value: str) -> None:
        if not value.isdecimal():
            self._fail(path, value, errno.EINVAL)
        if below == "nr_kdamonds" and self.running:
            self._fail(path, value, errno.EBUSY)
        if below.endswith("nr_contexts") and int(value) > 1:
            self._fail(path, value, errno.EINVAL)
        if below == "nr_kdamonds":
            self.ended.clear()
        self.files[path] = value
        folder = path.rpartition("/")[0]
        self._drop_numbered(folder)
        for number in range(int(value)):
            self._create(f"{folder}/{number}")

    def _drop_numbered(self, folder: str) -> None:
        for name in list(self.files):
            if name.startswith(f"{folder}/") and name[len(folder) + 1 :].split("/")[0].isdecimal():
                del self.files[name]

    def _create(self, folder: str) -> None:
        """A numbered folder with all files that are not inside further numbered ones."""
        pattern = pattern_of(folder.removeprefix(f"{KDAMONDS}/"))
        for known, default in self.defaults.items():
            rest = known.removeprefix(f"{pattern}/")
            if rest != known and "#" not in rest:
                self.files[f"{folder}/{rest}"] = default

    def _checked(self, path: str, pattern: str, value: str) -> str:
        file = abi.BY_PATTERN[pattern]
        if file.kind is Kind.WORD:
            since = FIRST_KERNEL.get(KEYWORDS.get(pattern, "") + value, "5.18")
            if value not in file.words or kernel_version(since) > kernel_version(self.kernel):
                self._fail(path, value, errno.EINVAL)
        elif file.kind is Kind.BOOL:
            if value not in ("Y", "N"):
                self._fail(path, value, errno.EINVAL)
        elif file.kind in (Kind.U32, Kind.U64):
            if not value.isdecimal() or (pattern.endswith("/addr_unit") and int(value) == 0):
                self._fail(path, value, errno.EINVAL)
            if int(value) >= (1 << 32 if file.kind is Kind.U32 else 1 << 64):
                self._fail(path, value, errno.ERANGE)
        return value

    def _command(self, number: int, path: str, keyword: str) -> None:
        modern = self.kernel != "6.12"
        on = number in self.running
        since = abi.STATE_KEYWORDS.get(keyword)
        if since is None or kernel_version(since) > kernel_version(self.kernel):
            self._fail(path, keyword, errno.EINVAL)
        if keyword == "on":
            if on or any(self.files.get(f"/sys/module/{m}/parameters/enabled") == "Y" for m in abi.MODULE_USERS):
                self._fail(path, keyword, errno.EBUSY)
            if not self._attributes_are_good(number):
                self._fail(path, keyword, errno.EINVAL)
            self._set_running(number, True)
        elif not on:
            self._command_while_off(number, path, keyword)
        elif keyword == "off":
            self._set_running(number, False)
        elif self.files[f"{KDAMONDS}/{number}/contexts/nr_contexts"] != "1":
            self._fail(path, keyword, errno.EINVAL)
        elif keyword == "commit":
            # 6.12 says ok to what it can't use, and ends; later kernels refuse and go on.
            if not self._attributes_are_good(number):
                if modern:
                    self._fail(path, keyword, errno.EINVAL)
                self._set_running(number, False)
        else:
            self._update(f"{KDAMONDS}/{number}/contexts/0", keyword)

    def _command_while_off(self, number: int, path: str, keyword: str) -> None:
        modern, ended = self.kernel != "6.12", number in self.ended
        if modern and (keyword == "clear_schemes_tried_regions" or (keyword == "off" and ended)):
            return
        if ended:
            self._fail(path, keyword, errno.ECANCELED if modern else errno.EPERM if keyword == "off" else errno.EINVAL)
        self._fail(path, keyword, errno.EINVAL)

    def _set_running(self, number: int, on: bool) -> None:
        (self.running.add if on else self.running.discard)(number)
        (self.ended.discard if on else self.ended.add)(number)
        self.files[f"{KDAMONDS}/{number}/state"] = "on" if on else "off"
        self.files[f"{KDAMONDS}/{number}/pid"] = str(4000 + number) if on else "-1"

    def target_exits(self, number: int = 0) -> None:
        self._set_running(number, False)

    def _attributes_are_good(self, number: int) -> bool:
        base = f"{KDAMONDS}/"
        kdamond = decode({p.removeprefix(base): v for p, v in self.files.items() if p.startswith(base)}).kdamonds[
            number
        ]
        if len(kdamond.contexts) != 1:
            return False
        context = kdamond.contexts[0]
        return (
            context.intervals.sample_us <= context.intervals.aggr_us
            and 3 <= context.nr_regions.min <= context.nr_regions.max
            and (context.ops == "paddr" or all(target.pid in self.alive for target in context.targets))
        )

    def _update(self, context: str, keyword: str) -> None:
        schemes = int(self.files[f"{context}/schemes/nr_schemes"])
        for scheme in (f"{context}/schemes/{s}" for s in range(schemes)):
            if keyword == "update_schemes_stats":
                for name, value in self.stats.items():
                    if f"{scheme}/stats/{name}" in self.files:
                        self.files[f"{scheme}/stats/{name}"] = str(value)
            elif keyword == "update_schemes_effective_quotas":
                self.files[f"{scheme}/quotas/effective_bytes"] = str(self.effective_bytes)
            elif keyword.endswith("schemes_tried_regions"):
                self._drop_numbered(f"{scheme}/tried_regions")
                shown = self.regions if keyword.startswith("update") else []
                for number, region in enumerate(shown):
                    self._create(f"{scheme}/tried_regions/{number}")
                    for name, value in zip(("start", "end", "nr_accesses", "age"), region, strict=True):
                        self.files[f"{scheme}/tried_regions/{number}/{name}"] = str(value)
                total = sum(end - start for start, end, _, _ in shown)
                self.files[f"{scheme}/tried_regions/total_bytes"] = str(total)
        if keyword == "update_tuned_intervals" and any(self.tuned):
            intervals = f"{context}/monitoring_attrs/intervals"
            self.files[f"{intervals}/sample_us"], self.files[f"{intervals}/aggr_us"] = map(str, self.tuned)


def plant(host: FakeTree, root: Path) -> None:
    """The files of a fake as real ones below `root`, for what reads through LocalHost."""
    for path, text in host.files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
