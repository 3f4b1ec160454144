"""A made-up outcome of a study, shaped like a real one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from damoos.tune.outcome import (
    Comparison,
    EnvInfo,
    HeatMap,
    Interval,
    ObjectiveInfo,
    Outcome,
    ParameterInfo,
    Repeat,
    Run,
    Series,
    Trial,
    Verification,
    VerifiedScheme,
    WorkloadInfo,
)

MIB = 1 << 20
SEEDS = (11, 12, 13)
FRESH = (101, 102, 103, 104, 105)
LIMIT = 10.0


def kdamonds_tree(min_age_us: int = 5_000_000) -> dict[str, Any]:
    """Monitoring with one pageout scheme, as damo's JSON."""
    from damoos.damon.damo_format import to_damo
    from damoos.damon.kdamonds import Kdamonds
    from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme

    pattern = AccessPattern(sz=Range(4096, U64_MAX), nr_accesses=Range(0, 0), age=Range(min_age_us // 100_000, U32_MAX))
    return to_damo(Kdamonds.of(schemes=(Scheme(action=Action.PAGEOUT, access_pattern=pattern),)))


def sample_outcome(trials: int = 50, *, helps: bool = True, **changes: Any) -> Outcome:
    """An outcome with `trials` trials; `helps` False is a study in which nothing beat no scheme."""
    rng = np.random.default_rng(1)
    all_trials = tuple(_trial(number, rng, helps) for number in range(trials))
    fair = [t for t in all_trials if t.feasible and t.score is not None]
    best = max(fair, key=lambda t: t.score or 0.0) if fair else None
    front = _front(fair)
    outcome = Outcome(
        workload=WorkloadInfo("zigzag", "workloads/zigzag.cfg", "ab" * 32, 512 * MIB, 60.0),
        env=EnvInfo("reclaim", "proactive reclaim", "envs/reclaim.toml", "cd" * 32, _parameters()),
        objective=ObjectiveInfo("damoos", "0.5 runtime, 0.5 RSS, at most 10 % slower", 0.5, LIMIT, ()),
        backend="sim:zram",
        machine="zram",
        time_kind="simulated",
        timing="work",
        strategy="tpe",
        seed=7,
        search_seeds=SEEDS,
        command_line="damoos tune workloads/zigzag.cfg --trials 50 --seed 7",
        created="2026-01-02T03:04:05+00:00",
        versions={"damoos": "0.1.0", "python": "3.11.7", "numpy": "2.3.0", "optuna": "5.0.0"},
        workload_time_s=10_980.0,
        baseline=tuple(_run(seed, 60.0, 512 * MIB) for seed in SEEDS),
        trials=all_trials,
        best=None if best is None else best.number,
        front=tuple(front),
        verification=None if best is None else _verification(best, helps),
        recommended=kdamonds_tree(),
        series=_series(),
        access=_access(),
    )
    return dataclasses.replace(outcome, **changes)


def measured_outcome(speed: str = "runtime", time_kind: str = "real", **changes: Any) -> Outcome:
    """An outcome of a program on a real kernel, judged by `speed` (see ObjectiveInfo); its accesses are not known."""
    metric = "output, tps ([0-9.]+); higher is better" if speed in ("lower", "higher") else None
    outcome = sample_outcome()
    assert outcome.verification is not None
    checked = outcome.verification
    if metric is not None:
        schemes = tuple(dataclasses.replace(s, metric=_around(1180.25, 3.5)) for s in checked.schemes)
        checked = dataclasses.replace(checked, schemes=schemes, baseline_metric=_around(1234.5, 2.0))
    failed = dataclasses.replace(
        outcome.trials[-1],
        state="failed",
        score=None,
        feasible=False,
        runtime_overhead_percent=None,
        rss_overhead_percent=None,
        repeats=(),
        error="bench did not end within its timeout",
        error_kind="workload",
    )
    return dataclasses.replace(
        outcome,
        workload=WorkloadInfo("bench", "./bench --fast", "ab" * 32, 512 * MIB, 60.0, "command", metric),
        objective=dataclasses.replace(outcome.objective, speed=speed),
        backend="host",
        machine="a host",
        time_kind=time_kind,
        verification=checked,
        trials=(*outcome.trials[:-1], failed),
        access=None,
        start="best of simulated (zigzag on sim:zram, simulated time)",
        **changes,
    )


def _parameters() -> tuple[ParameterInfo, ...]:
    def one(name: str, title: str, unit: str, low: str, high: str, default: str, where: str) -> ParameterInfo:
        return ParameterInfo(name, title, unit, "log", low, high, (), default, where, "5.16")

    pattern = "schemes[0].access_pattern"
    return (
        one("min_age", "idle for at least", "s", "100 ms", "60 s", "5 s", f"{pattern}.age.min"),
        one("min_size", "regions of at least", "bytes", "4 KiB", "2 MiB", "4 KiB", f"{pattern}.sz.min"),
        one("max_rate", "accesses at most", "%", "0 %", "20 %", "0 %", f"{pattern}.nr_accesses.max"),
        one("sample", "sampling interval", "us", "1 ms", "100 ms", "5 ms", "intervals.sample_us"),
        one("samples", "samples per aggregation", "", "5", "40", "20", "intervals.aggr_us"),
    )


def _run(seed: int, runtime_s: float, rss: float) -> Run:
    return Run(seed, runtime_s, rss, round(rss * 1.1), 1000, 50 * MIB, 300 * MIB, 0.2)


def _trial(number: int, rng: np.random.Generator, helps: bool) -> Trial:
    saved = float(rng.uniform(5, 55))
    slower = float((saved / 26) ** 3 + rng.normal(0, 0.3)) if number % 7 else float(rng.uniform(12, 600))
    if not helps:
        saved, slower = 0.05 * saved, 3 + slower
    if number == 0:
        saved, slower = 18.0, 0.8
    score = -(0.5 * slower + 0.5 * -saved)
    age_s = 0.1 * 600 ** (1 - saved / 60)
    repeats = tuple(
        Repeat(_run(seed, 60 * (1 + slower / 100), 512 * MIB * (1 - saved / 100)), slower, -saved, score)
        for seed in SEEDS
    )
    return Trial(
        number=number,
        state="complete",
        params={"min_age": age_s, "min_size": 4096, "max_rate": 0.0, "sample": 5000, "samples": 20},
        params_text={
            "min_age": f"{age_s:.2f} s",
            "min_size": "4 KiB",
            "max_rate": "0 %",
            "sample": "5 ms",
            "samples": "20",
        },
        kdamonds=kdamonds_tree(round(age_s * 1e6)),
        score=score,
        values=(score,),
        feasible=slower <= LIMIT,
        runtime_overhead_percent=slower,
        rss_overhead_percent=-saved,
        repeats=repeats,
    )


def _front(trials: list[Trial]) -> list[int]:
    front, least = [], 0.0
    for trial in sorted(trials, key=lambda t: t.runtime_overhead_percent or 0.0):
        rss = trial.rss_overhead_percent or 0.0
        if rss < least:
            front.append(trial.number)
            least = rss
    return front


def _around(mean: float, half: float) -> Interval:
    return Interval(mean, mean - half, mean + half, 0.95)


def _verification(best: Trial, helps: bool) -> Verification:
    def scheme(label: str, trial: int, slower: float, saved: float) -> VerifiedScheme:
        score = -(0.5 * slower - 0.5 * saved)
        repeats = tuple(
            Repeat(_run(seed, 60 * (1 + slower / 100), 512 * MIB * (1 - saved / 100)), slower, -saved, score)
            for seed in FRESH
        )
        return VerifiedScheme(
            label=label,
            trial=trial,
            kdamonds=best.kdamonds,
            score=_around(score, 0.42),
            runtime_overhead_percent=_around(slower, 0.31),
            rss_overhead_percent=_around(-saved, 0.8),
            runtime_s=_around(60 * (1 + slower / 100), 0.1),
            rss_mean_bytes=_around(512 * MIB * (1 - saved / 100), 2.0 * MIB),
            feasible=True,
            repeats=repeats,
        )

    saved = -(best.rss_overhead_percent or 0.0)
    found = scheme("found", best.number, best.runtime_overhead_percent or 0.0, saved)
    verdict = (
        f"The scheme found saves {saved:.1f} % of memory for {best.runtime_overhead_percent:.2f} % more runtime: "
        "better than no scheme and than the kernel documentation's example."
        if helps
        else "Nothing helps: no scheme is as good as any that was found."
    )
    return Verification(
        finalist_seeds=(51, 52, 53),
        finalists={str(best.number): best.score or 0.0},
        seeds=FRESH,
        baseline_runtime_s=_around(60.0, 0.05),
        baseline_rss_mean_bytes=_around(512.0 * MIB, 0.5 * MIB),
        schemes=(scheme("documented", 0, 0.8, 18.0), found),
        comparisons=(
            Comparison("found", "no scheme", _around(found.score.mean, 0.42), helps),
            Comparison("found", "documented", _around(found.score.mean - 8.6, 0.55), helps),
        ),
        helps=helps,
        verdict=verdict,
    )


def _series() -> tuple[Series, ...]:
    t = np.linspace(0, 60, 240)
    full = np.minimum(t / 1.5, 1.0) * 512 * MIB
    shares = {
        "no scheme": np.ones_like(t),
        "documented": 0.85 + 0.1 * np.sin(t / 6),
        "found": 0.6 + 0.15 * np.sin(t / 4),
    }
    return tuple(
        Series(label, 101, tuple(t.tolist()), tuple(int(x) for x in full * share), tuple([0] * len(t)))
        for label, share in shares.items()
    )


def _access() -> HeatMap:
    heat = np.full((120, 64), 0.01)
    for time in range(120):
        step = time // 15
        part = step if step < 5 else 8 - step
        heat[time, part * 12 : part * 12 + 12] = 0.9
    regions = tuple((f"r{i}", i * 96 * MIB, 96 * MIB) for i in range(5)) + (("tail", 480 * MIB, 32 * MIB),)
    return HeatMap(tuple(tuple(row) for row in heat.tolist()), 100.0, 60.0, 512 * MIB, regions)
