"""Warm starts: another study's best points come first, and make a study of their own."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from damoos.errors import InputError, StudyError
from damoos.tune.outcome import Outcome
from damoos.tune.outputs import write_outputs
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
from damoos.tune.verify import ranking

from .test_study import Stop, stop_after, timeless

RequestOf = Callable[..., StudyRequest]


@pytest.fixture
def other(request_of: RequestOf, tmp_path: Path) -> Outcome:
    """A simulated study that has ended; its files are in `other`."""
    outcome = run_study(request_of(trials=25, seed=8, study=tmp_path / "other" / "study.journal"))
    write_outputs(outcome, tmp_path / "other")
    return outcome


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
@pytest.mark.parametrize("best", [1, 5])
def test_the_best_points_come_right_after_the_default(
    request_of: RequestOf, tmp_path: Path, other: Outcome, strategy: str, best: int
) -> None:
    request = request_of(backend="fake:real", strategy=strategy, start_from=tmp_path / "other", from_best=best)
    outcome = run_study(request)
    points = [trial.params for trial in outcome.trials]
    assert points[0] == other.trials[0].params
    better = [trial.params for trial in ranking(other.trials) if trial.number != 0]
    assert points[1 : best + 1] == better[:best] and points[best + 1] not in better
    assert outcome.start == f"best of {tmp_path / 'other'} (toy on fake, simulated time)"
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_result_and_folder_are_the_same_start(request_of: RequestOf, tmp_path: Path, other: Outcome) -> None:
    one = run_study(request_of(start_from=tmp_path / "other", trials=8))
    two = run_study(request_of(start_from=tmp_path / "other" / "result.json", trials=8))
    assert one.trials == two.trials


@pytest.mark.parametrize("strategy", ("random", "tpe", "border"))
def test_stopped_anywhere_it_ends_as_if_never_stopped(
    request_of: RequestOf, tmp_path: Path, other: Outcome, strategy: str
) -> None:
    request = request_of(strategy=strategy, start_from=tmp_path / "other")
    whole = timeless(run_study(dataclasses.replace(request, study=tmp_path / "whole")))
    for count in (4, 1, 5, 7, 6, 9):
        with pytest.raises(Stop):
            run_study(request, stop_after(count))
    assert timeless(run_study(request)) == whole


@pytest.mark.parametrize("change", [{"start_from": None}, {"from_best": 2}])
def test_another_start_is_another_study(
    request_of: RequestOf, tmp_path: Path, other: Outcome, change: dict[str, object]
) -> None:
    request = request_of(start_from=tmp_path / "other", trials=3)
    run_study(request)
    with pytest.raises(StudyError, match=r"start: 5 points \("):
        run_study(dataclasses.replace(request, **change))


def test_the_default_is_not_run_twice(request_of: RequestOf, tmp_path: Path, other: Outcome) -> None:
    # Of a study that has nothing better than its default, that is all that there is to begin with.
    best = dataclasses.replace(other.trials[0], score=99.0, feasible=True)
    write_outputs(dataclasses.replace(other, trials=(best, *other.trials[1:])), tmp_path / "other")
    outcome = run_study(request_of(start_from=tmp_path / "other", trials=8))
    assert [t.params for t in outcome.trials].count(outcome.trials[0].params) == 1


def test_without_a_feasible_trial_there_is_no_start(request_of: RequestOf, tmp_path: Path, other: Outcome) -> None:
    trials = tuple(dataclasses.replace(trial, feasible=False) for trial in other.trials)
    write_outputs(dataclasses.replace(other, trials=trials), tmp_path / "other")
    with pytest.raises(InputError, match="--from: has no feasible trial, got '.*other'"):
        run_study(request_of(start_from=tmp_path / "other"))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            '[parameters.quota]\ntitle = "q"\nplace = "schemes[0].quotas.bytes"\nlow = "1 MiB"\nhigh = "1 GiB"\n'
            'default = "64 MiB"\n',
            "--from: parameter quota is only in this study's env, got 'env reclaim there, mine here'",
        ),
        (
            '[parameters.min_age]\nhigh = "5 s"\nlow = "4.9 s"\n',
            "--from: parameter min_age (env reclaim there, mine here) is out of range, got '",
        ),
        (
            '[parameters.min_age]\nplace = "schemes[0].access_pattern.age.max"\n',
            "--from: parameter min_age is something else in the other study's env",
        ),
    ],
)
def test_what_does_not_fit_this_env_is_named(
    request_of: RequestOf, tmp_path: Path, other: Outcome, env: str, message: str
) -> None:
    (tmp_path / "mine.toml").write_text(f'extends = "reclaim"\n{env}')
    with pytest.raises(InputError) as caught:
        run_study(request_of(env=str(tmp_path / "mine.toml"), start_from=tmp_path / "other"))
    assert message in str(caught.value)
    assert not request_of().study.exists()


def test_a_parameter_that_is_only_there_is_named(request_of: RequestOf, tmp_path: Path, other: Outcome) -> None:
    env = tmp_path / "few.toml"
    env.write_text(
        'title = "T"\ndescription = "D"\n[base]\n"schemes[0].action" = "pageout"\n'
        '[parameters.min_age]\ntitle = "idle"\n'
        'place = "schemes[0].access_pattern.age.min"\nlow = "100 ms"\nhigh = "1 m"\ndefault = "5 s"\nscale = "log"\n'
    )
    with pytest.raises(InputError) as caught:
        run_study(request_of(env=str(env), start_from=tmp_path / "other"))
    assert "is only in the other study's env, got 'env reclaim there, few here'" in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "other/trials.csv"])
def test_what_is_no_study_is_refused(request_of: RequestOf, tmp_path: Path, other: Outcome, name: str) -> None:
    with pytest.raises(InputError, match=name):
        run_study(request_of(start_from=tmp_path / name))


MAIN = """
import json, sys
from pathlib import Path
from tests.tune import fake
from damoos.tune.request import StudyRequest
from damoos.tune.study import run_study
workload, journal, other, result = sys.argv[1:]
request = StudyRequest(workload=workload, study=Path(journal), backend="fake:real", trials=10, repeats=2,
                       start_from=Path(other))
outcome = run_study(request, lambda progress: print(progress.phase, progress.done, flush=True))
Path(result).write_text(json.dumps(outcome.to_json()))
"""


def test_killed_among_the_first_points_it_goes_on_with_the_next(workload: Path, tmp_path: Path, other: Outcome) -> None:
    def start(name: str, delay_s: str) -> subprocess.Popen[str]:
        paths = [workload, tmp_path / f"{name}.journal", tmp_path / "other", tmp_path / f"{name}.json"]
        return subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, paths)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DAMOOS_TEST_FAKE_DELAY_S": delay_s},
            cwd=Path(__file__).parents[2],
        )

    for name, steps in (("whole", ()), ("killed", (6, 3, 5))):
        for count in steps:
            process = start(name, "0.02")
            assert process.stdout is not None
            for _line in zip(range(count), process.stdout, strict=False):
                pass
            time.sleep(0.03)
            process.kill()
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
        process = start(name, "0")
        process.communicate(timeout=60)
        assert process.returncode == 0
    results = [json.loads((tmp_path / f"{name}.json").read_text()) | {"created": ""} for name in ("whole", "killed")]
    assert results[0] == results[1]
