"""Runs without hope are ended while they run: when that is known, what is kept of them, that nothing else changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from damoos.backend.result import Course
from damoos.damon.damo_format import from_damo
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import StudyError
from damoos.report import words
from damoos.report.html import render
from damoos.tune.early import COURSE_POINTS, Follower, Hopeless, Judge, Rules
from damoos.tune.objective import Objective
from damoos.tune.outcome import Outcome, Run, Stopped, Trial
from damoos.tune.outputs import trials_csv
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
from damoos.tune.trial import Bench

from .test_study import Stop, stop_after, timeless

RequestOf = Callable[..., StudyRequest]
PRCL = Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
THP = Kdamonds.of(schemes=[Scheme(Action.HUGEPAGE, ANYTHING)])
SIMULATED = {"backend": "sim:zram", "workload": "graded", "early_stop": True, "trials": 30}


def run(seed: int, runtime_s: float = 100.0, rss: float = 1000.0, course: Course | None = None) -> Run:
    return Run(seed, runtime_s, rss, 0, 0, 0, 0, 0.0, course=course)


def base(*seeds: int) -> tuple[Run, ...]:
    # A second of work each second, for 100 s.
    course = Course(tuple(map(float, range(1, 101))), tuple(1000.0 * t for t in range(1, 101)))
    return tuple(run(seed, course=course) for seed in seeds)


def judge(
    *seeds: int, to_beat: float | None = None, kdamonds: Kdamonds = PRCL, objective: Objective | None = None
) -> Judge:
    return Judge(Rules(objective or Objective(limit_percent=20.0), base(*seeds), to_beat), kdamonds)


def reason(of: Judge, *told: float) -> Stopped | None:
    """What a look at the run with seed 1 comes to: at t s, work done in ms, bytes times s."""
    try:
        of.look(1, *told)
    except Hopeless as error:
        return error.stopped
    return None


# ---- when it is known ----


def test_the_rest_is_known_from_the_baseline() -> None:
    # Half of the work is done (more than that first at 51 s): 49 s are left, or 44.1 s if it gets 10 % faster.
    assert reason(judge(1), 75.8, 50_000.0, 0.0) is None
    ended = reason(judge(1), 76.0, 50_000.0, 0.0)
    assert ended is not None and ended.why == "too slow" and (ended.seed, ended.at_s, ended.spent_s) == (1, 76.0, 76.0)
    assert ended.runtime_overhead_at_least_percent == pytest.approx(20.1)
    assert "76.0 s into the run with seed 1: runtime overhead at least 20.1 %" in ended.text


def test_a_scheme_that_can_make_faster_gets_more_time() -> None:
    assert reason(judge(1, kdamonds=THP), 95.0, 50_000.0, 0.0) is None
    assert reason(judge(1, kdamonds=THP), 96.0, 50_000.0, 0.0) is not None


def test_of_what_does_not_say_how_far_it_is_only_the_time_counts() -> None:
    assert reason(judge(1), 120.0, 0.0, 0.0) is None
    assert reason(judge(1), 120.5, 0.0, 0.0) is not None
    # As it is with a baseline from before courses were kept.
    old = Judge(Rules(Objective(limit_percent=20.0), (run(1),)), PRCL)
    assert reason(old, 120.0, 50_000.0, 0.0) is None and reason(old, 120.5, 50_000.0, 0.0) is not None


def test_memory_that_was_used_bounds_the_score() -> None:
    # No faster than 100 s in all, and 60 of 100 parts of the baseline's memory are used: a score of 20 at the most.
    assert reason(judge(1, to_beat=19.0), 100.0, 100_000.0, 60_000.0) is None
    ended = reason(judge(1, to_beat=21.0), 100.0, 100_000.0, 60_000.0)
    assert ended is not None and ended.why == "no final" and ended.score_at_most == pytest.approx(20.0)


def test_the_bound_holds_whatever_the_rest_is() -> None:
    objective = Objective(limit_percent=20.0)
    plain = base(1)[0]
    for at_least_s, byte_s in ((50.0, 90_000.0), (99.0, 20_000.0), (110.0, 50_000.0)):
        bound = objective.score_at_most(at_least_s, byte_s, plain)
        assert bound is not None
        found = [
            objective.repeat(run(1, t, byte_s / t), plain).score for t in (at_least_s + 0.1 * i for i in range(700))
        ]
        within = [score for i, score in enumerate(found) if at_least_s + 0.1 * i <= 120.0]
        assert max(within) <= bound + 1e-9 and max(within) == pytest.approx(bound, abs=0.05)


def test_what_can_not_be_bounded_is_not() -> None:
    assert Objective(speed="higher").score_at_most(1.0, 1.0, base(1)[0]) is None
    assert Objective("metric", metrics=("rss",)).score_at_most(1.0, 1.0, base(1)[0]) is None
    attached = Objective(speed="none").score_at_most(500.0, 60_000.0, base(1)[0])
    assert attached == pytest.approx(20.0)
    slow = judge(1, to_beat=99.0, objective=Objective(speed="lower"))
    assert reason(slow, 1000.0, 1.0, 1e9) is None


def test_runs_to_come_are_given_the_benefit_of_the_doubt() -> None:
    # Of three runs the first has to be half as much over the limit again.
    assert reason(judge(1, 2, 3), 129.0, 0.0, 0.0) is None
    assert reason(judge(1, 2, 3), 131.0, 0.0, 0.0) is not None
    # 5 points better each: (20 + 25 + 25) / 3.
    assert reason(judge(1, 2, 3, to_beat=23.3), 100.0, 100_000.0, 60_000.0) is None
    assert reason(judge(1, 2, 3, to_beat=23.4), 100.0, 100_000.0, 60_000.0) is not None


def test_runs_that_ended_count_as_they_are() -> None:
    two = judge(2, 1)
    two.ended([run(2, 104.0)])
    assert reason(two, 135.0, 0.0, 0.0) is None
    ended = reason(two, 137.0, 0.0, 0.0)
    assert ended is not None and ended.runtime_overhead_at_least_percent == pytest.approx(20.5) and ended.spent_s == 137
    with pytest.raises(Hopeless) as caught:
        judge(1, 2, 3).ended([run(1, 131.0)])
    assert [repeat.run.seed for repeat in caught.value.repeats] == [1] and caught.value.stopped.spent_s == 0


def test_the_score_to_beat_is_that_of_the_last_finalist() -> None:
    def trial(number: int, score: float, state: str = "complete", feasible: bool = True) -> Trial:
        return Trial(number, state, {}, {}, {}, score, (score,), feasible, 0.0, 0.0, ())

    trials = [trial(0, 5.0), trial(1, 30.0, feasible=False), trial(2, 9.0), trial(3, 7.0), trial(4, 1.0)]
    assert [Rules.of(Objective(), base(1), trials, n).to_beat for n in (1, 2, 3, 4, 5)] == [9.0, 7.0, 5.0, 1.0, None]


def test_a_long_course_is_thinned_and_keeps_its_end() -> None:
    follower = Follower()
    for i in range(1, 5001):
        follower.step([i - 0.5, float(i)], [10, 30], 7.0 * i)
    course = follower.course
    assert len(course.t_s) <= COURSE_POINTS and course.t_s[-1] > 4900
    # The smaller one between any two samples, and nothing before the first.
    assert follower.byte_s == 10.0 * (5000 - 0.5)
    assert all(work == 7.0 * t for t, work in zip(course.t_s, course.work_ms, strict=True))
    assert course.later_s(7.0 * 2500, 5000.0) == pytest.approx(2500, abs=20) and course.later_s(1e9, 5000.0) == 5000.0


# ---- in a study ----


@pytest.fixture
def studies(request_of: RequestOf, tmp_path: Path) -> Callable[..., Outcome]:
    """A study on the simulator, where random points are often too slow."""

    def make(name: str, **changes: object) -> Outcome:
        return run_study(request_of(**{**SIMULATED, "strategy": "random", "study": tmp_path / name, **changes}))

    return make


def test_what_is_stopped_would_have_been_refused_or_beaten(studies: Callable[..., Outcome]) -> None:
    whole, early = studies("whole", early_stop=False), studies("early")
    assert [trial.params for trial in early.trials] == [trial.params for trial in whole.trials]
    stopped = [trial for trial in early.trials if trial.state == "stopped"]
    assert len(stopped) >= 5 and {t.stopped.why for t in stopped if t.stopped} == {"too slow", "no final"}
    for trial, other in zip(early.trials, whole.trials, strict=True):
        if trial.stopped is None:
            assert trial == other
            continue
        assert trial.score is None and not trial.feasible and trial.values == ()
        if trial.stopped.why == "too slow":
            assert not other.feasible
        else:
            assert trial.stopped.score_at_most is not None and other.score is not None
            assert not other.feasible or other.score <= trial.stopped.score_at_most
    assert (early.best, early.recommended) == (whole.best, whole.recommended)
    # Each stopped trial cost less than it would have, and the study says so.
    saved_s = sum(
        other.workload_time_s - trial.workload_time_s for trial, other in zip(early.trials, whole.trials, strict=True)
    )
    assert whole.workload_time_s - early.workload_time_s == pytest.approx(saved_s) and saved_s > 0
    assert all(
        trial.workload_time_s < other.workload_time_s
        for trial, other in zip(early.trials, whole.trials, strict=True)
        if trial.stopped
    )


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
def test_it_goes_on_where_it_was_stopped(request_of: RequestOf, tmp_path: Path, strategy: str) -> None:
    request = request_of(**{**SIMULATED, "trials": 12, "strategy": strategy})
    for count in (4, 9):
        with pytest.raises(Stop):
            run_study(request, stop_after(count))
    outcome = run_study(request)
    again = request_of(**{**SIMULATED, "trials": 12, "strategy": strategy, "study": tmp_path / "whole"})
    assert timeless(outcome) == timeless(run_study(again))
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_reports_say_what_was_stopped(studies: Callable[..., Outcome]) -> None:
    outcome = studies("early")
    count = sum(trial.state == "stopped" for trial in outcome.trials)
    assert words.stopped(outcome).startswith(f"{count} (") and "too slow" in words.stopped(outcome)
    assert trials_csv(outcome).count(",stopped,") == trials_csv(outcome).count("into the run with seed") == count
    assert "stopped early" in render(outcome) and words.stopped(outcome) in render(outcome)
    assert words.stopped(studies("whole", early_stop=False)) == ""


def test_whether_it_stops_early_is_part_of_the_study_where_unusual(
    studies: Callable[..., Outcome], request_of: RequestOf
) -> None:
    studies("one", trials=2)
    with pytest.raises(StudyError, match="early stop: on in the study, nothing now"):
        studies("one", trials=2, early_stop=None)
    real = request_of(backend="fake:real", trials=2)
    assert all(run.course is not None for run in run_study(real).baseline)
    with pytest.raises(StudyError, match="early stop: nothing in the study, off now"):
        run_study(request_of(backend="fake:real", trials=2, early_stop=False))


def test_nothing_is_followed_where_nothing_is_stopped(studies: Callable[..., Outcome]) -> None:
    outcome = studies("whole", trials=1, early_stop=None)
    assert all(run.course is None for run in outcome.baseline)


def test_work_that_is_done_rises_to_all_of_it(request_of: RequestOf) -> None:
    from damoos.backend.registry import open_backend
    from damoos.tune.program import find_workload

    workload = find_workload("zigzag")
    backend = open_backend("sim:zram", timing="work")
    seen: list[tuple[float, float]] = []
    bench = Bench.of(backend, workload)
    slow = from_damo(run_study(request_of(trials=1)).trials[0].kdamonds)
    for kdamonds in (None, slow):
        seen.clear()
        result = bench.results(
            kdamonds, [3], lambda run: run(), lambda _, t_s, work_ms, __: seen.append((t_s, work_ms))
        )[0]
        assert seen == sorted(seen) and seen[-1][1] == workload.duration_ms  # type: ignore[union-attr]
        for phase in range(1, len(result.phases)):
            over_s = sum(p.elapsed_ms for p in result.phases[:phase]) / 1000
            done_ms = sum(p.nominal_ms for p in result.phases[:phase])
            assert all(work_ms <= done_ms + 1e-6 for t_s, work_ms in seen if t_s < over_s - 0.6)
            assert all(work_ms >= done_ms - 1e-6 for t_s, work_ms in seen if t_s > over_s)
