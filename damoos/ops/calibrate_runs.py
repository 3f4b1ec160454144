"""The runs that `calibrate` makes, and what follows from each about a machine; see `damoos.sim.machine.Machine`.

All runs are of one small workload in memory that nothing else uses, at paces that make a pass over it a unit of work. A
stage is a few runs that give some of the machine's values at a time; it may use those that earlier stages found.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from damoos.backend.base import Backend
from damoos.backend.looking import look
from damoos.backend.result import Result, Samples
from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import ANYTHING, AccessPattern, Action, Range, Scheme
from damoos.errors import BackendError
from damoos.units import U32_MAX, U64_MAX
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.pace import MASIM_BATCH, Pace

PAGE = 4096
PAGES = 8_192
"""Pages of the memory that is accessed: 32 MiB, more than a CPU keeps at hand."""
PASS = Pace(timing="work", accesses_per_ms=PAGES, batch=PAGES)
"""A nominal millisecond is a pass over the memory with a stride of a page, in one batch."""

FRESH_PAGES, FRESH = 4_096, 5
SMALL_BATCH = 256
FEW, MANY = 10, 300
SHORT = Intervals(sample_us=1_000, aggr_us=20_000)
IDLE = Intervals(sample_us=5_000, aggr_us=50_000)
AGE_S, IDLE_S, CYCLES = 2.0, 3.0, 2
"""Memory is paged out once in each idle stretch: also what was used first in the pass before is due again only `AGE_S`
later, when it has been faulted back."""
FILLS = 4_000
"""Random writes per page that leave little of it to compress."""
_READ_AHEAD_S = 0.6

WATCH = Scheme(action=Action.STAT, access_pattern=ANYTHING)

Known = Mapping[str, float]
Stage = Callable[["Bench", Known, int], dict[str, float]]


@dataclass(frozen=True)
class Bench:
    """Runs on `backend`, one after the other. Its dataclass has a field `pace`, as those of all backends."""

    backend: Backend

    def at(self, pace: Pace) -> Backend:
        """The same machine, connection included, at another pace."""
        return dataclasses.replace(self.backend, pace=pace)  # type: ignore[type-var]

    def run(self, workload: MasimWorkload, pace: Pace, seed: int, kdamonds: Kdamonds | None = None) -> Result:
        """A whole run. Raises BackendError."""
        with self.at(pace).start(workload, kdamonds, seed) as session:
            return session.finish()


def access_rates(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """Accesses made in phases of a given time, in large and in small batches."""
    mixed = [_sweep("warm", 100)]
    for _ in range(3):
        mixed += [_sweep("sequential", 200), _random("random", 200)]
    large = _us_per_access(bench.run(_workload("rates", mixed), Pace("time", batch=MASIM_BATCH), seed))
    plain = [_sweep("warm", 100)] + [_sweep("sequential", 100)] * 3
    small = _us_per_access(bench.run(_workload("batches", plain), Pace("time", batch=SMALL_BATCH), seed))
    extra_us = small["sequential"] - large["sequential"]
    batch_us = max(extra_us / (1.0 / SMALL_BATCH - 1.0 / MASIM_BATCH), 0.0)
    return {
        "batch_us": batch_us,
        **{f"{name}_per_ms": 1e3 / (large[name] - batch_us / MASIM_BATCH) for name in ("sequential", "random")},
    }


def first_touches(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """The time of one pass over memory that was not touched before."""
    names = [f"fresh {i}" for i in range(FRESH)]
    workload = MasimWorkload(
        "first touches",
        tuple(Region(name, FRESH_PAGES * PAGE) for name in names),
        tuple(Phase(name, 1, (Pattern(name, False, PAGE, 1),)) for name in names),
    )
    result = bench.run(workload, Pace("work", accesses_per_ms=FRESH_PAGES, batch=FRESH_PAGES), seed)
    took_us = statistics.median(phase.elapsed_ms for phase in result.phases) * 1e3
    return {"minor_fault_us": _positive((took_us - _work_us(known, FRESH_PAGES)) / FRESH_PAGES)}


def sampling(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """Fixed work without DAMON, with few regions, and with many.

    As many regions at least as at most are never merged or split, so that each sampling iteration looks at as many.
    Also found, for later stages: `few_regions`, and kdamond's CPU µs per iteration with them, `few_us`.
    """
    pace = Pace("work", accesses_per_ms=round(known["sequential_per_ms"]))
    workload = _workload("sampling", [_sweep("warm", 200), *[_sweep("work", 400)] * 3])
    alone = bench.run(workload, pace, seed)
    few, many = (_monitored(bench, workload, pace, seed, nr, alone) for nr in (FEW, MANY))
    region_us = _positive((many.cpu_us - few.cpu_us) / (many.nr_regions - few.nr_regions))
    shared = many.lost > 0.5 * many.cpu_share
    found = {
        "sample_us": _positive(few.cpu_us - few.nr_regions * region_us),
        "region_sample_us": region_us,
        "shared_cpu": float(shared),
        "few_regions": few.nr_regions,
        "few_us": few.cpu_us,
    }
    if shared:
        found["switch_us"] = _positive((few.lost - few.cpu_share) * few.wall_us)
        began_us = [1e3 * result.phases[0].elapsed_ms for result in (alone, few.result)]
        found["start_us"] = _positive(began_us[1] * (1.0 - few.lost) - began_us[0])
    return found


def page_out(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """Memory that compresses well, paged out while idle and faulted back in one pass, and what then stays resident."""
    found, result = _cycles(bench, known, seed, _sweep("fill", 1))
    if not found:
        return {}
    t_s, rss = result.samples.t_s, result.samples.rss_bytes
    fault_us, readahead = found["fault_us"], found["readahead_pages"]
    return {
        "pageout_page_us": found["pageout_us"],
        "major_fault_us": fault_us,
        "readahead_pages": readahead,
        "rss_base_bytes": float(rss[t_s > AGE_S].min()),
    }


def page_out_hard(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """The same with memory full of random writes."""
    found, _ = _cycles(bench, known, seed, _random("fill", FILLS))
    return {"pageout_hard_page_us": found["pageout_us"], "major_fault_hard_us": found["fault_us"]} if found else {}


def read_ahead(bench: Bench, known: Known, seed: int) -> dict[str, float]:
    """Memory that was paged out, brought in again by `willneed` while the workload sleeps."""
    workload = _workload("read ahead", [_sweep("fill", 1), Phase("idle", round((IDLE_S + 2.0) * 1e3), ())])
    bring = Scheme(action=Action.WILLNEED, access_pattern=_idle_for(0.4))
    with bench.at(PASS).start(workload, _idle_kdamonds(), seed) as session:
        before = session.advance(IDLE_S + 0.1)
        session.commit(_idle_kdamonds(bring))
        after = session.advance(_READ_AHEAD_S)
    pages = _last(after, "swap_in_pages") - _last(before, "swap_in_pages")
    if pages < PAGES / 2:
        return {}
    share = known["few_us"] / _idle_wall_us(known)
    passed_s = _last(after, "t_s") - _last(before, "t_s")
    cpu_s = _last(after, "kdamond_cpu_s") - _last(before, "kdamond_cpu_s")
    return {"swapin_page_us": _positive((cpu_s - share * passed_s) / (1.0 - share) * 1e6 / pages)}


STAGES: tuple[tuple[str, Stage], ...] = (
    ("access rates", access_rates),
    ("first touches", first_touches),
    ("sampling", sampling),
    ("page-out", page_out),
    ("page-out, hard", page_out_hard),
    ("read ahead", read_ahead),
)
"""Each with its name, in the order in which they need each other's values."""


# ---- monitoring ----


@dataclass(frozen=True)
class _Monitored:
    """`cpu_us` of kdamond and `wall_us` per sampling iteration; shares of time: kdamond's CPU `cpu_share`, and `lost`,
    what the workload makes less of it."""

    result: Result
    nr_regions: float
    cpu_us: float
    wall_us: float
    cpu_share: float
    lost: float


def _monitored(bench: Bench, workload: MasimWorkload, pace: Pace, seed: int, nr: int, alone: Result) -> _Monitored:
    kdamonds = Kdamonds.of(SHORT, NrRegions(nr, nr), (WATCH,))
    result = bench.run(workload, pace, seed, kdamonds)
    stats = result.scheme_stats[-1]
    # Linux before 7.0 does not count snapshots.
    nr_regions = stats.nr_tried / stats.nr_snapshots if stats.nr_snapshots else _count_regions(bench, kdamonds, seed)
    # The run ends somewhere in an aggregation, on average in the middle.
    iterations = (stats.nr_tried / nr_regions + 0.5) * (SHORT.aggr_us // SHORT.sample_us)
    took, undisturbed = (sum(phase.elapsed_ms for phase in r.phases[1:]) for r in (result, alone))
    wall_us = result.runtime_s * 1e6 / iterations
    cpu_share = _cpu_share(result)
    return _Monitored(result, nr_regions, cpu_share * wall_us, wall_us, cpu_share, 1.0 - undisturbed / took)


def _cpu_share(result: Result) -> float:
    # Between samples in the midst of the run: kdamond also works to begin, and to answer for its counters at the end.
    t_s, cpu_s = result.samples.t_s, result.samples.kdamond_cpu_s
    inside = (t_s >= result.phases[0].elapsed_ms / 1e3) & (t_s < result.runtime_s)
    if inside.sum() < 2:
        return result.kdamond_cpu_s / result.runtime_s
    t_s, cpu_s = t_s[inside], cpu_s[inside]
    return float((cpu_s[-1] - cpu_s[0]) / (t_s[-1] - t_s[0]))


def _count_regions(bench: Bench, kdamonds: Kdamonds, seed: int) -> int:
    # In a run of its own: looking at regions takes the machine's time.
    workload = _workload("regions", [_sweep("fill", 1), Phase("idle", 3_000, ())])
    with bench.at(PASS).start(workload, kdamonds, seed) as session:
        while not session.done:
            session.advance(0.5)
            # A busy kdamond may not have come to fill in the regions yet.
            if (seen := look(session)) is not None:
                return int(seen.start.size)
    raise BackendError(f"{bench.backend.name}: DAMON shows no regions of a process that it watches")


# ---- page-out ----


def _cycles(bench: Bench, known: Known, seed: int, fill: Phase) -> tuple[dict[str, float], Result]:
    idle = Phase("idle", round(IDLE_S * 1e3), ())
    workload = _workload("page-out", [fill, *[idle, _sweep("back", 1)] * CYCLES])
    result = bench.run(workload, PASS, seed, _idle_kdamonds())
    out, back = result.swap_out_bytes // PAGE, result.swap_in_bytes // PAGE
    if min(out, back) < CYCLES * PAGES / 2:
        return {}, result
    action, watch = result.scheme_stats
    aggregations = watch.nr_snapshots or watch.nr_tried / known["few_regions"]
    monitoring_us = aggregations * (IDLE.aggr_us // IDLE.sample_us) * known["few_us"]
    scan_us = action.sz_tried / PAGE * known["scan_page_us"]
    took_us = 1e3 * sum(phase.elapsed_ms for phase in result.phases if phase.name == "back")
    if known["shared_cpu"]:
        took_us *= 1.0 - (known["few_us"] + known["switch_us"]) / _idle_wall_us(known)
    readahead = max(round(back / max(result.major_faults, 1)), 1)
    stalled_us = took_us - CYCLES * _work_us(known, PAGES)
    return {
        "pageout_us": _positive((result.kdamond_cpu_s * 1e6 - monitoring_us - scan_us) / out),
        "fault_us": _positive(stalled_us / back * readahead),
        "readahead_pages": float(readahead),
    }, result


def _idle_kdamonds(scheme: Scheme | None = None) -> Kdamonds:
    out = Scheme(action=Action.PAGEOUT, access_pattern=_idle_for(AGE_S))
    return Kdamonds.of(IDLE, NrRegions(FEW, FEW), (scheme or out, WATCH))


def _idle_for(seconds: float) -> AccessPattern:
    age = round(seconds * 1e6 / IDLE.aggr_us)
    return AccessPattern(sz=Range(PAGE, U64_MAX), nr_accesses=Range(0, 0), age=Range(age, U32_MAX))


def _idle_wall_us(known: Known) -> float:
    # A sampling iteration that finds the CPU free.
    return IDLE.sample_us + known["slack_us"] + known["few_us"]


# ---- workloads ----


def _workload(name: str, phases: list[Phase]) -> MasimWorkload:
    return MasimWorkload(name, (Region("memory", PAGES * PAGE),), tuple(phases))


def _sweep(name: str, ms: int) -> Phase:
    return Phase(name, ms, (Pattern("memory", False, PAGE, 1),))


def _random(name: str, ms: int) -> Phase:
    return Phase(name, ms, (Pattern("memory", True, PAGE, 1),))


def _us_per_access(result: Result) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for phase in result.phases:
        found.setdefault(phase.name, []).append(phase.elapsed_ms * 1e3 / phase.accesses)
    return {name: statistics.median(values) for name, values in found.items()}


def _work_us(known: Known, accesses: int) -> float:
    return accesses * 1e3 / known["sequential_per_ms"] + known["batch_us"]


def _last(samples: Samples, column: str) -> float:
    return float(getattr(samples, column)[-1])


def _positive(value: float) -> float:
    # A difference of two measurements may come out below what is possible.
    return max(value, 0.0)
