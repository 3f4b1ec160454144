"""The conformance suite notices a backend that breaks its promises: the simulator with one fault at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.backend.testing import BackendConformance, kdamonds_of


class Faulty:
    """Something with some of its methods replaced; a replacement gets the original first."""

    def __init__(self, inner: Any, **replacements: Callable[..., Any]) -> None:
        self._inner = inner
        self._replacements = replacements

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        replacement = self._replacements.get(name)
        return value if replacement is None else lambda *args: replacement(value, *args)

    def __enter__(self) -> "Faulty":
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.close()


def session_with(**replacements: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """A fault of the backend: its sessions have these replacements."""
    return {"start": lambda start, *args: Faulty(start(*args), **replacements)}


def result_with(**values: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    """A fault of the backend: fields of its results are recomputed from the result."""

    def finish(original: Callable[[], Any]) -> Any:
        result = original()
        return dataclasses.replace(result, **{name: compute(result) for name, compute in values.items()})

    return session_with(finish=finish)


def snapshot_with(change: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    return session_with(snapshot=lambda original: change(original()))


def backwards(snapshot: Any) -> Any:
    return dataclasses.replace(snapshot, start=snapshot.start[::-1], end=snapshot.end[::-1])


def swallow(commit: Callable[..., Any], kdamonds: Any) -> Any:
    """Takes anything that it is given, and says so."""
    try:
        return commit(kdamonds)
    except Exception:
        return kdamonds


def forgets_the_scheme(advance: Callable[[float], Any], seconds: float) -> Any:
    advance.__self__.commit(kdamonds_of())  # type: ignore[attr-defined]
    return advance(seconds)


def closes_once() -> Callable[..., Any]:
    closed: list[bool] = []

    def close(original: Callable[[], None]) -> None:
        if closed:
            raise RuntimeError("already closed")
        closed.append(True)
        original()

    return close


FAULTS: list[tuple[str, dict[str, Callable[..., Any]]]] = [
    ("says_what_it_is", {"probe": lambda probe: dataclasses.replace(probe(), backend="other")}),
    ("says_what_it_is", {"probe": lambda probe: dataclasses.replace(probe(), missing={"stat": "?"})}),
    ("runs_without_damon", session_with(snapshot=lambda original: None)),
    ("runs_without_damon", result_with(kdamond_cpu_s=lambda result: 0.1)),
    ("monitoring_leaves_memory_alone", result_with(rss_peak_bytes=lambda result: int(result.rss_mean_bytes) - 1)),
    ("monitoring_leaves_memory_alone", result_with(asked=lambda result: None)),
    ("monitoring_leaves_memory_alone", result_with(applied=lambda result: kdamonds_of())),
    ("monitoring_leaves_memory_alone", result_with(runtime_s=lambda result: 2 * result.runtime_s)),
    (
        "monitoring_leaves_memory_alone",
        result_with(samples=lambda result: dataclasses.replace(result.samples, t_s=result.samples.t_s[::-1])),
    ),
    (
        "monitoring_leaves_memory_alone",
        result_with(trace=lambda result: dataclasses.replace(result.trace, pages=result.trace.pages + 1)),
    ),
    ("pageout_saves_memory", result_with(scheme_stats=lambda result: ())),
    ("pageout_saves_memory", {"start": lambda start, workload, kdamonds, seed: start(workload, None, seed)}),
    ("a_snapshot_is_ordered_and_covers_the_workload", snapshot_with(backwards)),
    (
        "a_snapshot_is_ordered_and_covers_the_workload",
        snapshot_with(lambda s: dataclasses.replace(s, nr_accesses=s.nr_accesses + 1 + s.aggr_us // s.sample_us)),
    ),
    (
        "a_snapshot_is_ordered_and_covers_the_workload",
        snapshot_with(lambda s: dataclasses.replace(s, end=s.start + 4096)),
    ),
    ("stats_only_grow", session_with(stats=lambda original: tuple(dataclasses.replace(x) for x in original()[:1]))),
    (
        "a_commit_converts_ages_to_the_new_intervals",
        snapshot_with(lambda s: dataclasses.replace(s, age=s.age * (5 if s.aggr_us > 100_000 else 1))),
    ),
    (
        "a_commit_converts_ages_to_the_new_intervals",
        snapshot_with(lambda s: dataclasses.replace(s, age=np.zeros_like(s.age) if s.aggr_us > 100_000 else s.age)),
    ),
    ("a_commit_changes_schemes_online", session_with(commit=lambda original, kdamonds: kdamonds)),
    (
        "what_the_kernel_would_refuse_is_refused",
        {"start": lambda start, workload, kdamonds, seed: start(workload, None, seed)},
    ),
    ("a_refused_commit_changes_nothing", session_with(commit=swallow)),
    ("advance_stops_in_time_and_at_the_end", session_with(advance=lambda original, seconds: original(2 * seconds))),
    ("finish_and_close_may_be_repeated", session_with(close=closes_once())),
    ("a_seed_decides_the_run", {"start": lambda start, workload, kdamonds, seed: start(workload, kdamonds, 1)}),
    (
        "a_seed_decides_the_run",
        result_with(runtime_s=lambda result, calls=[]: calls.append(1) or result.runtime_s + len(calls)),
    ),
    ("pausing_a_run_does_not_change_it", session_with(advance=forgets_the_scheme)),
]


def conformance_of(replacements: dict[str, Callable[..., Any]]) -> BackendConformance:
    class Checked(BackendConformance):
        def make_backend(self, *, trace: bool = False) -> Backend:
            faulty: Any = Faulty(open_backend("sim:zram", trace=trace), **replacements)
            return faulty

    return Checked()


@pytest.mark.parametrize(("test", "replacements"), FAULTS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(FAULTS)])
def test_a_fault_is_noticed(test: str, replacements: dict[str, Callable[..., Any]]) -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(conformance_of(replacements), f"test_{test}")()


@pytest.mark.parametrize("test", sorted({name for name, _ in FAULTS}))
def test_without_a_fault_nothing_is_noticed(test: str) -> None:
    getattr(conformance_of({}), f"test_{test}")()
