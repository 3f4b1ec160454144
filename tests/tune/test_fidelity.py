"""Short runs first: what part of a workload is run, who goes on, what it costs, and that nothing short wins."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from damoos.errors import InputError
from damoos.report import words
from damoos.report.html import render
from damoos.tune.fidelity import WHOLE, Fidelity, Ladder, part_of
from damoos.tune.outcome import Outcome, Trial
from damoos.tune.outputs import trials_csv
from damoos.tune.request import StudyRequest
from damoos.tune.strategies import halving, hyperband
from damoos.workload.attached import attach
from damoos.workload.command import command
from damoos.workload.masim import parse

from .test_measured import log_of
from .test_study import Stop, run_study, stop_after, timeless

RequestOf = Callable[..., StudyRequest]
WORKLOAD = parse("a, 4096\n\none\n1000\na, 0, 4096, 1\n\ntwo\n500\n\nthree\n3000\na, 1, 0, 1\n", "w")
SHORT = {"strategy": "halving", "trials": 27}


def test_the_beginning_of_a_workload_is_its_first_phases_at_their_own_pace() -> None:
    third = part_of(WORKLOAD, 1 / 3)
    assert [(p.name, p.ms) for p in third.phases] == [("one", 1000), ("two", 500)]  # type: ignore[union-attr]
    half = part_of(WORKLOAD, 0.5)
    assert [p.ms for p in half.phases] == [1000, 500, 750]  # type: ignore[union-attr]
    assert half.phases[2].patterns == WORKLOAD.phases[2].patterns  # type: ignore[union-attr]
    assert half.regions == WORKLOAD.regions and part_of(WORKLOAD, 1.0) is WORKLOAD  # type: ignore[union-attr]
    assert [p.ms for p in part_of(WORKLOAD, 1e-9).phases] == [1]  # type: ignore[union-attr]


def test_what_is_watched_is_watched_for_a_part_and_a_command_is_whole() -> None:
    assert part_of(attach("paddr", "", 30), 1 / 3) == attach("paddr", "", 10)
    bench = command(["./bench"])
    assert part_of(bench, 1 / 3) is bench


def test_places_on_a_ladder_follow_the_brackets_over_and_over() -> None:
    ladder = Ladder((Fidelity(0.1, False), Fidelity(0.5, False), WHOLE), ((0, (4, 2, 1)), (1, (2, 1)), (2, (2,))))
    rungs = [ladder.slot(number).rung for number in range(1, 25)]
    assert rungs == [0, 0, 0, 0, 1, 1, 2, 1, 1, 2, 2, 2] * 2
    assert ladder.slot(6) == type(ladder.slot(6))(1, range(1, 5), range(5, 6))
    # A bracket begins anew: nothing of the one before goes on in it.
    assert ladder.slot(8).below == range(8, 8) and ladder.slot(10).below == range(8, 10)
    assert ladder.slot(19).below == range(17, 19) and ladder.slot(13).beside == range(13, 13)
    assert ladder.fidelity(0) == WHOLE and ladder.fidelity(1).share == 0.1


@pytest.mark.parametrize("module", (halving, hyperband))
@pytest.mark.parametrize("repeats", (1, 3))
def test_ladders_end_in_whole_trials(module: object, repeats: int) -> None:
    ladder = module.ladder(repeats)  # type: ignore[attr-defined]
    assert ladder.rungs[-1] == WHOLE
    for first, counts in ladder.brackets:
        assert first + len(counts) == len(ladder.rungs) and all(a > b for a, b in pairwise(counts))


# ---- in a study ----


def by_rung(outcome: Outcome, repeats: int = 2) -> list[list[Trial]]:
    """The trials of each rung of the first bracket of halving."""
    ladder = halving.ladder(repeats)
    return [[t for t in outcome.trials[1:14] if ladder.slot(t.number).rung == rung] for rung in range(3)]


def test_the_best_third_goes_on_and_keeps_its_runs(
    request_of: RequestOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = log_of(monkeypatch, tmp_path / "log")
    outcome = run_study(request_of(**SHORT))
    short, once, whole = by_rung(outcome)
    assert [len(trials) for trials in (short, once, whole)] == [9, 3, 1]
    assert {(t.state, t.share, len(t.repeats)) for t in short} == {("partial", 1 / 3, 1)}
    assert {(t.state, t.share, len(t.repeats)) for t in once} == {("partial", 1.0, 1)}
    assert [(t.state, len(t.repeats)) for t in whole] == [("complete", 2)]
    for below, above in ((short, once), (once, whole)):
        ranked = sorted(below, key=lambda t: -(t.score or 0.0) if t.feasible else 1e9)
        assert [t.params for t in above] == [t.params for t in ranked[: len(above)]]
    # The one that goes on to two runs has one already.
    seed = once[0].repeats[0].run.seed
    assert whole[0].reused == (seed,) and whole[0].repeats[0] == next(
        t.repeats[0] for t in once if t.params == whole[0].params
    )
    assert whole[0].workload_time_s == whole[0].repeats[1].run.runtime_s
    searched = len([t for t in outcome.trials if t.stopped is None])
    assert searched == 27 and all(t.reused == () for t in (*short, *once))
    # Run again with the same seed: for pictures, and whole after a part, three points a bracket and the baseline.
    assert len(runs()) == len(set(runs())) + len(outcome.series) + 2 * 3 + 1


def test_parts_are_compared_with_the_same_part_of_the_baseline(request_of: RequestOf) -> None:
    outcome = run_study(request_of(**SHORT))
    short, once, _ = by_rung(outcome)
    base = {run.seed: run for run in outcome.baseline}
    for trial in short:
        repeat = trial.repeats[0]
        assert repeat.run.runtime_s < 0.5 * base[repeat.run.seed].runtime_s
        assert abs(repeat.runtime_overhead_percent) < 30
    assert all(abs(t.repeats[0].runtime_overhead_percent) < 30 for t in once)
    # What the study was charged: each run once, the baseline's part included.
    checked = outcome.verification
    assert checked is not None
    searched = sum(trial.workload_time_s for trial in outcome.trials)
    part = outcome.baseline[0].runtime_s / 3
    assert outcome.workload_time_s > searched + sum(run.runtime_s for run in outcome.baseline) + part * 0.9


def test_nothing_short_wins(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_study(request_of(**SHORT))
    assert outcome.best is not None and outcome.trials[outcome.best].state == "complete"
    assert outcome.verification is not None
    whole = {str(t.number) for t in outcome.trials if t.state == "complete"}
    assert set(outcome.verification.finalists) <= whole and set(map(str, outcome.front)) <= whole
    assert Outcome.from_json(outcome.to_json()) == outcome
    table = trials_csv(outcome).splitlines()
    assert "share,runs" in table[0] and sum(",partial," in line for line in table) == 27 - len(whole)


@pytest.mark.parametrize("backend", ("fake", "fake:real", "fake:virtual"))
@pytest.mark.parametrize("strategy", ("halving", "hyperband"))
def test_stopped_anywhere_it_ends_as_if_never_stopped(
    request_of: RequestOf, tmp_path: Path, strategy: str, backend: str
) -> None:
    changes = {"strategy": strategy, "backend": backend, "trials": 16, "early_stop": True}
    whole = timeless(run_study(request_of(**changes, study=tmp_path / "whole")))
    request = request_of(**changes)
    for count in (2, 4, 9, 7):
        with pytest.raises(Stop):
            run_study(request, stop_after(count))
    assert timeless(run_study(request)) == whole


def test_one_run_a_trial_has_no_rung_of_one_run(request_of: RequestOf) -> None:
    outcome = run_study(request_of(**SHORT, repeats=1))
    assert {(t.state, t.share) for t in outcome.trials} == {("partial", 1 / 3), ("complete", 1.0)}
    assert sum(t.state == "complete" for t in outcome.trials) == 1 + 3 + 3


def test_a_command_is_run_whole_and_less_often(request_of: RequestOf) -> None:
    program = command(["./bench"])
    outcome = run_study(request_of(**SHORT, backend="fake:real", program=program, early_stop=False))
    short, once, whole = by_rung(outcome)
    assert {(t.share, len(t.repeats)) for t in (*short, *once)} == {(1.0, 1)}
    # From the first to the second rung nothing has to be run again.
    assert all(t.workload_time_s == 0 and len(t.reused) == 1 for t in once) and whole[0].state == "complete"


def test_a_start_from_points_takes_the_first_places(request_of: RequestOf, tmp_path: Path) -> None:
    from damoos.tune.outputs import write_outputs

    write_outputs(run_study(request_of(trials=8, study=tmp_path / "one")), tmp_path / "there")
    outcome = run_study(request_of(**SHORT, start_from=tmp_path / "there", from_best=2))
    assert [t.share for t in outcome.trials[:4]] == [1.0, 1 / 3, 1 / 3, 1 / 3]


def test_several_objectives_are_refused(request_of: RequestOf) -> None:
    with pytest.raises(InputError, match="strategy halving: takes one objective"):
        run_study(request_of(**SHORT, objective="pareto:runtime,rss"))


def test_workload_time_ends_it_too(request_of: RequestOf) -> None:
    outcome = run_study(request_of(**{**SHORT, "trials": 500, "max_workload_time_s": 40.0}))
    spent_s = sum(t.workload_time_s for t in outcome.trials)
    assert 25 < spent_s < 45 and len(outcome.trials) > 20


def test_reports_count_what_was_short(request_of: RequestOf, tmp_path: Path) -> None:
    outcome = run_study(request_of(**SHORT))
    assert words.trials(outcome) == "27 trials, 24 of them short"
    assert "trials, 24 of them short" in render(outcome)
    plain = run_study(request_of(strategy="random", trials=2, study=tmp_path / "plain"))
    assert words.trials(plain) == "2 trials" and "trials, 2 runs each" in render(plain)
