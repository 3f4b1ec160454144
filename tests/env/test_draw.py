"""Tasks drawn at random, and the runs without DAMON that they are measured against."""

from pathlib import Path

import numpy as np
import pytest

from damoos.backend.registry import open_backend
from damoos.env.baseline import GRID, _alone, baseline, baselines
from damoos.env.draw import COSTS, MOST_FACTOR, Task, TaskSource, found, workload_names
from damoos.errors import ConfigError, InputError
from damoos.sim.backend import SimBackend
from damoos.tune.objective import run_of
from tests.tune import fake


def test_names_ranges_and_folders_are_understood(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.cfg").write_text(fake.WORKLOAD)
    assert list(workload_names("zigzag, generated-train-7:9")) == ["zigzag", "generated-train-7", "generated-train-8"]
    assert [Path(name).stem for name in workload_names([str(tmp_path)])] == ["a", "b"]


def test_what_means_no_workload_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty range"):
        list(workload_names("generated-train-5:5"))
    with pytest.raises(ConfigError, match="no workloads"):
        list(workload_names(str(tmp_path)))
    with pytest.raises(InputError, match="none is given"):
        TaskSource.of("")
    with pytest.raises(InputError, match="too small"):
        TaskSource.of("zigzag", seeds=0)


def test_few_seeds_come_again_and_without_a_number_none_does() -> None:
    rng = np.random.default_rng(1)
    few, many = TaskSource.of("zigzag,sweep", seeds=2), TaskSource.of("zigzag,sweep")
    assert len({few.draw(rng) for _ in range(100)}) == 4
    assert len({many.draw(rng).seed for _ in range(100)}) == 100


def test_the_same_generator_draws_the_same_tasks() -> None:
    source = TaskSource.of("generated-train-0:9", ["sim:zram", "sim:nvme-swap"], randomise=True)
    first, second = ([source.draw(rng) for _ in range(9)] for rng in map(np.random.default_rng, (3, 3)))
    assert first == second
    assert len({task.backend.name for task in first}) == 2


def test_a_randomised_machine_stays_within_its_factors() -> None:
    source = TaskSource.of("zigzag", randomise=True)
    plain = open_backend("sim:zram")
    backends = [source.draw(np.random.default_rng(seed)).backend for seed in range(20)]
    assert isinstance(plain, SimBackend)
    for group in COSTS[:-1]:
        factors = set()
        for backend in backends:
            assert isinstance(backend, SimBackend)
            found_ = {getattr(backend.machine, name) / getattr(plain.machine, name) for name in group}
            assert max(found_) == pytest.approx(min(found_))
            factors.add(max(found_))
        assert 1 / MOST_FACTOR <= min(factors) < 0.8 and 1.25 < max(factors) <= MOST_FACTOR


def test_the_baseline_is_the_run_without_damon_and_its_curves_rise_from_0_to_1() -> None:
    task = Task(found("generated-train-3"), open_backend("sim:zram"), 5)
    base = baseline(task)
    with task.backend.start(task.workload, None, 5) as session:
        assert base.run == run_of(session.finish())
    for curve in (base.time, base.memory):
        assert curve.shape == (GRID + 1,)
        assert (curve[0], curve[-1]) == (0.0, 1.0)
        assert (np.diff(curve) >= 0).all()
    assert baseline(Task(found("generated-train-3"), open_backend("sim:zram"), 5)) is base


def test_baselines_side_by_side_are_as_each_alone() -> None:
    backend = open_backend("sim:zram")
    tasks = [Task(found(f"generated-train-{number}"), backend, number + 40) for number in (3, 5, 3)]
    together = baselines(tasks)
    assert together[0] is together[2] and together[0] is not together[1]
    for task, base in zip(tasks, together, strict=True):
        other = _alone(task)
        assert base.run == other.run
        # Memory is integrated from samples there, and exactly here.
        assert base.time == pytest.approx(other.time, abs=0.01)
        assert base.memory == pytest.approx(other.memory, abs=0.01)
