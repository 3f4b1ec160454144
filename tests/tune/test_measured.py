"""Studies where a run takes as long as its workload: effort, memory of single runs, failures, other workloads."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from damoos.damon.damo_format import from_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import (
    BackendError,
    DamonInUseError,
    HostError,
    InputError,
    KdamondsError,
    SetUpError,
    StudyError,
    WorkloadError,
)
from damoos.tune import effort
from damoos.tune.effort import REAL, SIMULATED, VIRTUAL
from damoos.tune.outcome import Outcome, Trial, from_plain, to_plain
from damoos.tune.request import Progress, StudyRequest
from damoos.tune.seeds import Stream, run_seeds
from damoos.tune.study import run_study
from damoos.workload.attached import attach
from damoos.workload.command import Metric, command, parse_metric

from . import fake
from .test_study import Stop, stop_after, timeless

RequestOf = Callable[..., StudyRequest]
MEASURED_BACKENDS = ("fake:real", "fake:virtual")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    fake.closed.clear()
    fake.FakeSession.threads.clear()
    yield


def log_of(monkeypatch: pytest.MonkeyPatch, path: Path) -> Callable[[], list[str]]:
    monkeypatch.setenv(fake.LOG, str(path))
    return lambda: path.read_text().split("\n")[:-1] if path.exists() else []


# ---- effort and memory ----


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_real_time_is_spent_with_care(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str
) -> None:
    runs = log_of(monkeypatch, tmp_path / "log")
    outcome = run_study(request_of(backend=backend, trials=14, repeats=None, early_stop=False))
    checked = outcome.verification
    assert checked is not None and len(checked.finalists) == REAL.finalists == 3
    spent = REAL if backend == "fake:real" else VIRTUAL
    repeats, final, verify = spent.repeats, spent.final_seeds, spent.verify_seeds
    assert (len(checked.finalist_seeds), len(checked.seeds)) == (final, verify) and len(outcome.baseline) == repeats
    assert {len(trial.repeats) for trial in outcome.trials} == {repeats}
    # Baseline, trials, final with its baseline, verification; not one run for a picture.
    assert len(runs()) == (1 + 14) * repeats + (1 + 3) * final + 3 * verify
    assert outcome.time_kind == backend.removeprefix("fake:")


def test_simulated_time_is_spent_freely(request_of: RequestOf) -> None:
    outcome = run_study(request_of(trials=8, repeats=None))
    assert len(outcome.baseline) == SIMULATED.repeats == 3
    assert outcome.verification is not None and len(outcome.verification.seeds) == 10


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_the_curves_are_of_runs_that_were_verified(request_of: RequestOf, backend: str) -> None:
    request = request_of(backend=backend)
    outcome = run_study(request)
    assert outcome.verification is not None
    assert [s.label for s in outcome.series] == ["no scheme", *(s.label for s in outcome.verification.schemes)]
    first = run_seeds(request.seed, Stream.VERIFY, 1)[0]
    for series, scheme in zip(outcome.series[1:], outcome.verification.schemes, strict=True):
        assert series.seed == first == scheme.repeats[0].run.seed
        assert series.t_s[-1] == scheme.repeats[0].run.runtime_s
        assert series.rss_bytes[0] == int(scheme.repeats[0].run.rss_mean_bytes)


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_a_finished_study_runs_nothing_at_all(
    request_of: RequestOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    first = run_study(request_of(backend=backend))
    runs = log_of(monkeypatch, tmp_path / "log")
    assert timeless(run_study(request_of(backend=backend))) == timeless(first)
    assert runs() == []


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_stopped_anywhere_no_run_of_the_verification_is_lost(
    request_of: RequestOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    whole = timeless(run_study(request_of(backend=backend, study=tmp_path / "whole")))
    runs = log_of(monkeypatch, tmp_path / "log")
    request = request_of(backend=backend)
    for count in (2, 6, 14, 9, 10):
        with pytest.raises(Stop):
            run_study(request, stop_after(count))
    assert timeless(run_study(request)) == whole
    assert len(runs()) == len(set(runs()))


def test_a_study_says_how_much_effort_it_is_of(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch) -> None:
    run_study(request_of(backend="fake:real", trials=2))
    monkeypatch.setitem(effort._BY_TIME, "real", dataclasses.replace(REAL, verify_seeds=8))
    with pytest.raises(StudyError, match="effort: 3 finalists of 3 runs in at most 2 rounds, 5 runs of verification"):
        run_study(request_of(backend="fake:real", trials=2))


# ---- the backend ----


@pytest.mark.parametrize("ending", [None, Stop(), KeyboardInterrupt()])
def test_the_backend_is_opened_once_and_closed_however_it_ends(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, ending: BaseException | None
) -> None:
    opened: list[str] = []
    real = fake.open_fake

    def open_counted(detail: str = "", **options: object) -> fake.FakeBackend:
        opened.append(detail)
        return real(detail, **options)

    monkeypatch.setattr(fake, "open_fake", open_counted)

    def tell(progress: Progress) -> None:
        if ending is not None and progress.phase == "search" and progress.done == 2:
            raise ending

    try:
        run_study(request_of(backend="fake:real"), tell)
    except (Stop, KeyboardInterrupt) as error:
        assert error is ending
    assert opened == ["real"] and fake.closed == ["fake:real"]


def test_a_backend_that_was_given_stays_open(request_of: RequestOf) -> None:
    run_study(request_of(backend="fake:real", trials=2), backend=fake.FakeBackend("real"))
    assert fake.closed == []


def test_a_run_stays_in_one_thread_and_slots_are_filled(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake.DELAY_S, "0.005")
    monkeypatch.setattr(fake.FakeSession, "most_at_once", 0)
    run_study(request_of(backend="fake:virtual", trials=3, repeats=4))
    assert fake.FakeSession.most_at_once == 2
    threads = fake.FakeSession.threads
    assert threads and all(begun == ended for begun, ended in threads)
    assert len({begun for begun, _ in threads}) > 1


def test_an_error_ends_the_runs_beside_it(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def advance(self: fake.FakeSession, seconds: float) -> None:
        begun.set()  # and never ends

    def broken(kdamonds: Kdamonds | None, seed: int) -> Exception | None:
        if seed != run_seeds(0, Stream.SEARCH, 1)[0]:
            return None
        assert begun.wait(10)
        return WorkloadError("broken")

    monkeypatch.setattr(fake.FakeSession, "advance", advance)
    monkeypatch.setattr(fake, "fault", broken)
    with pytest.raises(WorkloadError, match="broken"):
        run_study(request_of(backend="fake:virtual"))
    assert len(fake.FakeSession.threads) == 1, "the run beside it was not closed"


# ---- failures ----


class Faults:
    """Raises `errors` one after the other for runs that `concerns` picks, then nothing more (or the last for ever)."""

    def __init__(
        self,
        *errors: Exception,
        concerns: Callable[[Kdamonds | None, int], bool] = lambda kdamonds, seed: True,
        for_ever: bool = False,
    ) -> None:
        self.errors, self.concerns, self.for_ever, self.raised = errors, concerns, for_ever, 0

    def __call__(self, kdamonds: Kdamonds | None, seed: int) -> Exception | None:
        if not self.concerns(kdamonds, seed) or (self.raised >= len(self.errors) and not self.for_ever):
            return None
        self.raised += 1
        return self.errors[min(self.raised, len(self.errors)) - 1]


def with_scheme(kdamonds: Kdamonds | None, seed: int) -> bool:
    return kdamonds is not None


def but_the_default(kdamonds: Kdamonds | None, seed: int) -> bool:
    return kdamonds is not None and kdamonds.context.schemes[0].access_pattern.age.min != 50


def slow_sampling(kdamonds: Kdamonds | None, seed: int) -> bool:
    return kdamonds is not None and kdamonds.context.intervals.sample_us > 20_000


def test_a_set_up_that_fails_twice_is_tried_again_and_said(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = run_study(request_of(backend="fake:real", study=tmp_path / "whole"))
    notes: list[str] = []
    faults = Faults(SetUpError("no guest"), HostError("/sys/x", 5, "lost"), concerns=with_scheme)
    monkeypatch.setattr(fake, "fault", faults)
    outcome = run_study(request_of(backend="fake:real"), lambda progress: notes.append(progress.note))
    assert timeless(outcome) == timeless(whole) and faults.raised == 2
    assert [note for note in notes if note] == [
        "the set-up failed, trying again (1 of 2): no guest",
        "the set-up failed, trying again (2 of 2): can't read /sys/x: lost",
    ]


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_a_trial_that_can_not_be_set_up_fails_and_the_study_goes_on(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(fake, "fault", Faults(SetUpError("no"), concerns=slow_sampling, for_ever=True))
    outcome = run_study(request_of(backend=backend, trials=20, seed=2))
    failed = [trial for trial in outcome.trials if trial.state == "failed"]
    assert failed and {(t.error, t.error_kind) for t in failed} == {("no", "setup")}
    assert all(t.error_kind is None for t in outcome.trials if t.state == "complete")


@pytest.mark.parametrize("error", [SetUpError("the guest is gone"), HostError("/sys/x", 5, "the guest is gone")])
def test_three_in_a_row_that_can_not_be_set_up_end_the_study_which_goes_on_later(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    faults = Faults(error, concerns=but_the_default, for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    request = request_of(backend="fake:real")
    with pytest.raises(
        SetUpError, match=r"3 trials in a row could not be set up, the study stops: .*the guest is gone"
    ):
        run_study(request)
    assert faults.raised == 3 * 3, "each is tried three times"
    monkeypatch.setattr(fake, "fault", fake.no_fault)
    outcome = run_study(request)
    assert [t.error_kind for t in outcome.trials[:4]] == [None, "setup", "setup", None]
    assert len(outcome.trials) == 14


@pytest.mark.parametrize("phase", ["baseline", "verify"])
def test_what_can_not_be_left_out_ends_the_study_after_three_set_ups(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, phase: str
) -> None:
    stream = Stream.SEARCH if phase == "baseline" else Stream.VERIFY
    seed = run_seeds(0, stream, 2)[1]
    faults = Faults(SetUpError("the guest is gone"), concerns=lambda kdamonds, s: s == seed, for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    request = request_of(backend="fake:real", early_stop=False)
    with pytest.raises(SetUpError, match="the guest is gone"):
        run_study(request)
    assert faults.raised == 3
    monkeypatch.setattr(fake, "fault", fake.no_fault)
    runs = log_of(monkeypatch, tmp_path / "log")
    run_study(request)
    # What was done is not done again: of the baseline one run of two, of the verification all before and the first.
    assert len(runs()) == {"baseline": 1 + 14 * 2 + 12 + 15, "verify": 15 - 1}[phase]


@pytest.mark.parametrize("after", [0, 9])
def test_damon_in_use_stops_at_once(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    seen = []

    def in_use(kdamonds: Kdamonds | None, seed: int) -> Exception | None:
        seen.append(seed)
        return DamonInUseError("damo (pid 7) uses DAMON") if len(seen) > after else None

    monkeypatch.setattr(fake, "fault", in_use)
    with pytest.raises(DamonInUseError, match="pid 7") as caught:
        run_study(request_of(backend="fake:real"))
    assert caught.value.exit_code == 2 and len(seen) == after + 1


def test_a_workload_that_fails_without_a_scheme_ends_the_study(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(WorkloadError("bench: exit code 3"), for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    with pytest.raises(WorkloadError, match="exit code 3"):
        run_study(request_of(backend="fake:real"))
    assert faults.raised == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkloadError("timed out after 60 s"), "workload"),
        (KdamondsError("EINVAL"), "refused"),
        (BackendError("odd"), "backend"),
    ],
)
def test_failures_that_are_the_schemes_are_kept_by_kind_and_not_retried(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, kind: str
) -> None:
    faults = Faults(error, concerns=slow_sampling, for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    outcome = run_study(request_of(backend="fake:real", trials=20))
    failed = [t for t in outcome.trials if t.state == "failed"]
    assert failed and {(t.error, t.error_kind) for t in failed} == {(str(error), kind)}
    assert faults.raised == len(failed)
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


@pytest.mark.parametrize("error", [KdamondsError("EINVAL"), SetUpError("no guest"), BackendError("odd")])
def test_a_default_that_can_not_run_ends_the_study(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(fake, "fault", Faults(error, concerns=with_scheme, for_ever=True))
    with pytest.raises(BackendError, match=f"the env's default can't be run: {error}") as caught:
        run_study(request_of(backend="fake:real"))
    assert isinstance(caught.value, SetUpError) == isinstance(error, SetUpError)


def test_a_default_under_which_the_workload_fails_is_a_failed_trial(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = run_study(request_of(trials=1)).trials[0]
    faults = Faults(WorkloadError("timed out"), concerns=lambda k, s: k == from_damo(default.kdamonds), for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    outcome = run_study(request_of(backend="fake:real", trials=20, study=request_of().study.with_name("other")))
    assert outcome.trials[0].error_kind == "workload" and outcome.best not in (0, None)
    assert outcome.verification is not None
    assert [scheme.label for scheme in outcome.verification.schemes] == ["found"]
    assert "Found: " in outcome.verification.verdict
    assert "Under the documented example the workload failed: timed out." in outcome.verification.verdict
    assert [series.label for series in outcome.series] == ["no scheme", "found"]


def test_a_finalist_under_which_the_workload_fails_is_out(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = run_study(request_of(backend="fake:real", trials=20, study=tmp_path / "whole"))
    assert whole.best_trial is not None
    winner = from_damo(whole.best_trial.kdamonds)
    finals = run_seeds(0, Stream.FINAL, 4)
    faults = Faults(WorkloadError("crashed"), concerns=lambda k, s: k == winner and s in finals, for_ever=True)
    monkeypatch.setattr(fake, "fault", faults)
    outcome = run_study(request_of(backend="fake:real", trials=20))
    assert outcome.best not in (whole.best, None) and outcome.verification is not None
    assert str(whole.best) not in outcome.verification.finalists and outcome.verification.helps


def test_a_winner_under_which_the_workload_fails_in_the_end_is_not_recommended(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_seeds = run_seeds(0, Stream.VERIFY, 6)
    faults = Faults(WorkloadError("crashed"), concerns=lambda k, s: but_the_default(k, s) and s in fresh_seeds)
    faults.for_ever = True
    monkeypatch.setattr(fake, "fault", faults)
    outcome = run_study(request_of(backend="fake:real", trials=20))
    assert outcome.verification is not None
    assert [scheme.label for scheme in outcome.verification.schemes] == ["documented"]
    assert "Under what was found the workload failed: crashed." in outcome.verification.verdict
    assert outcome.best_trial is not None and outcome.recommended != outcome.best_trial.kdamonds


def test_trials_of_before_kinds_were_kept_still_open(request_of: RequestOf) -> None:
    trial = run_study(request_of(backend="fake:broken", trials=20)).trials[-1]
    plain = to_plain(dataclasses.replace(trial, state="failed", error="x", error_kind="backend"))
    assert isinstance(plain, dict)
    del plain["error_kind"]
    assert from_plain(Trial, plain, "trial") == dataclasses.replace(trial, state="failed", error="x", error_kind=None)


# ---- other workloads ----


def test_a_program_is_tuned_by_its_runtime(request_of: RequestOf) -> None:
    program = command(["./bench", "--fast"], timeout_s=60)
    request = request_of(backend="fake:real", workload="./bench --fast", program=program, trials=20)
    outcome = run_study(request)
    info = outcome.workload
    assert (info.name, info.path, info.kind, info.metric) == ("bench", "./bench --fast", "command", None)
    assert info.footprint_bytes == max(run.rss_peak_bytes for run in outcome.baseline)
    assert info.duration_s == pytest.approx(sum(run.runtime_s for run in outcome.baseline) / 2)
    assert outcome.access is None and outcome.verification is not None and outcome.verification.helps
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    with pytest.raises(StudyError, match="workload: bench"):
        run_study(dataclasses.replace(request, program=command(["./bench", "--slow"])))


def test_a_file_with_a_command_is_a_workload(request_of: RequestOf, tmp_path: Path) -> None:
    (tmp_path / "db.toml").write_text('command = "./db --bench"\n[metric]\nsource = "output"\npattern = "tps (.*)"\n')
    outcome = run_study(request_of(backend="fake:real", workload=str(tmp_path / "db.toml"), trials=3))
    assert outcome.workload.name == "db" and outcome.workload.metric == "output, tps (.*); lower is better"


@pytest.mark.parametrize("program", [command(["true"]), attach("paddr", "", 2)])
def test_what_the_simulator_can_not_run_is_refused_before_anything_is_written(
    request_of: RequestOf, program: object
) -> None:
    with pytest.raises(InputError, match="only masim workloads can be simulated"):
        run_study(request_of(program=program))
    assert not request_of().study.exists()


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_metric_takes_the_place_of_the_runtime(request_of: RequestOf, tmp_path: Path, better: str) -> None:
    """100 / runtime and 10 · runtime get worse just as the runtime does."""

    def study(name: str, metric: Metric | None) -> Outcome:
        program = command(["./bench"], metric=metric)
        return run_study(
            request_of(backend="fake:real", program=program, trials=20, study=tmp_path / name, early_stop=False)
        )

    plain, judged = study("plain", None), study("judged", parse_metric("output:x (.*)", better=better))
    assert judged.objective.speed == better and better in judged.objective.description
    for one, other in zip(plain.trials, judged.trials, strict=True):
        assert other.runtime_overhead_percent == pytest.approx(one.runtime_overhead_percent)
        assert all(repeat.run.metric is not None for repeat in other.repeats)
    checked = judged.verification
    assert checked is not None and checked.baseline_metric is not None and "a metric that is" in checked.verdict
    for scheme in checked.schemes:
        assert scheme.metric is not None and scheme.metric.mean == pytest.approx(
            sum(repeat.run.metric or 0 for repeat in scheme.repeats) / len(scheme.repeats)
        )


def test_a_metric_that_can_not_be_compared_is_the_workloads_failure(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fake._result

    def result(session: fake.FakeSession) -> object:
        found = real(session)
        return dataclasses.replace(found, metric=0.0) if slow_sampling(session.kdamonds, session.seed) else found

    monkeypatch.setattr(fake, "_result", result)
    program = command(["./bench"], metric=parse_metric("output:x (.*)", better="higher"))
    outcome = run_study(request_of(backend="fake:real", program=program, trials=20))
    failed = [t for t in outcome.trials if t.state == "failed"]
    assert failed and {t.error_kind for t in failed} == {"workload"}
    assert "metric: 0 can't be compared" in (failed[0].error or "")


def test_what_runs_already_is_tuned_for_memory_alone(request_of: RequestOf) -> None:
    outcome = run_study(request_of(backend="fake:real", program=attach("paddr", "", 2), trials=20))
    assert outcome.objective.speed == "none" and outcome.workload.kind == "paddr" and outcome.workload.duration_s == 2
    assert {trial.runtime_overhead_percent for trial in outcome.trials if trial.stopped is None} == {0.0}
    assert outcome.verification is not None and outcome.verification.helps
    assert "runtime" not in outcome.verification.verdict
    contexts = [context for kdamond in outcome.recommended["kdamonds"] for context in kdamond["contexts"]]
    assert [context["ops"] for context in contexts] == ["paddr"]


def test_what_nothing_measures_can_not_be_an_objective(request_of: RequestOf) -> None:
    program = attach("pid", "1", 2)
    with pytest.raises(InputError, match="objective: nothing measures the speed, got 'runtime'"):
        run_study(request_of(backend="fake:real", program=program, objective="pareto:runtime,rss"))
    watched = attach("pid", "1", 2, Metric("file", "/tmp/x"))
    assert run_study(request_of(backend="fake:real", program=watched, objective="pareto:runtime,rss", trials=3)).trials


# ---- what DAMON saw ----


@pytest.mark.parametrize("backend", MEASURED_BACKENDS)
def test_the_working_set_is_an_objective_on_kernels(request_of: RequestOf, backend: str) -> None:
    outcome = run_study(request_of(backend=backend, objective="metric:wss-p50", constraints=("idle-p75 <= 1.5",)))
    assert outcome.objective.constraints == ("idle-p75 <= 1.5",)
    runs = [repeat.run for trial in outcome.trials for repeat in trial.repeats]
    # 8 of 24 MiB are in use; the others have been idle for a tenth of a second more than the run has lasted.
    assert {trial.score for trial in outcome.trials} == {-8.0}
    assert all(run.observed is not None and run.observed.hot_set_percent is None for run in runs)
    assert {repeat.constrained for trial in outcome.trials for repeat in trial.repeats} == {(1.1,)}
    assert all(run.observed is None for run in outcome.baseline)


def test_what_only_the_simulator_knows_is_refused_elsewhere(request_of: RequestOf) -> None:
    for asked in ({"objective": "metric:hot-set"}, {"constraints": ("psi <= 1",)}):
        with pytest.raises(InputError, match="only the simulator knows"):
            run_study(request_of(backend="fake:real", **asked))
