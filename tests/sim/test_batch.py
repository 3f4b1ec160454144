from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.damon.attrs import Intervals, NrRegions
from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import U32_MAX, U64_MAX, AccessPattern, Action, Range, Scheme
from damoos.errors import BackendError
from damoos.sim.batch import SimBatch
from damoos.sim.session import SimSession
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region

MIB = 1 << 20
SCHEME = Scheme(Action.PAGEOUT, AccessPattern(Range(4096, U64_MAX), Range(0, 0), Range(5, U32_MAX)))
KDAMONDS = Kdamonds.of(
    intervals=Intervals(5_000, 100_000, 1_000_000), nr_regions=NrRegions(10, 1_000), schemes=(SCHEME,)
)


def turns(name: str, mib: int, phases: int) -> MasimWorkload:
    return MasimWorkload(
        name,
        (Region("a", mib * MIB), Region("b", mib * MIB)),
        tuple(Phase(f"p{i}", 2_000, (Pattern("ab"[i % 2], i % 3 == 0, 4096, 1),)) for i in range(phases)),
    )


WORKLOADS = (turns("short", 16, 2), turns("long", 64, 5))


def sessions(count: int) -> list[SimSession]:
    backend = open_backend("sim:zram")
    return [backend.start(WORKLOADS[seed % 2], KDAMONDS if seed % 5 else None, seed) for seed in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_runs_in_a_batch_are_the_runs_alone(threads: int) -> None:
    alone = [s.finish() for s in sessions(12)]
    with SimBatch(sessions(12), threads) as together:
        while not together.advance(0.9).done.all():
            pass
        results = [s.finish() for s in together.sessions]
    for a, b in zip(alone, results, strict=True):
        assert dataclasses.replace(a, samples=None) == dataclasses.replace(b, samples=None)
        for x, y in zip(dataclasses.astuple(a.samples), dataclasses.astuple(b.samples), strict=True):
            assert np.array_equal(x, y)


def test_counters_are_those_of_the_runs() -> None:
    with SimBatch(sessions(6)) as together:
        counters = together.advance(3.0)
        for i, session in enumerate(together.sessions):
            last = session.advance(0.1)
            assert counters.t_s[i] <= last.t_s[0] or session.done
            assert abs(counters.t_s[i] - 3.0) < 0.26
            assert counters.rss_bytes[i] == pytest.approx(last.rss_bytes[0], rel=0.1)
        assert (counters.nr_regions > 0).tolist() == [i % 5 > 0 for i in range(6)]


def test_each_run_by_its_own_time_and_changed_online() -> None:
    with SimBatch(sessions(4)) as together:
        counters = together.advance(np.array([0.5, 1.0, 1.5, 2.0]))
        assert np.abs(counters.t_s - [0.5, 1.0, 1.5, 2.0]).max() < 0.26
        two = KDAMONDS.with_context(dataclasses.replace(KDAMONDS.context, schemes=(SCHEME, SCHEME)))
        together.sessions[1].commit(two)
        together.advance(1.0)
        assert len(together.sessions[1].stats()) == 2 and len(together.sessions[2].stats()) == 1


def test_long_steps_empty_the_buffers() -> None:
    workload = turns("many", 16, 40)
    backend = open_backend("sim:nvme-swap", sample_every_s=0.02)
    with SimBatch([backend.start(workload, KDAMONDS, seed) for seed in range(2)]) as together:
        assert together.advance(1_000.0).done.all()
        for session in together.sessions:
            result = session.finish()
            assert len(result.samples.t_s) == pytest.approx(result.runtime_s / 0.02, rel=0.01)
            assert (np.diff(result.samples.t_s) > 0).all()


def test_a_closed_session_is_refused() -> None:
    together = SimBatch(sessions(2))
    together.sessions[0].close()
    with pytest.raises(BackendError, match="closed"):
        together.advance(1.0)
    together.close()
