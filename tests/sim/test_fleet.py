"""A fleet against sessions of their own: the same looks, and the same runs after the same commits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import BackendError, KdamondsError
from damoos.sim.fleet import Fleet, Looks
from damoos.sim.session import SimSession
from damoos.tune.preset import load_env
from damoos.tune.space import Space
from damoos.workload.generated import generate
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.processes import AnyMasim, find_masim

RATES, IDLE_S = (0.0, 0.05, 0.2, 0.5), (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
MACHINES = {"tiering": "tiered", "lru-sort": "small", "reclaim-goal": "vm-lab", "damon-reclaim": "small"}
RUNS = 4


def kdamonds_of(space: Space) -> Callable[[np.ndarray], Kdamonds]:
    def made(row: np.ndarray) -> Kdamonds:
        values = {
            p.name: float(value) if p.kind == "percent" else int(value)
            for p, value in zip(space.parameters, row, strict=True)
        }
        return space.kdamonds(values)

    return made


def fleet_of(
    sessions: list[SimSession], space: Space, threads: int | None = 2, begun_with: np.ndarray | None = None
) -> Fleet:
    places = [p.place for p in space.parameters]
    edges = {"rate_edges": RATES, "idle_edges_s": IDLE_S}
    return Fleet(sessions, places, kdamonds_of(space), **edges, begun_with=begun_with, threads=threads)


def rows(space: Space, rng: np.random.Generator, runs: int = RUNS) -> np.ndarray:
    return np.array([list(space.decode(rng.random(space.dimensions)).values()) for _ in range(runs)], float)


def sessions(env: str, runs: int = RUNS) -> tuple[Space, list[SimSession]]:
    space = load_env(env).space
    backend = open_backend(f"sim:{MACHINES.get(env, 'zram')}")
    start = space.kdamonds(space.defaults())
    return space, [backend.start(generate("train", seed), start, seed) for seed in range(runs)]


@pytest.fixture
def committed_alone(monkeypatch: pytest.MonkeyPatch) -> list[SimSession]:
    """Sessions whose `commit` has been called."""
    called: list[SimSession] = []
    commit = SimSession.commit
    monkeypatch.setattr(SimSession, "commit", lambda self, k: (called.append(self), commit(self, k))[1])
    return called


def assert_same(fleet: Fleet, alone: list[SimSession]) -> None:
    for a, b in zip(fleet.sessions, alone, strict=True):
        assert a.state.plan.sizes == b.state.plan.sizes
        zeroed = slice(a.state.table.nbytes, a.state.plan.n_zeroed)
        assert np.array_equal(a.state.block[zeroed], b.state.block[zeroed])


PRESETS = (
    "reclaim",
    "reclaim-quota",
    "damon-reclaim",
    "lru-sort",
    "tiering",
    "reclaim-goal",
    "monitoring-goal",
    "full",
)


@pytest.mark.parametrize(("env", "known"), [*((env, False) for env in PRESETS), ("reclaim-quota", True)])
def test_commits_are_those_of_sessions(env: str, known: bool, committed_alone: list[SimSession]) -> None:
    """Bit for bit in all tables, and so in what comes of them; without the session's help, except for the first one if
    what the runs begin with is not known."""
    space, together = sessions(env)
    _, alone = sessions(env)
    rng = np.random.default_rng(1)
    begun_with = np.array(list(space.defaults().values()), float) if known else None
    with fleet_of(together, space, begun_with=begun_with) as fleet:
        for step in range(12):
            values = rows(space, rng)
            which = rng.random(RUNS) < (1.0 if step == 0 else 0.7)
            committed_alone.clear()
            fleet.commit(values, which)
            # Room for more regions is made by the session.
            assert env == "full" or len(committed_alone) == (0 if known or step > 0 else RUNS)
            for i in np.flatnonzero(which):
                alone[i].commit(kdamonds_of(space)(values[i]))
            assert_same(fleet, alone)
            fleet.advance(1.3)
            for session in alone:
                session.advance(1.3)
            assert_same(fleet, alone)
        for a, b in zip(together, alone, strict=True):
            one, other = a.finish(), b.finish()
            assert (one.asked, one.applied) == (other.asked, other.applied)
            assert dataclasses.replace(one, samples=None) == dataclasses.replace(other, samples=None)


def looks_at(session: SimSession) -> dict[str, float]:
    first = session.stats()[0] if session.stats() else None
    state = session.state
    return {
        "t_s": session.now_s,
        "work_done_ms": session.work_done_ms(),
        "done": session.done,
        "esz_bytes": first.effective_bytes if first else 0,
        "sz_tried": first.sz_tried if first else 0,
        "sz_applied": first.sz_applied if first else 0,
        "nr_regions": len(session.snapshot().start),
        "rss_bytes": int(state.f[8]) * 4096 + session.rss_base_bytes,
    }


def bytes_by(session: SimSession) -> np.ndarray:
    s = session.snapshot()
    size = (s.end - s.start).astype(float)
    rate = s.nr_accesses / (s.aggr_us // s.sample_us)
    idle_s = np.where(s.nr_accesses == 0, s.age * s.aggr_us / 1e6, 0.0)
    row = np.searchsorted(RATES, rate, side="left")
    column = np.searchsorted(IDLE_S, idle_s, side="right") - 1
    found = np.zeros((len(RATES) + 1, len(IDLE_S)))
    np.add.at(found, (row, column), size)
    return found


def by_time(mib: int) -> MasimWorkload:
    return MasimWorkload(
        "by-time",
        (Region("a", mib << 20), Region("b", mib << 20)),
        tuple(Phase(f"p{i}", 2_000, (Pattern("ab"[i % 2], i % 3 == 0, 4096, 1),) * (i != 1)) for i in range(3)),
    )


@pytest.mark.parametrize("workload", [generate("train", 3), by_time(32), find_masim("serve-and-build")])
@pytest.mark.parametrize("timing", ["work", "time"])
def test_looks_are_what_sessions_tell(workload: AnyMasim, timing: str) -> None:
    space = load_env("reclaim-quota").space
    backend = open_backend("sim:zram", timing=timing)
    runs = [backend.start(workload, space.kdamonds(space.defaults()), seed) for seed in range(3)]
    rng = np.random.default_rng(2)
    with fleet_of(runs, space) as fleet:
        for step in range(70):
            if step % 3 == 0:
                fleet.commit(rows(space, rng, 3))
            looks = fleet.advance(1.0)
            for i, session in enumerate(runs):
                assert {name: getattr(looks, name)[i] for name in looks_at(session)} == looks_at(session)
                assert np.array_equal(looks.bytes_by[i], bytes_by(session))
        again, some = fleet.look(), fleet.look(np.array([True, False, True]))
        assert all(np.array_equal(a, b) for a, b in zip(looks, again, strict=True))
        assert all(np.array_equal(a[[0, 2]], b) for a, b in zip(looks, some, strict=True))
        for i, session in enumerate(runs):
            result = session.finish()
            if looks.done[i]:
                assert looks.stall_s[i] == result.stall_s and looks.kdamond_cpu_s[i] == result.kdamond_cpu_s
                assert looks.byte_s[i] / looks.t_s[i] == pytest.approx(result.rss_mean_bytes, rel=1e-12)
                assert looks.work_done_ms[i] == workload.duration_ms
                assert (looks.major_faults[i], looks.swap_in_pages[i] * 4096, looks.swap_out_pages[i] * 4096) == (
                    result.major_faults,
                    result.swap_in_bytes,
                    result.swap_out_bytes,
                )
                assert looks.swap_bytes[i] == result.samples.swap_bytes[-1]


def test_a_run_without_damon_is_looked_at() -> None:
    space = load_env("reclaim").space
    run = open_backend("sim:zram").start(generate("train", 1), None, 1)
    with fleet_of([run], space) as fleet:
        looks = fleet.advance(2.0)
        assert looks.rss_bytes[0] > 0 and looks.nr_regions[0] == 0 and not looks.bytes_by.any()
        with pytest.raises(BackendError, match="started without DAMON"):
            fleet.commit(rows(space, np.random.default_rng(1), 1))


def test_numbers_off_the_grid_go_to_the_session() -> None:
    space, together = sessions("reclaim")
    _, alone = sessions("reclaim")
    values = rows(space, np.random.default_rng(3))
    percent = [p.name for p in space.parameters].index("max_accesses")
    with fleet_of(together, space) as fleet:
        fleet.commit(values)
        values[1, percent] = np.pi
        fleet.commit(values)
        fleet.advance(1.0)
        for i, session in enumerate(alone):
            session.commit(kdamonds_of(space)(values[i]))
            session.advance(1.0)
        # Committing the same twice is committing it once.
        assert_same(fleet, alone)


def test_what_would_be_refused_is_refused() -> None:
    space, together = sessions("full")
    values = rows(space, np.random.default_rng(3))
    names = [p.name for p in space.parameters]
    with fleet_of(together, space) as fleet:
        fleet.commit(values)
        values[2, names.index("min_regions")] = 5_000
        with pytest.raises(KdamondsError, match="above max"):
            fleet.commit(values)


def test_a_session_knows_what_the_fleet_committed() -> None:
    space, together = sessions("reclaim", 2)
    rng = np.random.default_rng(4)
    with fleet_of(together, space) as fleet:
        fleet.commit(rows(space, rng, 2))
        values = rows(space, rng, 2)
        fleet.commit(values)
        own = kdamonds_of(space)(rows(space, rng, 1)[0])
        assert fleet.sessions[0].asked == kdamonds_of(space)(values[0])
        fleet.sessions[0].commit(own)
        assert together[0].finish().asked == own
        assert together[1].finish().asked == kdamonds_of(space)(values[1])


def test_another_run_takes_a_place() -> None:
    space, together = sessions("reclaim", 3)
    _, others = sessions("reclaim", 3)
    _, alone = sessions("reclaim", 3)
    rng = np.random.default_rng(5)
    with fleet_of(together, space) as fleet:
        fleet.commit(rows(space, rng, 3))
        fleet.advance(2.0)
        values = rows(space, rng, 3)
        fleet.commit(values)
        fleet.replace(1, others[1])
        assert together[1].finish().asked == kdamonds_of(space)(values[1])
        assert fleet.look().t_s[1] < 1e-3
        for _ in range(3):
            values = rows(space, rng, 3)
            fleet.commit(values)
            fleet.advance(1.0)
            alone[1].commit(kdamonds_of(space)(values[1]))
            alone[1].advance(1.0)
        assert np.array_equal(fleet.sessions[1].state.f, alone[1].state.f)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int) -> None:
    def looks(threads: int) -> Looks:
        space, together = sessions("reclaim-quota", 7)
        rng = np.random.default_rng(6)
        with fleet_of(together, space, threads) as fleet:
            for _ in range(5):
                fleet.commit(rows(space, rng, 7))
                found = fleet.advance(0.7)
        return found

    assert all(np.array_equal(a, b) for a, b in zip(looks(threads), looks(1), strict=True))


def test_a_closed_session_is_refused() -> None:
    space, together = sessions("reclaim", 2)
    with fleet_of(together, space) as fleet:
        values = rows(space, np.random.default_rng(7), 2)
        fleet.commit(values)
        together[0].close()
        for do in (lambda: fleet.advance(1.0), fleet.look, lambda: fleet.commit(values)):
            with pytest.raises(BackendError, match="closed"):
                do()
