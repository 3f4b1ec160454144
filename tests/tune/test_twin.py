"""The strategy `twin`: its likeness ranks as the original does, and its proposals are led by real runs."""

import numpy as np
import pytest

from damoos.experiment.course import run_course
from damoos.experiment.env_task import EnvTask
from damoos.sim.backend import SimBackend, open_sim
from damoos.tune.preset import load_env
from damoos.tune.program import find_workload
from damoos.tune.strategies import find_strategy
from damoos.tune.strategies.correction import Correction
from damoos.tune.strategies.likeness import Likeness
from damoos.tune.watching import monitoring, watch
from damoos.workload.masim import MasimWorkload
from damoos.workload.pace import Pace
from damoos.workload.recorded import BATCH, Rate, recorded_workload

AGES_S = (0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0)


def scores(backend: SimBackend, workload: MasimWorkload) -> list[float]:
    """DAMOOS's score at each of `AGES_S`, one run each."""
    task = EnvTask("", load_env("reclaim"), workload, backend)
    defaults = task.space.defaults()
    return [task.measure(defaults | {"min_age": round(age * 1e6)}, 0, 0).score for age in AGES_S]


@pytest.mark.parametrize("name", ["zigzag", "stairs", "gc"])
def test_a_recorded_workload_ranks_ages_as_the_original(name: str) -> None:
    backend, workload = open_sim("zram"), find_workload(name)
    assert isinstance(workload, MasimWorkload)
    recording, _ = watch(backend, workload, monitoring(load_env("reclaim").space), 5)
    fitted = recorded_workload(recording, Rate(59_000.0, backend.machine.rss_base_bytes))
    truth, likeness = scores(backend, workload), scores(SimBackend(backend.machine, Pace(batch=BATCH)), fitted)
    ranks = [np.argsort(np.argsort(np.round(one, 1))) for one in (truth, likeness)]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
    assert truth[int(np.argmax(likeness))] > 0.95 * max(truth)


def test_a_course_reaches_the_best_in_five_runs() -> None:
    task = EnvTask("zigzag", load_env("reclaim"), find_workload("zigzag"), open_sim("zram"))
    rows = list(run_course(task, find_strategy("twin"), seed=1, budget=5))
    best = max(task.judge(task.space.defaults() | {"min_age": age}) for age in (200_000, 500_000, 1_000_000))
    assert rows[-1].reached >= 0.95 * best
    # Thinking takes long once.
    assert sum(row.ask_s > 0.5 for row in rows) <= 1


def test_the_same_recording_gives_the_same_likeness() -> None:
    task = EnvTask("hot-cold", load_env("reclaim"), find_workload("hot-cold"), open_sim("zram"))
    one, two = (Likeness(task.subject(0), task.space, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.points, two.points) and np.array_equal(one.benefit, two.benefit)
    overhead, benefit = one.at(one.points[:5])
    assert np.allclose(overhead, one.overhead[:5], rtol=1e-3) and np.allclose(benefit, one.benefit[:5], rtol=1e-3)


def test_a_correction_learns_the_factor_everywhere_and_the_rest_nearby() -> None:
    likeness = np.linspace(0.0, 30.0, 31)
    points = np.linspace(0.0, 1.0, 31)[:, None]
    mean, deviation = Correction.fit(points[:0], likeness[:0], likeness[:0]).predict(points, likeness)
    assert np.array_equal(mean, likeness) and deviation[-1] > deviation[0] > 0.0
    at = [5, 20]
    factor, sure = Correction.fit(points[at], likeness[at], 1.5 * likeness[at]).predict(points, likeness)
    assert np.allclose(factor[10:], 1.5 * likeness[10:], rtol=0.1) and np.all(sure[10:] < deviation[10:])
    strange = np.where(points[:, 0] < 0.5, likeness + 20.0, likeness)
    at = list(range(0, 31, 3))
    mean, _ = Correction.fit(points[at], likeness[at], strange[at]).predict(points, likeness)
    assert mean[3] > likeness[3] + 15.0 and abs(mean[28] - likeness[28]) < 4.0
