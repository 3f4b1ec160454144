"""An experiment as a file: which strategies, on what, how often, with what budget. Flat TOML:

    title = "…"
    description = "…"
    backend = "sim:zram"
    envs = ["reclaim"]
    workloads = ["workloads/night.cfg", "…"]    # evaluated on: catalogue names, or files seen from this file's folder
    training = ["zigzag", "…"]                  # optional: what anything here was learned from; none is evaluated on
    strategies = ["random", "tpe", "…"]
    budget = 30                                 # runs of a course, those without a scheme included
    counts = [5, 10, 20, 30]                    # after how many it is looked
    seeds = 20                                  # courses of each strategy on each task, seeds 0, 1, …
    few_seeds = "…"                             # why, where seeds is below 20
    against = "random"                          # optional: what the others are compared with; else the first
    near = "95 %"                               # optional: which share of the best score is near enough
    repeats = 1                                 # optional: runs of a trial
    judged_with = 5                             # optional: runs that tell what a point is worth
    timing = "work"                             # optional: see `damoos run`
    best = "best.json"                          # optional: best known points, which `damoos bench --best` finds

Envs that run on other machines or other workloads are tables instead of a list, after all else; what one doesn't say
is the file's:

    [envs.tiering]
    backend = "sim:tiered"
    workloads = ["…"]

Among the strategies may be the marks of `damoos.experiment.oracles`: `oracle-static`, the best known point, and
`oracle-phases`, the best known points of each part of the workload's phases, from `clairvoyant.json` beside that file.

A strategy that can't take an env, such as one with kdamonds of its own, leaves the env's tasks out, and is named.
The folder's own file is `experiment.toml`; what belongs to an experiment lies beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from damoos.backend.base import Workload
from damoos.backend.registry import open_backend
from damoos.catalogue import check_keys, line_of, read_toml
from damoos.errors import ConfigError, InputError
from damoos.tune.preset import Env, load_env
from damoos.tune.program import digest, find_workload, speed_of

from . import keys
from .env_task import JUDGED_WITH
from .oracles import PHASES, check_known, find_known

LEAST_SEEDS = 20
"""Fewer need a reason."""
FILE = "experiment.toml"
_TEXTS = ("title", "description", "backend", "few_seeds", "against", "near", "timing", "best")
_LISTS = ("envs", "workloads", "training", "strategies")
_NUMBERS = ("budget", "seeds", "repeats", "judged_with")
_KEYS = (*_TEXTS, *_LISTS, *_NUMBERS, "counts")


@dataclass(frozen=True)
class TaskSpec:
    """A task as a value that any process can open; `digest` is of all that decides its scores."""

    name: str
    env: Env
    workload: Workload
    backend: str
    timing: str
    repeats: int
    judged_with: int

    @property
    def digest(self) -> str:
        """SHA-256, 16 hexadecimal digits."""
        space = self.env.space
        what = (
            # Words may change.
            [replace(parameter, title="", since="") for parameter in space.parameters],
            space.base,
            self.env.objective,
            self.env.feed,
            digest(self.workload),
            self.backend,
            self.timing,
            self.repeats,
            self.judged_with,
        )
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Refusal:
    """A strategy that can't take an env, and why."""

    strategy: str
    env: str
    reason: str


@dataclass(frozen=True)
class Matrix:
    """An experiment. `tasks`: each env with its workloads; `refusals`: the envs that some of the strategies leave out;
    `counts`: sorted, the last is `budget`; `near`: of the best score, 0..1; `best`: the file of the best known points,
    which may not be there yet; `scheduled`: whether the file asks for schedules, too, by `oracle-phases`."""

    path: Path
    title: str
    description: str
    tasks: tuple[TaskSpec, ...]
    training: tuple[str, ...]
    strategies: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    budget: int
    counts: tuple[int, ...]
    seeds: int
    few_seeds: str
    against: str
    near: float
    timing: str
    time_kind: str
    best: Path
    scheduled: bool

    @property
    def backends(self) -> tuple[str, ...]:
        """Where tasks run, each once; one unless simulated."""
        return tuple(dict.fromkeys(task.backend for task in self.tasks))

    @property
    def simulated(self) -> bool:
        """Whether nothing real runs, so that a run costs next to nothing and any number go side by side."""
        return self.time_kind == "simulated"

    @property
    def is_folder(self) -> bool:
        """Whether the file's folder is the experiment's own."""
        return self.path.name == FILE

    @property
    def name(self) -> str:
        """The folder's name, or the file's where it has a name of its own."""
        return self.path.parent.name if self.is_folder else self.path.stem

    def tasks_of(self, strategy: str) -> list[TaskSpec]:
        """Those that it doesn't leave out."""
        refused = {refusal.env for refusal in self.refusals if refusal.strategy == strategy}
        return [task for task in self.tasks if task.env.name not in refused]


def load_matrix(path: str | Path, strategies: Sequence[str] | None = None) -> Matrix:
    """The experiment in a file, or in the file `experiment.toml` of a folder.

    With `strategies` these take the place of the file's, of which nothing but the names is looked at, so that packages
    may be missing that others need; an empty list leaves the tasks alone, for who doesn't want to compare. Raises
    InputError with the place, also where a strategy can't take any of the envs or has learned from a workload,
    MissingExtraError where it needs a package.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    table = read_toml(path)
    check_keys(table, _KEYS, path)
    try:
        matrix = _matrix(path, table)
        if strategies is None:
            return _checked(matrix, matrix.strategies)
    except InputError as error:
        if error.file is not None:
            raise
        raise error.at(file=path, line=line_of(path, (error.field or "").partition(".")[0])) from None
    for name in strategies:
        check_known(name)
    return _checked(matrix, tuple(strategies))


def _checked(matrix: Matrix, strategies: tuple[str, ...]) -> Matrix:
    """The experiment with strategies that are known to be right for it."""
    for task in matrix.tasks:
        for name in strategies:
            # Such as "zigzag on zram".
            if task.workload.name in {text.partition(" on ")[0] for text in find_known(name).learned_from}:
                problem = f"strategy {name} learned from it"
                raise ConfigError(problem, field="workloads", value=task.workload.name, allowed="others")
    refusals = tuple(refusal for name in strategies for refusal in _refusals(name, matrix.tasks))
    against = matrix.against if matrix.against in strategies or not strategies else strategies[0]
    return replace(matrix, strategies=strategies, refusals=refusals, against=against)


def _refusals(name: str, tasks: tuple[TaskSpec, ...]) -> list[Refusal]:
    strategy = find_known(name)
    found: list[Refusal] = []
    envs = {task.env.name: task.env for task in tasks}
    for env in envs.values():
        try:
            strategy.check(env.space, subject=True)
        except InputError as error:
            if len(found) == len(envs) - 1:
                raise
            found.append(Refusal(name, env.name, error.problem))
    return found


def _matrix(path: Path, table: dict[str, Any]) -> Matrix:
    texts = {key: keys.text(table, key) for key in _TEXTS}
    named = keys.named_tasks(table)
    listed, budget = keys.names(table, "strategies"), keys.number(table, "budget", 2)
    counts = keys.counts(table, budget)
    seeds = keys.number(table, "seeds", 1)
    if seeds < LEAST_SEEDS and not texts["few_seeds"]:
        allowed = f'{LEAST_SEEDS} and more, or few_seeds = "why there are fewer"'
        raise ConfigError("too few to believe", field="seeds", value=seeds, allowed=allowed)
    timing = texts["timing"] or "work"
    repeats, judged_with = keys.number(table, "repeats", 1, 1), keys.number(table, "judged_with", 1, JUDGED_WITH)
    envs = {name: _env(path, name) for name in dict.fromkeys(task.env for task in named)}
    workloads = {task.workload: _workload(path, task.workload, "workloads") for task in named}
    tasks = []
    for task in named:
        env, workload = envs[task.env], workloads[task.workload]
        tasks.append(
            TaskSpec(
                name=workload.name if len(envs) == 1 else f"{workload.name}/{env.name}",
                env=replace(env, objective=replace(env.objective, speed=speed_of(workload))),
                workload=workload,
                backend=task.backend,
                timing=timing,
                repeats=repeats,
                judged_with=judged_with,
            )
        )
    twice = sorted({task.name for task in tasks if sum(other.name == task.name for other in tasks) > 1})
    if twice:
        raise ConfigError("of the same name", field="workloads", value=", ".join(twice), allowed="each once")
    for name in listed:
        try:
            check_known(name)
        except InputError as error:
            raise ConfigError(error.problem, field="strategies", value=name, allowed=error.allowed) from None
    training = [_workload(path, name, "training") for name in keys.names(table, "training")]
    _check_apart(workloads.values(), training)
    against = texts["against"] or listed[0]
    if against not in listed:
        raise ConfigError("not among the strategies", field="against", value=against)
    return Matrix(
        path=path,
        title=texts["title"],
        description=" ".join(texts["description"].split()),
        tasks=tuple(tasks),
        training=tuple(workload.name for workload in training),
        strategies=listed,
        refusals=(),
        budget=budget,
        counts=counts,
        seeds=seeds,
        few_seeds=texts["few_seeds"],
        against=against,
        near=keys.share(texts["near"]),
        timing=timing,
        time_kind=_time_kind(list(dict.fromkeys(task.backend for task in named)), timing),
        best=path.parent / (texts["best"] or "best.json"),
        scheduled=PHASES in listed,
    )


def _time_kind(backends: Sequence[str], timing: str) -> str:
    kinds = []
    for backend in backends:
        try:
            kinds.append(open_backend(backend, timing=timing).time_kind)
        except InputError as error:
            field = error.field or "backend"
            raise ConfigError(error.problem, field=field, value=backend, allowed=error.allowed) from None
    if len(kinds) > 1 and set(kinds) != {"simulated"}:
        allowed = "several simulated ones, or one that is real"
        raise ConfigError("too many", field="backend", value=", ".join(backends), allowed=allowed)
    return kinds[0]


def _check_apart(workloads: Iterable[Workload], training: Iterable[Workload]) -> None:
    """Raises ConfigError if something is evaluated on what something was learned from."""
    seen = {digest(workload) for workload in training}
    for workload in workloads:
        if digest(workload) in seen:
            raise ConfigError("is in training, too", field="workloads", value=workload.name)


def _env(path: Path, name: str) -> Env:
    beside = path.parent / name
    return load_env(beside if beside.is_file() else name)


def _workload(path: Path, name: str, field: str) -> Workload:
    beside = path.parent / name
    try:
        return find_workload(str(beside) if beside.is_file() else name)
    except ConfigError as error:
        if error.file is not None:
            raise
        raise ConfigError(error.problem, field=field, value=name, allowed=error.allowed) from None
