"""The marks of an experiment: what they know, that they run it, and that it is said what they are."""

import json
from pathlib import Path

import pytest

from damoos.backend.base import Workload
from damoos.backend.registry import open_backend
from damoos.errors import ConfigError, InputError
from damoos.experiment.best import search_best
from damoos.experiment.clairvoyant import search_clairvoyant
from damoos.experiment.engine import HereEngine
from damoos.experiment.known import answers_of, load_clairvoyant
from damoos.experiment.leaderboard import markdown, results_of
from damoos.experiment.matrix import load_matrix
from damoos.experiment.oracles import PHASES, STATIC, find_known
from damoos.experiment.run import run_matrix
from damoos.experiment.schedule import HEAD_MS, Schedule, parts_of
from damoos.tune.preset import load_env
from damoos.tune.steering import NO_SAMPLES
from damoos.tune.strategies import find_strategy
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region
from damoos.workload.processes import find_masim
from tests.experiment.matrices import write_matrix

# What is idle stays so in the first part; then it is wanted again each second, which is too soon to page it out.
TURN = "hot, 8388608\ncold, 268435456\n\n" + "".join(
    f"{i}\n{ms}\nhot, 0, 4096, 1\n{'cold, 0, 4096, 1' if all_of_it else ''}\n\n".replace("\n\n\n", "\n\n")
    for i, (ms, all_of_it) in enumerate([(1_000, True), (5_000, False), *[(300, True), (700, False)] * 10])
)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FILL", 8), ("LINE", 5), ("AGAIN", 4), ("STARTS", 1), ("STEPS", 4), ("FINALISTS", 2)):
        monkeypatch.setattr(f"damoos.experiment.best.{name}", value)
    monkeypatch.setattr("damoos.experiment.clairvoyant.LOOKS", 60)
    pytest.importorskip("scipy")


def phases(*ms: int) -> MasimWorkload:
    def phase(i: int) -> Phase:
        return Phase(str(i), ms[i], (Pattern("ab"[i % 2], False, 4096, 1),))

    return MasimWorkload("w", (Region("a", 4 << 20), Region("b", 4 << 20)), tuple(map(phase, range(len(ms)))))


def test_phases_that_do_the_same_share_their_points() -> None:
    parts = parts_of(phases(10_000, 1_000, 10_000, 6_000))
    assert parts.until_ms[:6] == (HEAD_MS, 10_000, 10_500, 11_000, 11_000 + HEAD_MS, 21_000)
    assert parts.index == (0, 1, 2, 3, 0, 1, 4, 5) and parts.count == 6
    several: Workload = find_masim("serve-and-build")
    with pytest.raises(InputError, match="has no phases that are known in advance"):
        parts_of(several)


def test_a_schedule_commits_what_holds_when_it_begins_to_hold() -> None:
    space = load_env("reclaim").space
    ages = (1_000_000, 2_000_000, 3_000_000, 4_000_000)
    schedule = Schedule(space, tuple(tuple({**space.defaults(), "min_age": age}.items()) for age in ages))
    workload, backend = phases(10_000, 1_000, 10_000), open_backend("sim:zram")
    start = space.kdamonds(space.defaults())
    steerer = schedule.begin(start, workload, backend, 1)
    seen: list[tuple[float, float]] = []
    with backend.start(workload, start, 1) as session:
        samples = NO_SAMPLES
        while not session.done:
            before = steerer.applied
            steerer.step(session, samples)
            if steerer.applied != before:
                seen.append((session.work_done_ms(), float(space.read(steerer.applied)["min_age"])))
            samples = session.advance(schedule.every_s)
    assert [age for _, age in seen] == [1e6, 2e6, 3e6, 4e6, 1e6, 2e6]
    begins_ms = [0.0, HEAD_MS, 10_000, 10_500, 11_000, 11_000 + HEAD_MS]
    assert all(0 <= at - begin <= 600 for (at, _), begin in zip(seen, begins_ms, strict=True))
    with pytest.raises(InputError, match="is another workload's"):
        Schedule(space, schedule.points[:2]).begin(start, workload, backend, 1)


def test_marks_are_searched_run_and_named_as_what_they_are(tmp_path: Path, cheap: None) -> None:
    (tmp_path / "turn.cfg").write_text(TURN)
    path = write_matrix(
        tmp_path,
        backend="sim:zram",
        workloads=["turn.cfg"],
        strategies=["documented", STATIC, PHASES],
        against="documented",
        budget=3,
        counts=[3],
        seeds=2,
    )
    matrix = load_matrix(path)
    with pytest.raises(ConfigError, match=r"has nothing for oracle-static.*damoos bench --best"):
        run_matrix(matrix, tmp_path / "out", HereEngine())
    best = search_best(matrix, HereEngine())
    with pytest.raises(ConfigError, match=r"has nothing for oracle-phases.*damoos bench --best"):
        run_matrix(matrix, tmp_path / "out", HereEngine())
    found = search_clairvoyant(matrix, best, HereEngine())
    assert found["turn"].score > best["turn"].score + 1.0
    assert load_clairvoyant(matrix) == found == search_clairvoyant(matrix, best, HereEngine())
    courses = run_matrix(matrix, tmp_path / "out", HereEngine())
    reached = {course.key[1]: course.rows[-1].reached for course in courses}
    assert reached[STATIC] == best["turn"].score and reached[PHASES] == found["turn"].score
    assert reached["documented"] < reached[STATIC]
    page = markdown(results_of(matrix, courses, best, 2))
    assert f"`{PHASES}` learned in advance from the workloads that it is judged on" in page
    tree = json.loads((tmp_path / "clairvoyant.json").read_text())
    tree["tasks"]["turn"]["digest"] = "another"
    (tmp_path / "clairvoyant.json").write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="turn: is of another env or workload"):
        answers_of(matrix)


def test_marks_exist_in_experiments_only() -> None:
    assert find_known(PHASES).steering is None and find_known("tpe") == find_strategy("tpe")
    with pytest.raises(InputError, match="unknown strategy"):
        find_strategy(STATIC)
