"""Studies on the toy backend: what they find, that they go on where they stopped, what they refuse."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from damoos.damon.damo_format import from_damo
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.errors import BackendError, ConfigError, InputError, StudyError
from damoos.tune.outcome import Outcome
from damoos.tune.request import Progress, StudyRequest
from damoos.tune.study import run_study

from . import fake

RequestOf = Callable[..., StudyRequest]


class Stop(Exception):
    """What ends a study early in a test."""


def stop_after(count: int) -> Callable[[Progress], None]:
    """A progress callback that ends the study at its `count`-th call."""
    seen = []

    def tell(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == count:
            raise Stop

    return tell


def timeless(outcome: Outcome) -> Outcome:
    """The outcome without the moment at which it was made."""
    return dataclasses.replace(outcome, created="")


def test_it_finds_the_top_of_the_hill(request_of: RequestOf) -> None:
    outcome = run_study(request_of(trials=40))
    assert outcome.best_trial is not None and outcome.verification is not None
    age_s = outcome.best_trial.params["min_age"] / 1e6  # type: ignore[operator]
    assert age_s == pytest.approx(fake.BEST_AGE_S, rel=0.4)
    assert outcome.verification.helps and "Found" in outcome.verification.verdict
    assert outcome.recommended == outcome.best_trial.kdamonds
    assert len(outcome.trials) == 40


def test_trial_0_is_the_documented_example(request_of: RequestOf) -> None:
    first = run_study(request_of(trials=1)).trials[0]
    assert from_damo(first.kdamonds) == Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
    assert first.params_text["min_age"] == "5 s" and first.params_text["max_accesses"] == "0 %"


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
def test_same_seed_same_study_other_seed_other_study(request_of: RequestOf, tmp_path: Path, strategy: str) -> None:
    outcomes = [
        run_study(request_of(strategy=strategy, seed=seed, study=tmp_path / f"{i}.journal"))
        for i, seed in enumerate((3, 3, 4))
    ]
    assert timeless(outcomes[0]) == timeless(outcomes[1])
    assert [t.params for t in outcomes[0].trials[1:]] != [t.params for t in outcomes[2].trials[1:]]


def test_a_strategy_may_bring_kdamonds_of_its_own(request_of: RequestOf, tmp_path: Path) -> None:
    request = request_of(strategy="kernel-psi", trials=3)
    run_study(request)
    outcome = run_study(dataclasses.replace(request, trials=5))
    whole = run_study(dataclasses.replace(request, trials=5, study=tmp_path / "whole"))
    assert timeless(outcome) == dataclasses.replace(timeless(whole), workload_time_s=outcome.workload_time_s)
    assert [parameter.name for parameter in outcome.env.parameters] == ["stall", "interval"]
    for trial in outcome.trials:
        (goal,) = from_damo(trial.kdamonds).context.schemes[0].quotas.goals
        assert goal.target_value == trial.params["stall"]
    # It is compared with the env's example, which no trial of it is.
    assert outcome.verification is not None
    documented = outcome.verification.schemes[0]
    assert documented.trial is None and from_damo(documented.kdamonds) == Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])


def test_kdamonds_of_a_strategy_that_the_kernel_lacks_are_refused(request_of: RequestOf, tmp_path: Path) -> None:
    request = request_of(strategy="kernel-psi-temporal")
    with pytest.raises(InputError, match=r"strategy kernel-psi-temporal: needs Linux 7\.1 for .*goal_tuner.*6\.12"):
        run_study(request)
    assert not request.study.exists()


def test_tpe_beats_random(request_of: RequestOf, tmp_path: Path) -> None:
    def scores(strategy: str) -> list[float]:
        found = []
        for seed in range(3):
            request = request_of(strategy=strategy, seed=seed, trials=40, study=tmp_path / f"{strategy}{seed}")
            found.append(sum(t.score or 0.0 for t in run_study(request).trials[10:]) / 30)
        return found

    assert all(tpe > random + 2 for tpe, random in zip(scores("tpe"), scores("random"), strict=True))


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
def test_stopped_anywhere_it_ends_as_if_never_stopped(request_of: RequestOf, tmp_path: Path, strategy: str) -> None:
    whole = timeless(run_study(request_of(strategy=strategy, study=tmp_path / "whole")))
    request = request_of(strategy=strategy)
    for count in (2, 1, 5, 4, 12, 9):
        with pytest.raises(Stop):
            run_study(request, stop_after(count))
    assert timeless(run_study(request)) == whole


def test_a_trial_that_was_not_finished_is_run_again_as_it_was(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from damoos.tune import attempt

    proposed: list[tuple[int, dict[str, Any]]] = []
    real = attempt.evaluate

    def dying(*args: Any) -> Any:
        proposed.append((args[3], dict(args[4])))
        if args[3] == 12 and len([n for n, _ in proposed if n == 12]) < 3:
            raise Stop
        return real(*args)

    monkeypatch.setattr(attempt, "evaluate", dying)
    for _ in range(2):
        with pytest.raises(Stop):
            run_study(request_of())
    outcome = run_study(request_of())
    twelves = [values for number, values in proposed if number == 12]
    assert len(twelves) == 3 and twelves[0] == twelves[1] == twelves[2] == outcome.trials[12].params
    assert [number for number, _ in proposed if number != 12] == [*range(12), 13]


def test_trials_is_the_total(request_of: RequestOf, tmp_path: Path) -> None:
    few = run_study(request_of(trials=5))
    more = run_study(request_of(trials=14))
    assert len(few.trials) == 5 and more.trials[:5] == few.trials and len(more.trials) == 14
    assert timeless(more) == timeless(run_study(request_of(study=tmp_path / "whole")))
    assert len(run_study(request_of(trials=2)).trials) == 14


def test_a_finished_study_runs_nothing_again(
    request_of: RequestOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_study(request_of())
    log = tmp_path / "log"
    monkeypatch.setenv(fake.LOG, str(log))
    assert timeless(run_study(request_of())) == timeless(first)
    # Only the three curves of memory over time are recorded anew.
    assert len(log.read_text().splitlines()) == len(first.series) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 5}, "seed: 0 in the study, 5 now"),
        ({"repeats": 3}, "repeats: 2 in the study, 3 now"),
        ({"backend": "fake:flat"}, "backend: fake ("),
        ({"strategy": "random"}, "strategy: tpe in the study, random now"),
        ({"weight": 0.7}, "objective: -(0.5"),
        ({"max_runtime_overhead_percent": 3.0}, "infeasible above 20 % runtime overhead in the study"),
        ({"timing": "time"}, "timing: work in the study, time now"),
        ({"env": "narrow.toml"}, "parameter min_age: 100 ms to 1 m, log"),
        ({"workload": "other.cfg"}, "workload: toy ("),
    ],
)
def test_a_changed_study_is_refused_by_name(
    request_of: RequestOf, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    (tmp_path / "narrow.toml").write_text('extends = "reclaim"\n[parameters.min_age]\nlow = "1 s"\n')
    (tmp_path / "other.cfg").write_text(fake.WORKLOAD.replace("2000", "3000"))
    run_study(request_of(trials=2))
    before = (tmp_path / "study.journal").read_bytes()
    changes = {k: str(tmp_path / v) if k in ("env", "workload") else v for k, v in changes.items()}
    with pytest.raises(StudyError) as caught:
        run_study(request_of(trials=3, **changes))
    assert named in str(caught.value) and "study.journal" in str(caught.value)
    assert (tmp_path / "study.journal").read_bytes() == before


def test_a_comment_in_the_workload_changes_nothing(request_of: RequestOf, workload: Path) -> None:
    run_study(request_of(trials=2))
    workload.write_text("# the same\n" + fake.WORKLOAD)
    assert len(run_study(request_of(trials=3)).trials) == 3


@pytest.mark.parametrize("text", ["", '{"op_code":0,"worker', None])
def test_a_file_that_was_cut_short_is_mended(request_of: RequestOf, text: str | None) -> None:
    whole = run_study(request_of(trials=6))
    journal = request_of().study
    lines = journal.read_bytes().splitlines(keepends=True)
    torn = text.encode() if text is not None else b"".join(lines)[: -len(lines[-1]) // 2]
    journal.write_bytes(torn)
    assert timeless(run_study(request_of(trials=6))) == timeless(whole)


@pytest.mark.parametrize("text", ["my notes", '{"a": 1}\n', "[]\n"])
def test_another_file_is_not_touched(request_of: RequestOf, text: str) -> None:
    journal = request_of().study
    journal.write_text(text)
    with pytest.raises(StudyError, match="not a study"):
        run_study(request_of())
    assert journal.read_text() == text


def test_two_at_once_are_refused(request_of: RequestOf) -> None:
    def again(progress: Progress) -> None:
        with pytest.raises(StudyError, match="in use"):
            run_study(request_of())
        raise Stop

    with pytest.raises(Stop):
        run_study(request_of(), again)


def test_failed_trials_are_kept_and_say_why(request_of: RequestOf) -> None:
    outcome = run_study(request_of(backend="fake:broken", trials=20))
    failed = [t for t in outcome.trials if t.state == "failed"]
    assert failed and len(failed) < 20
    assert {t.error for t in failed} == {"too slow for this machine"}
    assert all(t.score is None and not t.feasible and t.repeats == () for t in failed)
    assert outcome.best_trial is not None and outcome.best_trial.state == "complete"
    assert timeless(run_study(request_of(backend="fake:broken", trials=20))) == timeless(outcome)


def test_a_default_that_can_not_run_ends_the_study(request_of: RequestOf, tmp_path: Path) -> None:
    env = tmp_path / "slow.toml"
    env.write_text('extends = "reclaim"\n[parameters.sample_interval]\ndefault = "50 ms"\n')
    with pytest.raises(BackendError, match="default can't be run: too slow"):
        run_study(request_of(backend="fake:broken", env=str(env)))


def test_a_parameter_that_the_kernel_lacks_is_refused(request_of: RequestOf, tmp_path: Path) -> None:
    env = tmp_path / "new.toml"
    env.write_text('extends = "reclaim"\n[parameters.min_age]\nsince = "6.15"\n')
    with pytest.raises(ConfigError, match=r"min_age: needs Linux 6.15, got '6.12 on fake'"):
        run_study(request_of(env=str(env)))


def test_a_pareto_study_keeps_its_front_and_names_a_winner(request_of: RequestOf, tmp_path: Path) -> None:
    request = request_of(objective="pareto:runtime,rss", trials=25)
    outcome = run_study(request)
    assert all(len(t.values) == 2 for t in outcome.trials)
    front = [outcome.trials[number] for number in outcome.front]
    runtimes = [t.runtime_overhead_percent for t in front]
    savings = [t.rss_overhead_percent for t in front]
    assert runtimes == sorted(runtimes) and savings == sorted(savings, reverse=True)  # type: ignore[type-var]
    assert outcome.best is not None
    with pytest.raises(Stop):
        run_study(dataclasses.replace(request, study=tmp_path / "again"), stop_after(20))
    assert timeless(run_study(dataclasses.replace(request, study=tmp_path / "again"))) == timeless(outcome)


def test_progress_counts_up_to_its_total(request_of: RequestOf) -> None:
    seen: list[Progress] = []
    outcome = run_study(request_of(), seen.append)
    assert list(dict.fromkeys(p.phase for p in seen)) == ["baseline", "search", "verify"]
    for phase, total in (("baseline", 2), ("search", 14)):
        ends = [p for p in seen if p.phase == phase]
        assert [p.done for p in ends] == sorted(p.done for p in ends)
        assert (ends[-1].done, ends[-1].total) == (total, total)
    best = [p.best_score for p in seen if p.best_score is not None]
    assert best == sorted(best) and best[-1] == max(t.score or 0.0 for t in outcome.trials if t.feasible)
    last = seen[-1]
    assert last.done == last.total and last.workload_time_s == pytest.approx(outcome.workload_time_s)


@pytest.mark.parametrize(("backend", "most"), [("fake", 2), ("fake:real", 1)])
def test_repeats_run_side_by_side_only_in_simulated_time(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, backend: str, most: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setenv(fake.DELAY_S, "0.005")
    monkeypatch.setattr(fake.FakeSession, "most_at_once", 0)
    run_study(request_of(backend=backend, trials=2))
    assert fake.FakeSession.most_at_once == most


def test_runs_are_scored_against_the_baseline_of_their_seed(request_of: RequestOf) -> None:
    outcome = run_study(request_of(repeats=5))
    assert {run.seed for run in outcome.baseline} == set(outcome.search_seeds)
    for trial in outcome.trials:
        for repeat, base in zip(trial.repeats, outcome.baseline, strict=True):
            assert repeat.run.seed == base.seed
            expected = 100 * (repeat.run.runtime_s / base.runtime_s - 1)
            assert repeat.runtime_overhead_percent == pytest.approx(expected)
        # Ten percent of shared noise would show if another seed's baseline were taken.
        scores = [repeat.score for repeat in trial.repeats]
        assert max(scores) - min(scores) < 2


def test_the_outcome_is_json_and_back(request_of: RequestOf) -> None:
    outcome = run_study(request_of(command_line="damoos tune toy"))
    tree = json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert Outcome.from_json(tree) == outcome


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "voodoo"}, "strategy: unknown strategy, got 'voodoo'; allowed: default, documented, random, "),
        ({"backend": "cloud"}, "unknown backend"),
        ({"env": "nonsense"}, "reclaim"),
        ({"workload": "nonsense"}, "no such workload"),
        ({"objective": "speed"}, "unknown objective"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    request_of: RequestOf, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run_study(request_of(**changes))
    assert message in str(caught.value)
    assert not request_of().study.exists()


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        (
            "tiering",
            r"would do nothing, since machine zram has one memory node \(--machine tiered has two\)",
        ),
        ("lru-sort", r"env lru-sort: would do nothing, since machine zram has no limit of memory"),
    ],
)
def test_an_env_that_would_do_nothing_on_a_machine_is_refused(env: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        run_study(StudyRequest(workload="zigzag", env=env, study=tmp_path / "j", trials=3))
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("changes", [{"trials": 0}, {"repeats": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(request_of: RequestOf, changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        request_of(**changes)


CHOICES = """\
title = "T"
description = "D"

[base]
"schemes[0].action" = "pageout"

[parameters.action]
title = "what"
place = "schemes[0].action"
choices = ["pageout", "cold"]
default = "pageout"

[parameters.min_age]
title = "idle"
place = "schemes[0].access_pattern.age.min"
low = "100 ms"
high = "1 m"
default = "5 s"
scale = "log"
when = { action = ["pageout"] }
"""


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
def test_inactive_parameters_are_neither_proposed_nor_set(request_of: RequestOf, tmp_path: Path, strategy: str) -> None:
    env = tmp_path / "choices.toml"
    env.write_text(CHOICES)
    request = request_of(env=str(env), strategy=strategy, trials=25)
    outcome = run_study(request)
    assert {t.params["action"] for t in outcome.trials} == {"pageout", "cold"}
    for trial in outcome.trials:
        active = trial.params["action"] == "pageout"
        assert ("min_age" in trial.params) == active == ("min_age" in trial.params_text)
        age = from_damo(trial.kdamonds).context.schemes[0].access_pattern.age.min
        assert (age > 0) == active
    again = dataclasses.replace(request, study=tmp_path / "again")
    for count in (9, 20):
        with pytest.raises(Stop):
            run_study(again, stop_after(count))
    assert timeless(run_study(again)) == timeless(outcome)


# ---- a budget of workload time ----


def test_the_search_ends_when_the_workload_time_is_used_up(request_of: RequestOf, tmp_path: Path) -> None:
    outcome = run_study(request_of(max_workload_time_s=20.0))
    before = sum(run.runtime_s for run in outcome.baseline)
    costs = [trial.workload_time_s for trial in outcome.trials]
    # The one that passes the limit is run to its end, and none after it.
    assert before + sum(costs[:-1]) < 20.0 <= before + sum(costs)
    assert outcome.verification is not None and outcome.workload_time_s > 20.0
    again = run_study(request_of(max_workload_time_s=20.0))
    assert timeless(again) == timeless(outcome)
    # More time, or none, is no other study.
    whole = run_study(request_of())
    assert len(whole.trials) == 14 and whole.trials[: len(costs)] == outcome.trials
    assert timeless(whole) == timeless(run_study(request_of(study=tmp_path / "whole")))


def test_the_default_is_run_whatever_time_there_is(request_of: RequestOf) -> None:
    assert len(run_study(request_of(max_workload_time_s=0.1)).trials) == 1


def test_the_trials_are_the_limit_where_there_is_more_time(request_of: RequestOf) -> None:
    assert len(run_study(request_of(trials=5, max_workload_time_s=1e6)).trials) == 5


@pytest.mark.parametrize("limit_s", (0.0, -1.0, float("nan"), float("inf")))
def test_a_limit_of_time_is_a_time(request_of: RequestOf, limit_s: float) -> None:
    with pytest.raises(InputError, match="max_workload_time_s"):
        request_of(max_workload_time_s=limit_s)


def test_progress_says_how_much_of_the_time_is_used(request_of: RequestOf) -> None:
    seen: list[Progress] = []
    outcome = run_study(request_of(max_workload_time_s=20.0), seen.append)
    search = [p for p in seen if p.phase == "search"]
    assert {p.max_workload_time_s for p in search} == {20.0} and search[-1].charged_s >= 20.0
    assert all(p.max_workload_time_s is None for p in seen if p.phase != "search")
    # Ten trials of about four seconds each are more than fit.
    assert search[1].runs_left <= 2 * len(outcome.trials) < search[0].runs_left
