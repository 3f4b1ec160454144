"""What a kernel's DAMON can do, found by looking: which files it has and which words it takes.

Versions decide only what can't be looked at: on a machine where nothing is staged and where nothing may be tried, and
what appears only while a kdamond runs. `Features.assumed` says which files that was.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from damoos.backend.base import Capabilities
from damoos.damon.features import FIRST_KERNEL, kernel_version
from damoos.damon.schemes import actions_of
from damoos.errors import BackendError, HostError, InputError

from . import abi
from .host import Host, read_tree
from .patience import Patience
from .plan import is_input, plan_afresh

_OSRELEASE = "/proc/sys/kernel/osrelease"
_OPERATIONS = "#/contexts/#/operations"
_AVAILABLE = "#/contexts/#/avail_operations"
_SCHEME = "#/contexts/#/schemes/#"
_ACTION = f"{_SCHEME}/action"
_METRIC = f"{_SCHEME}/quotas/goals/#/target_metric"
_TUNER = f"{_SCHEME}/quotas/goal_tuner"

# Where each entry of FIRST_KERNEL shows: a file, or a word that one of these files takes.
_SHOWS_AS_FILE: dict[str, str] = {
    "contexts": "#/contexts/nr_contexts",
    "refresh_ms": "#/refresh_ms",
    "addr_unit": "#/contexts/#/addr_unit",
    "pause": "#/contexts/#/pause",
    "intervals_goal": "#/contexts/#/monitoring_attrs/intervals/intervals_goal/aggrs",
    "probes": "#/contexts/#/monitoring_attrs/probes/nr_probes",
    "probes.weight": "#/contexts/#/monitoring_attrs/probes/#/weight",
    "targets.obsolete": "#/contexts/#/targets/#/obsolete_target",
    "target_nid": f"{_SCHEME}/target_nid",
    "dests": f"{_SCHEME}/dests/nr_dests",
    "apply_interval_us": f"{_SCHEME}/apply_interval_us",
    "max_nr_snapshots": f"{_SCHEME}/stats/max_nr_snapshots",
    "filters": f"{_SCHEME}/filters/nr_filters",
    "filters.allow": f"{_SCHEME}/filters/#/allow",
    "goals": f"{_SCHEME}/quotas/goals/nr_goals",
    "fail_charge_num": f"{_SCHEME}/quotas/fail_charge_num",
    "fail_charge_denom": f"{_SCHEME}/quotas/fail_charge_denom",
}
_SHOWS_AS_WORD: dict[str, str] = {
    "ops": _OPERATIONS,
    "action": _ACTION,
    "filters.type": f"{_SCHEME}/filters/#/type",
    "goals.target_metric": _METRIC,
    "goal_tuner": _TUNER,
}


@dataclass(frozen=True)
class Features:
    """`kernel`: its release. `files`: patterns of the files it has, of which `assumed` were not looked at.

    `words`: what each word file takes, by pattern; `tried` says whether that was tried or follows from the version.
    """

    kernel: str
    files: frozenset[str]
    assumed: frozenset[str] = frozenset()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried: bool = False

    @property
    def ops(self) -> tuple[str, ...]:
        """Operations sets."""
        return self.words.get(_OPERATIONS, ())

    @property
    def actions(self) -> tuple[str, ...]:
        """Actions of schemes that do something with at least one of the operations sets."""
        useful = {str(action) for ops in self.ops for action in actions_of(ops)}
        return tuple(action for action in self.words.get(_ACTION, ()) if action in useful)

    @property
    def missing(self) -> dict[str, str]:
        """What damoos could use and this kernel lacks, by the names of `damon.features.FIRST_KERNEL`: since when."""
        return {name: f"needs Linux {since}" for name, since in FIRST_KERNEL.items() if not self.has(name)}

    def has(self, name: str) -> bool:
        """Whether the kernel has an entry of FIRST_KERNEL. Raises KeyError for anything else."""
        if name in _SHOWS_AS_FILE:
            return _SHOWS_AS_FILE[name] in self.files
        kind, _, word = name.partition("=")
        return word in self.words.get(_SHOWS_AS_WORD[kind], ())

    def capabilities(self, backend: str, time_kind: str) -> Capabilities:
        """The same as what every backend says of itself."""
        return Capabilities(backend, self.kernel, time_kind, self.ops, self.actions, self.missing)


def probe(host: Host, *, scratch: bool, patience: Patience | None = None) -> Features:
    """What the DAMON of a host can do. Raises BackendError if it has none, HostError.

    With `scratch` it stages one of everything, tries each word and puts back what was staged before: only where nobody
    uses DAMON (`guards`), and behind a JournalingHost where a crash must not leave traces. Without, nothing is written.
    """
    wait = patience if patience is not None else Patience()
    release = host.read(_OSRELEASE)
    if not host.exists(f"{abi.KDAMONDS}/nr_kdamonds"):
        raise BackendError(
            f"Linux {release} has no {abi.KDAMONDS}: it needs 5.18 or newer with CONFIG_DAMON_SYSFS=y "
            "(and sysfs mounted on /sys)"
        )
    if not scratch:
        seen = wait(partial(read_tree, host, abi.KDAMONDS))
        return _features(release, seen, None)
    before = {path: text for path, text in wait(partial(read_tree, host, abi.KDAMONDS)).items() if is_input(path)}
    try:
        for file in abi.FILES:
            path = f"{abi.KDAMONDS}/{file.pattern.replace('#', '0')}"
            if file.kind is abi.Kind.COUNT and host.exists(path):
                wait(partial(host.write, path, "1"))
        seen = wait(partial(read_tree, host, abi.KDAMONDS))
        return _features(
            release, seen, {pattern: tuple(_accepted(host, wait, pattern)) for pattern in _word_files(seen)}
        )
    finally:
        for write in plan_afresh(wait(partial(host.read, f"{abi.KDAMONDS}/nr_kdamonds")), before):
            wait(partial(host.write, write.path, write.new))


def _word_files(seen: Mapping[str, str]) -> list[str]:
    there = {abi.pattern_of(path) for path in seen}
    return [f.pattern for f in abi.FILES if f.kind is abi.Kind.WORD and f.pattern in there and is_input(f.pattern)]


def _accepted(host: Host, wait: Patience, pattern: str) -> Iterator[str]:
    path = f"{abi.KDAMONDS}/{pattern.replace('#', '0')}"
    for word in abi.BY_PATTERN[pattern].words:
        try:
            wait(partial(host.write, path, word))
        except HostError as error:
            if error.errno != errno.EINVAL:
                raise
        else:
            yield word


def _features(release: str, seen: Mapping[str, str], words: dict[str, tuple[str, ...]] | None) -> Features:
    there = {abi.pattern_of(path) for path in seen} & set(abi.BY_PATTERN)
    looked_at = {_numbered(pattern) for pattern in there}
    unseen = {pattern for pattern in abi.BY_PATTERN if _numbered(pattern) not in looked_at}
    assumed = unseen & _files_by_version(release)
    files = frozenset(there | assumed)
    tried = words is not None
    if words is None:
        words = {p: _words_by_version(p, release) for p in files if abi.BY_PATTERN[p].kind is abi.Kind.WORD}
    offered = {word for path, text in seen.items() if abi.pattern_of(path) == _AVAILABLE for word in text.split()}
    if offered and _OPERATIONS in words:
        # The file takes every set that the kernel knows, registered or not; only this list tells.
        words[_OPERATIONS] = tuple(word for word in words[_OPERATIONS] if word in offered)
    return Features(release, files, frozenset(assumed), words, tried)


def _numbered(pattern: str) -> str:
    """The innermost numbered folder that a file is in: where one of these exists, all its files can be seen."""
    return pattern[: pattern.rfind("#") + 1]


def _files_by_version(release: str) -> frozenset[str]:
    try:
        return abi.files_of(release)
    except InputError as error:
        raise BackendError(f"{_OSRELEASE}: {error}") from error


def _words_by_version(pattern: str, release: str) -> tuple[str, ...]:
    have = kernel_version(release)
    kinds = [kind for kind, shown in _SHOWS_AS_WORD.items() if shown == pattern]
    since = {
        word: FIRST_KERNEL.get(f"{kind}={word}", "5.18") for kind in kinds for word in abi.BY_PATTERN[pattern].words
    }
    return tuple(w for w in abi.BY_PATTERN[pattern].words if kernel_version(since.get(w, "5.18")) <= have)
