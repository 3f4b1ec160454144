"""Runs the courses of an experiment that are not yet in its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from damoos.backend.base import Backend
from damoos.backend.registry import open_backend
from damoos.errors import BackendError, DamoosError, StudyError
from damoos.sim.sources import sources_digest

from .course import run_course
from .engine import Engine, HereEngine
from .env_task import EnvTask
from .known import answers_of
from .matrix import Matrix, TaskSpec
from .oracles import UNKNOWN, Answers, find_known
from .records import Course, Key, Records

RECORDS = "records.jsonl"

_open: dict[tuple[str, str], EnvTask] = {}
"""Tasks of this process by name and digest: baselines and what is asked for again are remembered in them."""


@dataclass(frozen=True)
class CourseJob:
    """A course to run. `answers`: what a mark knows of the task."""

    spec: TaskSpec
    strategy: str
    seed: int
    budget: int
    answers: Answers = UNKNOWN

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.spec.name, self.strategy, self.seed, self.budget


@dataclass(frozen=True)
class Failed:
    """A course that could not be run to its end, and why."""

    key: Key
    reason: str


@dataclass(frozen=True)
class Progress:
    """`done` of `total` courses, `failed` of which failed; `fresh`: done by this call."""

    done: int
    total: int
    fresh: int = 0
    failed: int = 0


def jobs_of(matrix: Matrix) -> list[CourseJob]:
    """All courses, in an order in which any part of them is like the whole, so that the time left can be told. Raises
    ConfigError as `answers_of`."""
    found = []
    answers = answers_of(matrix)
    for name in matrix.strategies:
        budgets = matrix.counts if find_known(name).uses_budget else (matrix.budget,)
        for spec in matrix.tasks_of(name):
            known = answers[spec.name]
            found += [CourseJob(spec, name, seed, budget, known) for budget in budgets for seed in range(matrix.seeds)]
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order]


def run_matrix(
    matrix: Matrix,
    folder: Path,
    engine: Engine,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[Course, ...]:
    """Does what is left of the experiment and returns all its courses, sorted; the records are in `folder`.

    Raises StudyError where the records are of another experiment or another simulator, BackendError in the end if
    courses failed: what was done is kept, and the same call tries them again.
    """
    jobs = jobs_of(matrix)
    with Records(folder / RECORDS, sources_digest() if matrix.simulated else None) as records:
        _check_same(matrix, records, folder)
        known = {course.key for course in records.courses}
        left = [job for job in jobs if job.key not in known]
        failed: list[Failed] = []
        on_progress(Progress(len(jobs) - len(left), len(jobs)))
        for fresh, course in enumerate(_results(matrix, engine, left), 1):
            if isinstance(course, Failed):
                failed.append(course)
            else:
                records.add(course)
            on_progress(Progress(len(jobs) - len(left) + fresh, len(jobs), fresh, len(failed)))
        if failed:
            names = ", ".join(f"{key[1]} on {key[0]}, seed {key[2]}" for key in [one.key for one in failed][:3])
            raise BackendError(
                f"{len(failed)} courses failed ({names}{', …' if len(failed) > 3 else ''}): {failed[0].reason}; "
                "what was done is kept, the same command tries them again"
            )
        wanted = {job.key for job in jobs}
        return tuple(sorted((c for c in records.courses if c.key in wanted), key=lambda course: course.key))


def open_task(spec: TaskSpec, backend: Backend, best: float = float("nan")) -> EnvTask:
    """The task of a specification on an open backend."""
    return EnvTask(spec.name, spec.env, spec.workload, backend, best, spec.repeats, spec.judged_with)


def run_job(job: CourseJob) -> Course | Failed:
    """A course on the simulator; its task stays open for the next one in this process."""
    return run_on(simulated_task(job.spec), job)


def simulated_task(spec: TaskSpec) -> EnvTask:
    """The task of a specification on the simulator, opened once in a process."""
    key = spec.name, spec.digest
    if key not in _open:
        _open[key] = open_task(spec, open_backend(spec.backend, timing=spec.timing))
    return _open[key]


def run_alone(job: CourseJob) -> Course | Failed:
    """A course on a machine that is left afterwards as it was found."""
    backend = open_backend(job.spec.backend, timing=job.spec.timing)
    try:
        return run_on(open_task(job.spec, backend), job)
    finally:
        backend.close()


def run_on(task: EnvTask, job: CourseJob) -> Course | Failed:
    """A course on an open task."""
    try:
        rows = tuple(run_course(task, find_known(job.strategy, job.answers), job.seed, job.budget))
    except DamoosError as error:
        return Failed(job.key, str(error))
    return Course(job.key, job.spec.digest, rows)


def _results(matrix: Matrix, engine: Engine, jobs: Sequence[CourseJob]) -> Iterator[Course | Failed]:
    if matrix.simulated:
        yield from engine.run(run_job, jobs)
    elif not isinstance(engine, HereEngine):
        yield from engine.run(run_alone, jobs)
    else:
        backend = open_backend(matrix.backends[0], timing=matrix.timing)
        tasks = {spec.name: replace(open_task(spec, backend), stop=engine.stop) for spec in matrix.tasks}
        try:
            yield from engine.run(partial(_run_shared, tasks), jobs)
        finally:
            backend.close()


def _run_shared(tasks: dict[str, EnvTask], job: CourseJob) -> Course | Failed:
    return run_on(tasks[job.spec.name], job)


def _check_same(matrix: Matrix, records: Records, folder: Path) -> None:
    another = "give this experiment another --out folder"
    if matrix.simulated and records.simulator != sources_digest():
        what = "an earlier version of damoos" if records.simulator is None else "another simulator"
        raise StudyError(
            f"{folder / RECORDS}: was begun with {what}, whose scores may not be those of this one; {another}"
        )
    digests = {spec.name: spec.digest for spec in matrix.tasks}
    for course in records.courses:
        if digests.get(course.key[0], course.digest) != course.digest:
            raise StudyError(
                f"{folder / RECORDS}: task {course.key[0]} was another one there (env, workload, backend, repeats or "
                f"judged_with have changed); {another}"
            )
