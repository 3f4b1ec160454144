"""Kdamonds as the files of DAMON's sysfs, and back.

Both directions cover every input file, those at defaults included, so that what a tree says is a whole value. Paths are
relative to `abi.KDAMONDS`; numbers are decimal, truth values Y and N, as the kernel prints them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from damoos.damon.attrs import Intervals, IntervalsGoal, NrRegions
from damoos.damon.filters import CORE_FILTER_TYPES, Filter, Probe, ProbeFilter
from damoos.damon.kdamonds import AddressRange, Context, Kdamond, Kdamonds, Target
from damoos.damon.quotas import Dest, QuotaGoal, Quotas, Watermarks, Weights
from damoos.damon.schemes import AccessPattern, Action, Range, Scheme
from damoos.errors import BackendError, KdamondsError

from . import abi


@dataclass(frozen=True)
class Wanted:
    """What one file is to hold, and the field of the kdamonds that asks for it."""

    path: str
    value: str
    field: str


def encode(kdamonds: Kdamonds, files: Collection[str]) -> tuple[Wanted, ...]:
    """What every input file is to hold, in the order in which they can be written.

    `files`: patterns of the files that the kernel has. Raises KdamondsError for a value that is not the default and
    has no file to go to. Targets without a pid get 0.
    """
    layered = "#/contexts/#/schemes/#/core_filters/nr_filters" in files
    rows = []
    for wanted in _kdamonds(kdamonds, layered):
        file = abi.BY_PATTERN[abi.pattern_of(wanted.path)]
        if file.pattern in files:
            rows.append(wanted)
        elif wanted.value != file.default:
            raise KdamondsError(
                f"this kernel has no file for it ({file.pattern.rpartition('/')[2]})",
                field=wanted.field,
                value=wanted.value,
                allowed=f"{file.default or 'nothing'}; anything from Linux {file.since} on",
            )
    return tuple(rows)


def decode(values: Mapping[str, str]) -> Kdamonds:
    """The kdamonds that a tree's files say; files that a kernel lacks count as their defaults.

    A target with pid 0 has none. Raises BackendError for an action that damoos does not know.
    """
    top = _Reader(values, "")
    return Kdamonds(tuple(_read_kdamond(entry) for entry in top.entries("nr_kdamonds", "")))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "Y" if value else "N"
    return str(value)


def _rows(folder: str, field: str, values: Mapping[str, object]) -> Iterator[Wanted]:
    """One row a file; `values` by file name, a field of another name after a colon (`update_us:ops_update_us`)."""
    for names, value in values.items():
        file, _, own = names.partition(":")
        yield Wanted(f"{folder}/{file}", _text(value), f"{field}.{own or file.replace('/', '.')}")


def _kdamonds(kdamonds: Kdamonds, layered: bool) -> Iterator[Wanted]:
    yield Wanted("nr_kdamonds", str(len(kdamonds.kdamonds)), "kdamonds")
    for k, kdamond in enumerate(kdamonds.kdamonds):
        at = f"kdamonds[{k}]"
        yield from _rows(f"{k}", at, {"refresh_ms": kdamond.refresh_ms})
        yield from _rows(f"{k}/contexts", at, {"nr_contexts:contexts": len(kdamond.contexts)})
        for c, context in enumerate(kdamond.contexts):
            yield from _context(f"{k}/contexts/{c}", f"{at}.contexts[{c}]", context, layered)


def _context(folder: str, field: str, context: Context, layered: bool) -> Iterator[Wanted]:
    yield from _rows(
        folder,
        field,
        {"operations:ops": context.ops, "addr_unit": context.addr_unit, "pause": context.pause},
    )
    attrs = f"{folder}/monitoring_attrs"
    at = context.intervals
    # The kernel's file of the operations update interval is called update_us.
    yield from _rows(
        f"{attrs}/intervals",
        f"{field}.intervals",
        {"sample_us": at.sample_us, "aggr_us": at.aggr_us, "update_us:ops_update_us": at.ops_update_us},
    )
    yield from _rows(f"{attrs}/intervals/intervals_goal", f"{field}.intervals.intervals_goal", vars(at.intervals_goal))
    yield from _rows(f"{attrs}/nr_regions", f"{field}.nr_regions", vars(context.nr_regions))
    yield from _rows(f"{attrs}/probes", field, {"nr_probes:probes": len(context.probes)})
    for p, probe in enumerate(context.probes):
        yield from _probe(f"{attrs}/probes/{p}", f"{field}.probes[{p}]", probe)
    yield from _rows(f"{folder}/targets", field, {"nr_targets:targets": len(context.targets)})
    for t, target in enumerate(context.targets):
        yield from _target(f"{folder}/targets/{t}", f"{field}.targets[{t}]", target)
    yield from _rows(f"{folder}/schemes", field, {"nr_schemes:schemes": len(context.schemes)})
    for s, scheme in enumerate(context.schemes):
        yield from _scheme(f"{folder}/schemes/{s}", f"{field}.schemes[{s}]", scheme, layered)


def _probe(folder: str, field: str, probe: Probe) -> Iterator[Wanted]:
    yield from _rows(folder, field, {"weight": probe.weight})
    yield from _rows(f"{folder}/filters", field, {"nr_filters:filters": len(probe.filters)})
    for f, entry in enumerate(probe.filters):
        yield from _rows(f"{folder}/filters/{f}", f"{field}.filters[{f}]", vars(entry))


def _target(folder: str, field: str, target: Target) -> Iterator[Wanted]:
    yield from _rows(folder, field, {"pid_target:pid": target.pid or 0, "obsolete_target:obsolete": target.obsolete})
    yield from _rows(f"{folder}/regions", field, {"nr_regions:regions": len(target.regions)})
    for r, region in enumerate(target.regions):
        yield from _rows(f"{folder}/regions/{r}", f"{field}.regions[{r}]", vars(region))


def _scheme(folder: str, field: str, scheme: Scheme, layered: bool) -> Iterator[Wanted]:
    yield from _rows(
        folder,
        field,
        {
            "action": scheme.action,
            "apply_interval_us": scheme.apply_interval_us,
            "target_nid": scheme.target_nid,
            "stats/max_nr_snapshots:max_nr_snapshots": scheme.max_nr_snapshots,
        },
    )
    for name in ("sz", "nr_accesses", "age"):
        bounds = getattr(scheme.access_pattern, name)
        yield from _rows(f"{folder}/access_pattern/{name}", f"{field}.access_pattern.{name}", vars(bounds))
    yield from _rows(f"{folder}/dests", field, {"nr_dests:dests": len(scheme.dests)})
    for d, dest in enumerate(scheme.dests):
        yield from _rows(f"{folder}/dests/{d}", f"{field}.dests[{d}]", vars(dest))
    yield from _quotas(f"{folder}/quotas", f"{field}.quotas", scheme.quotas)
    yield from _rows(f"{folder}/watermarks", f"{field}.watermarks", vars(scheme.watermarks))
    core = [(f"{field}.core_filters[{i}]", entry) for i, entry in enumerate(scheme.core_filters)]
    ops = [(f"{field}.ops_filters[{i}]", entry) for i, entry in enumerate(scheme.ops_filters)]
    # Kernels before 6.15 have one folder for both layers and apply its filters in order, so the core layer goes first.
    layers = {"filters": [], "core_filters": core, "ops_filters": ops} if layered else {"filters": core + ops}
    for layer, filters in layers.items():
        own = layer if layered else "core_filters" if core else "ops_filters"
        yield from _rows(f"{folder}/{layer}", field, {f"nr_filters:{own}": len(filters)})
        for f, (where, entry) in enumerate(filters):
            yield from _rows(f"{folder}/{layer}/{f}", where, vars(entry))


def _quotas(folder: str, field: str, quotas: Quotas) -> Iterator[Wanted]:
    names = ("ms", "bytes", "reset_interval_ms", "goal_tuner", "fail_charge_num", "fail_charge_denom")
    yield from _rows(folder, field, {name: getattr(quotas, name) for name in names})
    yield from _rows(f"{folder}/weights", f"{field}.weights", vars(quotas.weights))
    yield from _rows(f"{folder}/goals", field, {"nr_goals:goals": len(quotas.goals)})
    for g, goal in enumerate(quotas.goals):
        yield from _rows(f"{folder}/goals/{g}", f"{field}.goals[{g}]", vars(goal))


@dataclass(frozen=True)
class _Reader:
    """One folder of a tree that was read."""

    values: Mapping[str, str]
    folder: str

    def word(self, name: str) -> str:
        path = f"{self.folder}/{name}".lstrip("/")
        return self.values.get(path, abi.BY_PATTERN[abi.pattern_of(path)].default)

    def number(self, name: str) -> int:
        return int(self.word(name), 0)

    def numbers(self, *names: str) -> dict[str, int]:
        """By name, where files and fields are called the same."""
        return {name: self.number(name) for name in names}

    def flag(self, name: str) -> bool:
        return self.word(name) == "Y"

    def below(self, folder: str) -> _Reader:
        return _Reader(self.values, f"{self.folder}/{folder}".strip("/"))

    def entries(self, count: str, folder: str) -> list[_Reader]:
        """The numbered folders of `folder`, as many as its count says."""
        inside = self.below(folder)
        return [inside.below(str(i)) for i in range(inside.number(count))]


def _read_kdamond(at: _Reader) -> Kdamond:
    contexts = tuple(_read_context(entry) for entry in at.entries("nr_contexts", "contexts"))
    return Kdamond(contexts, at.number("refresh_ms"))


def _read_context(at: _Reader) -> Context:
    intervals, goal = at.below("monitoring_attrs/intervals"), at.below("monitoring_attrs/intervals/intervals_goal")
    regions = at.below("monitoring_attrs/nr_regions")
    return Context(
        ops=at.word("operations"),
        addr_unit=at.number("addr_unit"),
        pause=at.flag("pause"),
        intervals=Intervals(
            sample_us=intervals.number("sample_us"),
            aggr_us=intervals.number("aggr_us"),
            ops_update_us=intervals.number("update_us"),
            intervals_goal=IntervalsGoal(**goal.numbers("access_bp", "aggrs", "min_sample_us", "max_sample_us")),
        ),
        nr_regions=NrRegions(**regions.numbers("min", "max")),
        probes=tuple(_read_probe(entry) for entry in at.entries("nr_probes", "monitoring_attrs/probes")),
        targets=tuple(_read_target(entry) for entry in at.entries("nr_targets", "targets")),
        schemes=tuple(_read_scheme(entry) for entry in at.entries("nr_schemes", "schemes")),
    )


def _read_probe(at: _Reader) -> Probe:
    return Probe(
        at.number("weight"),
        tuple(
            ProbeFilter(entry.word("type"), entry.flag("matching"), entry.flag("allow"), entry.word("path"))
            for entry in at.entries("nr_filters", "filters")
        ),
    )


def _read_target(at: _Reader) -> Target:
    regions = (AddressRange(each.number("start"), each.number("end")) for each in at.entries("nr_regions", "regions"))
    return Target(at.number("pid_target") or None, tuple(regions), at.flag("obsolete_target"))


def _read_scheme(at: _Reader) -> Scheme:
    action = at.word("action")
    if action not in list(Action):
        raise BackendError(f"{abi.KDAMONDS}/{at.folder}/action: damoos knows no action {action!r}")
    bounds = [at.below(f"access_pattern/{name}") for name in ("sz", "nr_accesses", "age")]
    marks = at.below("watermarks")
    either = _read_filters(at, "filters")
    return Scheme(
        action=Action(action),
        access_pattern=AccessPattern(*(Range(**each.numbers("min", "max")) for each in bounds)),
        apply_interval_us=at.number("apply_interval_us"),
        target_nid=at.number("target_nid"),
        dests=tuple(Dest(**each.numbers("id", "weight")) for each in at.entries("nr_dests", "dests")),
        quotas=_read_quotas(at.below("quotas")),
        watermarks=Watermarks(marks.word("metric"), **marks.numbers("interval_us", "high", "mid", "low")),
        core_filters=tuple(each for each in either if each.type in CORE_FILTER_TYPES)
        + _read_filters(at, "core_filters"),
        ops_filters=tuple(each for each in either if each.type not in CORE_FILTER_TYPES)
        + _read_filters(at, "ops_filters"),
        max_nr_snapshots=at.number("stats/max_nr_snapshots"),
    )


def _read_quotas(at: _Reader) -> Quotas:
    weights = at.below("weights")
    return Quotas(
        **at.numbers("ms", "bytes", "reset_interval_ms", "fail_charge_num", "fail_charge_denom"),
        weights=Weights(**weights.numbers("sz_permil", "nr_accesses_permil", "age_permil")),
        goals=tuple(
            QuotaGoal(
                target_metric=each.word("target_metric"),
                path=each.word("path"),
                **each.numbers("target_value", "current_value", "nid"),
            )
            for each in at.entries("nr_goals", "goals")
        ),
        goal_tuner=at.word("goal_tuner"),
    )


def _read_filters(at: _Reader, layer: str) -> tuple[Filter, ...]:
    return tuple(
        Filter(
            each.word("type"),
            each.flag("matching"),
            each.flag("allow"),
            each.word("memcg_path"),
            **each.numbers("addr_start", "addr_end", "min", "max", "damon_target_idx"),
        )
        for each in at.entries("nr_filters", layer)
    )
