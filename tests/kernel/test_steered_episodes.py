"""Episodes of `damoos/Control-v0` on real kernels in QEMU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from damoos.env.draw import TaskSource
from damoos.env.episodes import Episodes
from damoos.env.signals import SIGNALS
from damoos.kernel.backend import KernelBackend
from damoos.kernel.hosts.vm import VmHost
from damoos.tune.objective import run_of
from damoos.workload.pace import Pace

from .conftest import on_guest

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

WORKLOAD = """hot, 8388608, none
idle, 33554432, none

both
600
hot, 0, 4096, 1, wo
idle, 0, 4096, 1, wo

one
2500
hot, 1, 0, 1, ro

both again
900
hot, 0, 4096, 1, rw
idle, 0, 4096, 1, rw
"""
NAMES = [name for name, *_ in SIGNALS]


@pytest.fixture(scope="module")
def backend(vm: VmHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelBackend]:
    made = on_guest(vm, tmp_path_factory.mktemp("outputs"), Pace(accesses_per_ms=20_000.0))
    yield made
    made.close()


def test_an_eager_agent_pages_out_and_earns_what_the_objective_says(backend: KernelBackend, tmp_path: Path) -> None:
    path = tmp_path / "idle-then-back.cfg"
    path.write_text(WORKLOAD)
    source = TaskSource((str(path),), (backend,), seeds=1)
    assert not source.simulated
    episodes = Episodes(1, source, "reclaim", None, 0.5, progress=True, threads=None)
    seen = [episodes.begin([(0, np.random.default_rng(1))])[0]]
    # The shortest idle time, sampled each 5 ms and aggregated each 25 ms.
    eager = np.array([[-1.0, -1.0, -1.0, -0.3, -1.0]])
    rewards = []
    while not episodes.over[0]:
        steps = episodes.step(eager)
        seen.append(steps.observations[0])
        rewards.append(steps.rewards[0])
    session, base = episodes.sessions[0], episodes.baselines[0]
    assert session is not None and base is not None
    result, objective = session.finish(), episodes.preset.objective
    assert sum(rewards) == pytest.approx(objective.reward([objective.repeat(run_of(result), base.run)]), abs=1e-9)
    assert steps.terminated[0] and steps.infos[0]["rss_overhead_percent"] < -10.0
    assert len(rewards) >= 6 and np.abs(rewards).max() < 0.9 * np.abs(rewards).sum()

    observed = {name: np.array(seen)[:, at] for at, name in enumerate(NAMES)}
    assert np.isfinite(seen).all() and np.abs(seen).max() <= 1.0
    assert observed["swapped"].max() > 0.3 and observed["swap_out_cost"].max() > 0.1
    assert (np.diff(observed["progress"]) >= 0).all() and observed["progress"].max() > 0.5
    assert result.stall_s is not None and result.samples.stall_s is not None
    assert (np.diff(result.samples.stall_s) >= 0).all() and result.stall_s <= result.runtime_s
    episodes.close()
