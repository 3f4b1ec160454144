"""DAMON's sysfs tree as one description: every file below `/sys/kernel/mm/damon/admin/kdamonds`.

A pattern names a file wherever it occurs, with `#` for an index: `#/contexts/#/operations`. A `nr_*` file beside
numbered folders is their count; **writing it, even with the number it has, removes all of them and makes new ones with
defaults**. Everything else is only staged until `state` is told `on` or `commit`.

As of Linux 7.3.4, from trees of running kernels (6.12 and 7.3) and the kernel's documentation; first versions of 7.2
are inferred. What is not described here (`preps` of later kernels) is neither read nor written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from damoos.damon.features import kernel_version
from damoos.damon.filters import CORE_FILTER_TYPES, OPS_FILTER_TYPES, PROBE_FILTER_TYPES
from damoos.damon.kdamonds import OPS
from damoos.damon.quotas import GOAL_METRICS, GOAL_TUNERS, WATERMARK_METRICS
from damoos.damon.schemes import Action

KDAMONDS = "/sys/kernel/mm/damon/admin/kdamonds"
MODULE = "/sys/module"
MODULE_USERS = ("damon_stat", "damon_reclaim", "damon_lru_sort")
"""Kernel modules that run a kdamond of their own, which excludes those of sysfs."""

STATE_KEYWORDS: dict[str, str] = {
    "on": "5.18",
    "off": "5.18",
    "commit": "5.19",
    "update_schemes_stats": "5.18",
    "update_schemes_tried_regions": "6.2",
    "clear_schemes_tried_regions": "6.2",
    "update_schemes_tried_bytes": "6.6",
    "commit_schemes_quota_goals": "6.8",
    "update_schemes_effective_quotas": "6.9",
    "update_tuned_intervals": "6.15",
}
"""What may be written to `state` and since which kernel; reading it gives only `on` or `off`."""


class Kind(Enum):
    """What a file holds."""

    U32 = "unsigned 32 bit"
    U64 = "unsigned 64 bit"
    S32 = "signed 32 bit"
    BOOL = "Y or N"
    WORD = "one of the words"
    WORDS = "words, one a line"
    TEXT = "text"
    COUNT = "number of folders beside it"


@dataclass(frozen=True)
class File:
    """A file of the tree: `unit` of its number ("" where it has none), what a fresh one reads as, and since when."""

    pattern: str
    kind: Kind
    since: str
    default: str
    unit: str = ""
    writable: bool = True
    words: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The pattern of the folder it is in; empty for the top."""
        return self.pattern.rpartition("/")[0]


_CONTEXT = "#/contexts/#"
_ATTRS = f"{_CONTEXT}/monitoring_attrs"
_PROBE = f"{_ATTRS}/probes/#"
_TARGET = f"{_CONTEXT}/targets/#"
_SCHEME = f"{_CONTEXT}/schemes/#"
_QUOTAS = f"{_SCHEME}/quotas"
_GOAL = f"{_QUOTAS}/goals/#"
_TRIED = f"{_SCHEME}/tried_regions"


def _numbers(folder: str, names: str, kind: Kind, unit: str, since: str, default: str = "0") -> list[File]:
    return [File(f"{folder}/{name}", kind, since, default, unit) for name in names.split()]


def _count(folder: str, name: str, since: str) -> File:
    return File(f"{folder}/{name}".lstrip("/"), Kind.COUNT, since, "0", "folders")


def _word(path: str, words: tuple[str, ...], default: str, since: str) -> File:
    return File(path, Kind.WORD, since, default, words=words)


def _flag(path: str, since: str) -> File:
    return File(path, Kind.BOOL, since, "N")


def _result(path: str, kind: Kind, unit: str, since: str, default: str = "0") -> File:
    return File(path, kind, since, default, unit, writable=False)


def _filters(layer: str, since: str) -> list[File]:
    """The three filter folders differ in which types they take; `filters` takes all."""
    types = {"core_filters": CORE_FILTER_TYPES, "ops_filters": OPS_FILTER_TYPES}
    folder = f"{_SCHEME}/{layer}"
    old = layer == "filters"
    return [
        _count(folder, "nr_filters", since),
        _word(f"{folder}/#/type", types.get(layer, CORE_FILTER_TYPES + OPS_FILTER_TYPES), "anon", since),
        _flag(f"{folder}/#/matching", since),
        _flag(f"{folder}/#/allow", "6.14" if old else since),
        File(f"{folder}/#/memcg_path", Kind.TEXT, since, ""),
        *_numbers(f"{folder}/#", "addr_start addr_end", Kind.U64, "core address units", "6.6" if old else since),
        *_numbers(f"{folder}/#", "min max", Kind.U64, "bytes", "6.15"),
        *_numbers(f"{folder}/#", "damon_target_idx", Kind.S32, "index", "6.6" if old else since),
    ]


def _context_files() -> list[File]:
    intervals = f"{_ATTRS}/intervals"
    return [
        _result(f"{_CONTEXT}/avail_operations", Kind.WORDS, "", "5.19", "vaddr\nfvaddr\npaddr"),
        _word(f"{_CONTEXT}/operations", OPS, "vaddr", "5.18"),
        *_numbers(_CONTEXT, "addr_unit", Kind.U64, "bytes", "6.18", "1"),
        _flag(f"{_CONTEXT}/pause", "7.2"),
        *_numbers(intervals, "sample_us", Kind.U64, "us", "5.18", "5000"),
        *_numbers(intervals, "aggr_us", Kind.U64, "us", "5.18", "100000"),
        *_numbers(intervals, "update_us", Kind.U64, "us", "5.18", "60000000"),
        *_numbers(f"{intervals}/intervals_goal", "access_bp", Kind.U64, "bp", "6.15"),
        *_numbers(f"{intervals}/intervals_goal", "aggrs", Kind.U64, "aggregations", "6.15"),
        *_numbers(f"{intervals}/intervals_goal", "min_sample_us max_sample_us", Kind.U64, "us", "6.15"),
        *_numbers(f"{_ATTRS}/nr_regions", "min", Kind.U64, "regions", "5.18", "10"),
        *_numbers(f"{_ATTRS}/nr_regions", "max", Kind.U64, "regions", "5.18", "1000"),
        _count(f"{_ATTRS}/probes", "nr_probes", "7.2"),
        *_numbers(_PROBE, "weight", Kind.U32, "", "7.3"),
        _count(f"{_PROBE}/filters", "nr_filters", "7.2"),
        _word(f"{_PROBE}/filters/#/type", PROBE_FILTER_TYPES, "anon", "7.2"),
        _flag(f"{_PROBE}/filters/#/matching", "7.2"),
        _flag(f"{_PROBE}/filters/#/allow", "7.2"),
        File(f"{_PROBE}/filters/#/path", Kind.TEXT, "7.2", ""),
        _count(f"{_CONTEXT}/targets", "nr_targets", "5.18"),
        *_numbers(_TARGET, "pid_target", Kind.S32, "pid", "5.18"),
        _flag(f"{_TARGET}/obsolete_target", "6.19"),
        _count(f"{_TARGET}/regions", "nr_regions", "5.18"),
        *_numbers(f"{_TARGET}/regions/#", "start end", Kind.U64, "core address units", "5.18"),
        _count(f"{_CONTEXT}/schemes", "nr_schemes", "5.18"),
    ]


def _scheme_files() -> list[File]:
    pattern, stats, marks = f"{_SCHEME}/access_pattern", f"{_SCHEME}/stats", f"{_SCHEME}/watermarks"
    return [
        _word(f"{_SCHEME}/action", tuple(Action), "stat", "5.18"),
        *_numbers(_SCHEME, "apply_interval_us", Kind.U64, "us", "6.7"),
        *_numbers(_SCHEME, "target_nid", Kind.S32, "node", "6.11", "-1"),
        *_numbers(f"{pattern}/sz", "min max", Kind.U64, "core address units", "5.18"),
        *_numbers(f"{pattern}/nr_accesses", "min max", Kind.U64, "samples", "5.18"),
        *_numbers(f"{pattern}/age", "min max", Kind.U64, "aggregations", "5.18"),
        _count(f"{_SCHEME}/dests", "nr_dests", "6.17"),
        *_numbers(f"{_SCHEME}/dests/#", "id", Kind.U32, "node", "6.17"),
        *_numbers(f"{_SCHEME}/dests/#", "weight", Kind.U32, "", "6.17"),
        *_numbers(_QUOTAS, "ms reset_interval_ms", Kind.U64, "ms", "5.18"),
        *_numbers(_QUOTAS, "bytes", Kind.U64, "bytes", "5.18"),
        _result(f"{_QUOTAS}/effective_bytes", Kind.U64, "bytes", "6.9"),
        _word(f"{_QUOTAS}/goal_tuner", GOAL_TUNERS, "consist", "7.1"),
        *_numbers(_QUOTAS, "fail_charge_num fail_charge_denom", Kind.U32, "", "7.2"),
        *_numbers(f"{_QUOTAS}/weights", "sz_permil nr_accesses_permil age_permil", Kind.U32, "permil", "5.18"),
        _count(f"{_QUOTAS}/goals", "nr_goals", "6.8"),
        _word(f"{_GOAL}/target_metric", GOAL_METRICS, "user_input", "6.9"),
        *_numbers(_GOAL, "target_value current_value", Kind.U64, "of the metric", "6.8"),
        *_numbers(_GOAL, "nid", Kind.S32, "node", "6.16"),
        File(f"{_GOAL}/path", Kind.TEXT, "6.19", ""),
        _word(f"{marks}/metric", WATERMARK_METRICS, "none", "5.18"),
        *_numbers(marks, "interval_us", Kind.U64, "us", "5.18"),
        *_numbers(marks, "high mid low", Kind.U64, "permil", "5.18"),
        *_filters("filters", "6.3"),
        *_filters("core_filters", "6.15"),
        *_filters("ops_filters", "6.15"),
        *(_result(f"{stats}/nr_{what}", Kind.U64, "regions", "5.18") for what in ("tried", "applied")),
        *(_result(f"{stats}/sz_{what}", Kind.U64, "core address units", "5.18") for what in ("tried", "applied")),
        _result(f"{stats}/qt_exceeds", Kind.U64, "times", "5.18"),
        _result(f"{stats}/sz_ops_filter_passed", Kind.U64, "core address units", "6.14"),
        _result(f"{stats}/nr_snapshots", Kind.U64, "snapshots", "7.0"),
        *_numbers(stats, "max_nr_snapshots", Kind.U64, "snapshots", "7.0"),
        _result(f"{_TRIED}/total_bytes", Kind.U64, "core address units", "6.6"),
        *(_result(f"{_TRIED}/#/{end}", Kind.U64, "core address units", "6.2") for end in ("start", "end")),
        _result(f"{_TRIED}/#/nr_accesses", Kind.U32, "samples", "6.2"),
        _result(f"{_TRIED}/#/age", Kind.U32, "aggregations", "6.2"),
        _result(f"{_TRIED}/#/sz_filter_passed", Kind.U64, "core address units", "6.14"),
        _result(f"{_TRIED}/#/probes/#/hits", Kind.U32, "samples", "7.2"),
    ]


FILES: tuple[File, ...] = (
    _count("", "nr_kdamonds", "5.18"),
    _word("#/state", tuple(STATE_KEYWORDS), "off", "5.18"),
    _result("#/pid", Kind.S32, "pid", "5.18", "-1"),
    *_numbers("#", "refresh_ms", Kind.U32, "ms", "6.17"),
    _count("#/contexts", "nr_contexts", "5.18"),
    *_context_files(),
    *_scheme_files(),
)
"""Every file, counts before what they count."""

BY_PATTERN: dict[str, File] = {file.pattern: file for file in FILES}


def _all_folders() -> frozenset[str]:
    found = {""}
    for file in FILES:
        parts = file.pattern.split("/")[:-1]
        found |= {"/".join(parts[: n + 1]) for n in range(len(parts))}
    return frozenset(found)


FOLDERS: frozenset[str] = _all_folders()
"""Patterns of all folders; the top is the empty text."""


def pattern_of(path: str) -> str:
    """The pattern of a path relative to KDAMONDS: `0/contexts/0/operations` -> `#/contexts/#/operations`."""
    return re.sub(r"(?<![^/])\d+(?![^/])", "#", path)


def file_of(path: str) -> File | None:
    """The description of the file at a path relative to KDAMONDS; None if there is no such file in any kernel."""
    return BY_PATTERN.get(pattern_of(path))


def files_of(version: str) -> frozenset[str]:
    """Patterns of the files that a kernel of this version should have. Raises InputError for no version."""
    have = kernel_version(version)
    return frozenset(file.pattern for file in FILES if kernel_version(file.since) <= have)
