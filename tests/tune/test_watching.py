"""Strategies that watch: one monitored run, kept beside the journal, in the place of a trial."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from damoos.errors import InputError
from damoos.experiment.course import BASELINE, WATCHED, run_course
from damoos.experiment.env_task import EnvTask
from damoos.experiment.replay import ReplayTask, read_replay
from damoos.tune import strategies
from damoos.tune.preset import load_env
from damoos.tune.request import Progress, StudyRequest
from damoos.tune.strategies import random as random_search
from damoos.tune.strategies.base import Ask
from damoos.tune.study import run_study
from damoos.tune.watching import Watched, monitoring, recording_path, stand_in
from damoos.workload import masim
from damoos.workload.recording import Recording

from . import fake

asked: list[Ask] = []


def _make_sampler(ask: Ask) -> object:
    asked.append(ask)
    return random_search.STRATEGY.make_sampler(ask)


WATCHER = dataclasses.replace(
    random_search.STRATEGY,
    name="watcher",
    watches=True,
    make_sampler=_make_sampler,  # type: ignore[arg-type]
)


@pytest.fixture(autouse=True)
def watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    monkeypatch.setitem(strategies.STRATEGIES, "watcher", f"{__name__}:WATCHER")


def _watched() -> Recording:
    assert asked[-1].subject is not None
    return asked[-1].subject.recording()


def test_the_watched_run_takes_the_place_of_a_trial(request_of: Callable[..., StudyRequest]) -> None:
    steps: list[Progress] = []
    outcome = run_study(request_of(strategy="watcher", trials=4), steps.append)
    assert len(outcome.trials) == 3 and [ask.trials for ask in asked] == [3, 3, 3]
    assert [step.phase for step in steps if step.done == step.total == 1] == ["watch"]
    assert [ask.subject for ask in asked] == [asked[0].subject] * 3
    recording = _watched()
    # The fake's run of 2 s is looked at every 0.2 s, and not after its end.
    assert recording.snapshots[-1].t_s < 2.0 < recording.snapshots[-1].t_s + 0.3 and recording.workload == "toy"
    assert recording.seed not in {r.run.seed for trial in outcome.trials for r in trial.repeats}
    plain = run_study(request_of(strategy="random", trials=3, study=Path(f"{request_of().study}2")))
    assert outcome.workload_time_s > plain.workload_time_s


def test_a_resumed_study_has_what_was_watched(
    request_of: Callable[..., StudyRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "runs.log"
    request = request_of(strategy="watcher", trials=3)
    first = run_study(request)
    before = _watched()
    monkeypatch.setenv(fake.LOG, str(log))
    second = run_study(dataclasses.replace(request, trials=5))
    assert second.trials[:2] == first.trials
    assert not any(line.endswith(f" {before.seed}") for line in log.read_text().splitlines())
    for old, new in zip(before.snapshots, _watched().snapshots, strict=True):
        assert old.age.tolist() == new.age.tolist()


def test_the_recording_of_another_study_is_not_taken(request_of: Callable[..., StudyRequest]) -> None:
    request = request_of(strategy="watcher", trials=3)
    run_study(request)
    other = dataclasses.replace(request, seed=1)
    request.study.unlink()
    assert recording_path(request.study).exists()
    run_study(other)
    seed = _watched().seed
    recording_path(request.study).unlink()
    run_study(other)
    assert _watched().seed == seed


def test_one_trial_is_not_enough(request_of: Callable[..., StudyRequest]) -> None:
    with pytest.raises(InputError, match="too few for strategy watcher"):
        run_study(request_of(strategy="watcher", trials=1))


def test_a_course_counts_it_as_a_run(workload: Path) -> None:
    task = EnvTask("toy", load_env("reclaim"), masim.load(workload), fake.open_fake())
    rows = list(run_course(task, WATCHER, seed=3, budget=5))
    assert [row.number for row in rows] == [BASELINE, WATCHED, 0, 1, 2]
    assert [row.runs for row in rows] == [1, 2, 3, 4, 5]
    assert rows[1].params == {} and rows[1].reached == 0.0 and rows[2].params
    assert [(ask.number, ask.trials) for ask in asked] == [(0, 3), (1, 3), (2, 3)]
    assert task.subject(3).recording().seed == _watched().seed != task.subject(4).recording().seed


def test_measured_points_cant_be_watched(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("min_age_s,score\n1,3\n5,2\n")
    (task,) = read_replay(path, load_env("reclaim"))
    assert isinstance(task, ReplayTask)
    with pytest.raises(InputError, match="watches a run"):
        list(run_course(task, WATCHER, seed=0, budget=4))


def test_it_watches_without_schemes_and_simulates_where_trials_run() -> None:
    from damoos.sim.backend import open_sim

    space = load_env("reclaim").space
    assert not monitoring(space).context.schemes
    assert monitoring(space).context.intervals == space.base.context.intervals
    backend = open_sim("nvme-swap", timing="time")
    assert stand_in(backend).machine == backend.machine and stand_in(backend).pace == backend.pace
    assert stand_in(fake.open_fake("virtual")).machine.name == "vm"
    assert stand_in(fake.open_fake("real")).machine.name == "zram"


def test_it_is_watched_once_and_only_when_asked(workload: Path) -> None:
    task = EnvTask("toy", load_env("reclaim"), masim.load(workload), fake.open_fake())
    subject: Watched = task.subject(0)
    assert subject._recording is None
    assert subject.recording() is subject.recording()
