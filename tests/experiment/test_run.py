"""Courses of an experiment: the same rows wherever they run and however often they are interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from damoos.errors import BackendError, SetUpError, StudyError
from damoos.experiment.engine import HereEngine, PoolEngine
from damoos.experiment.matrix import load_matrix
from damoos.experiment.outputs import rows_csv
from damoos.experiment.run import RECORDS, Progress, jobs_of, run_matrix
from tests.experiment.matrices import write_matrix
from tests.tune import fake


def test_all_courses_are_there_once_and_in_order(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path))
    seen: list[Progress] = []
    courses = run_matrix(matrix, tmp_path / "out", HereEngine(), seen.append)
    # damoos-polyfit plans for its runs.
    assert len(courses) == 2 * 3 * (1 + 2 + 1) and [c.key for c in courses] == sorted({c.key for c in courses})
    assert {course.rows[-1].runs for course in courses} == {4.0, 8.0}
    assert [progress.done for progress in seen] == list(range(len(courses) + 1)) and seen[-1].total == len(courses)


def test_the_same_again_runs_nothing_and_more_seeds_run_only_those(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path, strategies=["random"]))
    first = run_matrix(matrix, tmp_path / "out", HereEngine())
    seen: list[Progress] = []
    assert run_matrix(matrix, tmp_path / "out", HereEngine(), seen.append) == first
    assert [(progress.done, progress.fresh) for progress in seen] == [(6, 0)]
    more = load_matrix(write_matrix(tmp_path, strategies=["random"], seeds=4))
    run_matrix(more, tmp_path / "out", HereEngine(), seen.append)
    assert seen[-1] == Progress(8, 8, 2)


def test_a_torn_record_is_run_again(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path, strategies=["random"]))
    whole = rows_csv(run_matrix(matrix, tmp_path / "out", HereEngine()))
    records = tmp_path / "out" / RECORDS
    records.write_bytes(records.read_bytes()[:-100])
    assert rows_csv(run_matrix(matrix, tmp_path / "out", HereEngine())) == whole
    assert len(records.read_text().splitlines()) == 1 + 6


def test_records_of_another_task_are_refused(tmp_path: Path) -> None:
    run_matrix(load_matrix(write_matrix(tmp_path, strategies=["random"])), tmp_path / "out", HereEngine())
    other = load_matrix(write_matrix(tmp_path, strategies=["random"], repeats=2))
    with pytest.raises(StudyError, match="task (toy|other) was another one there"):
        run_matrix(other, tmp_path / "out", HereEngine())
    (tmp_path / "out" / RECORDS).write_text('{"op_code":0}\n')
    with pytest.raises(StudyError, match=r"records.jsonl:1: not a record"):
        run_matrix(other, tmp_path / "out", HereEngine())


def test_records_of_another_simulator_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(write_matrix(tmp_path, strategies=["random"]))
    first = run_matrix(matrix, tmp_path / "out", HereEngine())
    records = tmp_path / "out" / RECORDS
    with monkeypatch.context() as patch:
        patch.setattr("damoos.experiment.run.sources_digest", lambda: "0123456789abcdef")
        with pytest.raises(StudyError, match=r"records.jsonl: was begun with another simulator.*another --out folder"):
            run_matrix(matrix, tmp_path / "out", HereEngine())
    assert run_matrix(matrix, tmp_path / "out", HereEngine()) == first
    head, *courses = records.read_text().splitlines()
    head = json.dumps({key: value for key, value in json.loads(head).items() if key != "simulator"})
    records.write_text("\n".join([head, *courses]) + "\n")
    with pytest.raises(StudyError, match="was begun with an earlier version of damoos"):
        run_matrix(matrix, tmp_path / "out", HereEngine())


def test_real_kernels_have_no_simulator_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(write_matrix(tmp_path, backend="fake:virtual", strategies=["random"], seeds=1))
    first = run_matrix(matrix, tmp_path / "out", HereEngine())
    monkeypatch.setattr("damoos.experiment.run.sources_digest", lambda: "0123456789abcdef")
    assert run_matrix(matrix, tmp_path / "out", HereEngine()) == first


def test_what_can_not_be_set_up_is_no_bad_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(write_matrix(tmp_path, strategies=["random"]))
    whole = rows_csv(run_matrix(matrix, tmp_path / "whole", HereEngine()))
    tries: list[int] = []

    def fault(kdamonds: object, seed: int) -> Exception | None:
        tries.append(seed)
        return SetUpError("the machine is gone") if len(tries) > 40 else None

    monkeypatch.setattr(fake, "fault", fault)
    fresh = load_matrix(write_matrix(tmp_path / "again", strategies=["random"]))
    monkeypatch.setattr("damoos.experiment.run._open", {})
    with pytest.raises(BackendError, match=r"courses failed .*the same command tries them again"):
        run_matrix(fresh, tmp_path / "out", HereEngine())
    monkeypatch.setattr(fake, "fault", fake.no_fault)
    assert rows_csv(run_matrix(fresh, tmp_path / "out", HereEngine())) == whole


def test_real_kernels_share_one_backend_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(write_matrix(tmp_path, backend="fake:virtual", strategies=["random"]))
    monkeypatch.setattr(fake.FakeSession, "most_at_once", 0)
    fake.closed.clear()
    courses = run_matrix(matrix, tmp_path / "out", HereEngine(threads=2))
    assert len(courses) == 6 and fake.closed == ["fake:virtual"] and fake.FakeSession.most_at_once <= 2


SIMULATED = {"backend": "sim:zram", "strategies": ["random", "border"], "budget": 5, "counts": [5]}


@pytest.mark.slow
def test_a_pool_gives_the_same_rows_even_if_it_is_killed(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path, **SIMULATED))
    whole = rows_csv(run_matrix(matrix, tmp_path / "here", HereEngine()))
    command = [sys.executable, "-m", "damoos.cli.main", "bench", str(tmp_path), "--out", str(tmp_path / "out"), "-j2"]
    (tmp_path / "best.json").write_text(json.dumps(_best(matrix)))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    records = tmp_path / "out" / RECORDS
    deadline = time.monotonic() + 300
    while process.poll() is None and (not records.exists() or len(records.read_bytes().splitlines()) < 4):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rows_csv(run_matrix(matrix, tmp_path / "out", PoolEngine(2))) == whole


@pytest.mark.slow
def test_a_worker_that_is_lost_loses_only_what_it_ran(tmp_path: Path) -> None:
    engine = PoolEngine(2)
    flag = tmp_path / "killed"
    assert sorted(engine.run(_once_killed, [(str(flag), n) for n in range(6)])) == list(range(6))
    with pytest.raises(BackendError, match="processes were lost 3 times"):
        list(engine.run(_always_killed, [1, 2]))


def _once_killed(job: tuple[str, int]) -> int:
    flag, number = job
    if number == 3 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _always_killed(job: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def _best(matrix: object) -> dict[str, object]:
    from damoos.experiment.matrix import Matrix

    assert isinstance(matrix, Matrix)
    entry = {"score": 20.0, "params": {}, "runs": 1}
    return {"format": 1, "made_by": "a test", "tasks": {t.name: {**entry, "digest": t.digest} for t in matrix.tasks}}


def test_the_order_of_courses_is_mixed_and_fixed(tmp_path: Path) -> None:
    matrix = load_matrix(write_matrix(tmp_path))
    names = [job.strategy for job in jobs_of(matrix)]
    assert names == [job.strategy for job in jobs_of(matrix)] and len(set(names[:8])) > 1


def test_who_stops_in_threads_lets_no_further_run_begin() -> None:
    engine = HereEngine(threads=2)
    begun: list[int] = []

    def work(job: int) -> int:
        begun.append(job)
        if job > 1:
            engine.stop.wait(30)
        return job

    running = engine.run(work, range(9))
    assert next(running) in (0, 1)
    running.close()
    assert engine.stop.is_set() and len(begun) <= 5
