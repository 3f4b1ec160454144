"""Runs that are steered: when, that it counts, what is kept of it, and what is refused."""

import csv
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from damoos.backend.base import Backend, Session, Workload
from damoos.backend.feed import Feed
from damoos.backend.registry import open_backend
from damoos.backend.result import Samples
from damoos.damon.damo_format import from_damo
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.schemes import Scheme
from damoos.errors import InputError
from damoos.experiment.course import run_course
from damoos.experiment.env_task import EnvTask
from damoos.report.html import render
from damoos.report.words import deployment
from damoos.tune import strategies
from damoos.tune.outputs import read_outcome, static_kdamonds, write_outputs
from damoos.tune.place import put
from damoos.tune.preset import load_env
from damoos.tune.request import StudyRequest
from damoos.tune.space import Values
from damoos.tune.strategies.base import Ask, Strategy, sampler_of
from damoos.tune.study import run_study
from damoos.tune.testing import StrategyConformance
from damoos.tune.trial import Bench
from damoos.tune.warm import read_start
from damoos.workload import masim

from . import fake

RequestOf = Callable[..., StudyRequest]
AGE = "schemes[0].access_pattern.age.min"
PRCL = Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])


@dataclass(frozen=True)
class Sooner:
    """From `after_s` on pages count as idle after `age_us`."""

    age_us: int = round(fake.BEST_AGE_S * 1e6)
    after_s: float = 0.0
    every_s: float = 0.25

    def begin(self, kdamonds: Kdamonds, workload: Workload, backend: Backend, seed: int) -> "Once":
        return Once(self, kdamonds, [])


@dataclass
class Once:
    how: Sooner
    kdamonds: Kdamonds
    seen: list[Samples]
    t_s: float = 0.0

    def step(self, session: Session, samples: Samples) -> None:
        assert not session.done
        self.t_s = float(samples.t_s[-1]) if samples.t_s.size else self.t_s
        if self.t_s >= self.how.after_s:
            session.commit(self.kdamonds.with_context(put(self.kdamonds.context, AGE, self.how.age_us)))


def propose(ask: Ask, seen: object) -> Values:
    return ask.space.defaults()


STEERED = Strategy(
    name="sooner",
    title="soon",
    text="Soon.",
    source="here",
    make_sampler=sampler_of(propose),  # type: ignore[arg-type]
    repeats="it steers",
    steering=Sooner(),
)


class TestSooner(StrategyConformance):
    strategy = STEERED
    searches = False


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strategies.STRATEGIES, "sooner", "tests.tune.test_steering:STEERED")


def workload_of(path: Path) -> masim.MasimWorkload:
    path.write_text(fake.WORKLOAD)
    return masim.load(path)


@dataclass(frozen=True)
class Counting:
    """Tells the times at which it is asked."""

    times_s: list[tuple[float, int]] = dataclasses.field(default_factory=list)
    every_s: float = 0.5

    def begin(self, kdamonds: Kdamonds, workload: Workload, backend: Backend, seed: int) -> "Counting":
        return self

    def step(self, session: Session, samples: Samples) -> None:
        assert not session.done
        self.times_s.append((float(samples.t_s[-1]) if samples.t_s.size else 0.0, samples.t_s.size))


def test_it_is_asked_at_the_start_and_then_at_its_interval() -> None:
    workload = masim.MasimWorkload(
        "short",
        (masim.Region("a", 8 << 20), masim.Region("b", 8 << 20)),
        (masim.Phase("one", 3_000, (masim.Pattern("a", False, 4096, 1),)),),
    )
    steering = Counting()
    Bench(open_backend("sim:zram"), workload, 1, steering=steering).result(PRCL, 1)
    times_s = [t_s for t_s, _ in steering.times_s]
    assert steering.times_s[0] == (0.0, 0) and all(count > 0 for _, count in steering.times_s[1:])
    assert times_s == pytest.approx([0.5 * i for i in range(len(times_s))], abs=0.11) and len(times_s) >= 6
    before = list(steering.times_s)
    Bench(open_backend("sim:zram"), workload, 1, steering=steering).result(None, 1)
    assert steering.times_s == before


def test_what_commits_nothing_changes_nothing_and_what_commits_counts_from_then_on(tmp_path: Path) -> None:
    workload, backend = masim.load(Path("workloads/zigzag.cfg")), open_backend("sim:zram")
    plain = Bench(backend, workload, 1).runs(PRCL, [3])[0]
    idle = Bench(backend, workload, 1, steering=Counting()).runs(PRCL, [3])[0]
    assert idle == plain
    at_once = Bench(backend, workload, 1, steering=Sooner(1_000_000)).runs(PRCL, [3])[0]
    late = Bench(backend, workload, 1, steering=Sooner(1_000_000, after_s=20.0)).runs(PRCL, [3])[0]
    assert at_once.rss_mean_bytes < late.rss_mean_bytes < plain.rss_mean_bytes


def test_a_study_compares_what_is_steered_with_the_documented_example(request_of: RequestOf, tmp_path: Path) -> None:
    request = request_of(strategy="sooner", trials=3)
    outcome = run_study(request)
    assert all(trial.steered and trial.kdamonds == outcome.trials[0].kdamonds for trial in outcome.trials)
    assert outcome.verification is not None
    documented, found = outcome.verification.schemes
    assert (documented.label, documented.trial, found.label) == ("documented", None, "found")
    assert found.score.mean > documented.score.mean + 5.0
    assert outcome.steered == "sooner" and "sooner" in deployment(outcome)[0]
    assert "sooner" in render(outcome)
    assert dataclasses.replace(run_study(request), created="") == dataclasses.replace(outcome, created="")
    plain = run_study(request_of(strategy="default", trials=3, study=tmp_path / "plain.journal"))
    assert plain.steered is None and not any(trial.steered for trial in plain.trials)
    assert plain.verification is not None and plain.verification.schemes[0].score == documented.score


@pytest.mark.parametrize("backend", ["fake:virtual", "fake:real"])
def test_a_study_where_runs_are_dear_goes_on_as_if_never_stopped(request_of: RequestOf, backend: str) -> None:
    request = request_of(strategy="sooner", trials=2, backend=backend, repeats=1)
    outcome = run_study(request)
    assert outcome.steered == "sooner" and [series.label for series in outcome.series] == [
        "no scheme",
        "documented",
        "found",
    ]
    assert dataclasses.replace(run_study(request), created="") == dataclasses.replace(outcome, created="")


def test_what_is_steered_is_no_configuration_to_export(request_of: RequestOf, tmp_path: Path) -> None:
    write_outputs(run_study(request_of(strategy="default", trials=1, study=tmp_path / "plain.journal")), tmp_path)
    assert (tmp_path / "best.json").exists()
    outcome = run_study(request_of(strategy="sooner", trials=2))
    write_outputs(outcome, tmp_path)
    assert not (tmp_path / "best.json").exists() and not (tmp_path / "best.yaml").exists()
    assert read_outcome(tmp_path) == outcome
    with pytest.raises(InputError, match=r"is no configuration.*strategy sooner"):
        static_kdamonds(outcome)
    with pytest.raises(InputError, match="was steered"):
        read_start(tmp_path, 3, load_env("reclaim"))
    assert len(list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))) == 2


def test_hopeless_runs_are_ended_though_they_are_steered(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trial 0 is never ended early; from the next on the same runs pass the limit.
    wrong = dataclasses.replace(STEERED, steering=Sooner(1_000, every_s=0.5))
    monkeypatch.setattr("tests.tune.test_steering.STEERED", wrong)
    outcome = run_study(request_of(strategy="sooner", trials=2, early_stop=True, max_runtime_overhead_percent=1.0))
    assert [trial.state for trial in outcome.trials] == ["complete", "stopped"]
    assert outcome.best is None and outcome.steered is None


def test_a_course_of_an_experiment_is_steered(tmp_path: Path) -> None:
    task = EnvTask("toy", load_env("reclaim"), workload_of(tmp_path / "toy.cfg"), fake.open_fake())
    steered = task.under(STEERED)
    defaults = task.space.defaults()
    assert steered.judge(defaults) > task.judge(defaults) + 5.0
    rows = list(run_course(task, STEERED, seed=0, budget=4))
    assert [row.params for row in rows[1:]] == [defaults] * 3
    assert {row.reached for row in rows[1:]} == {steered.judge(defaults)}
    trial = steered.measure(defaults, 0, 0).trial
    assert trial is not None and trial.steered and from_damo(trial.kdamonds) == task.space.kdamonds(defaults)


def test_what_is_fed_can_not_be_steered(tmp_path: Path) -> None:
    feed = Feed("score", 0.5)
    kernel = strategies.find_strategy("kernel-score")
    both = dataclasses.replace(kernel, steering=Sooner())
    with pytest.raises(InputError, match="is fed from outside"):
        both.env_in(load_env("reclaim"))
    space = kernel.space_in(load_env("reclaim").space)
    fed: tuple[Scheme, ...] = space.kdamonds(space.defaults()).context.schemes
    with pytest.raises(InputError, match="is fed from outside"):
        Bench(fake.open_fake(), workload_of(tmp_path / "toy.cfg"), 1, feed=feed, steering=Sooner()).result(
            PRCL.with_schemes(fed), 1
        )
