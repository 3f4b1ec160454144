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

Among the strategies may be the marks of `damoos.experiment.oracles`: `oracle-static`, the best known point, and
`oracle-phases`, the best known points of each part of the workload's phases, from `clairvoyant.json` beside that file.

The folder's own file is `experiment.toml`; what belongs to an experiment lies beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from damoos.backend.base import Workload
from damoos.backend.registry import open_backend
from damoos.catalogue import check_keys, line_of, read_toml
from damoos.errors import ConfigError, InputError
from damoos.tune.preset import Env, load_env
from damoos.tune.program import digest, find_workload, speed_of
from damoos.units import parse_percent

from .env_task import JUDGED_WITH
from .figures import NEAR
from .oracles import check_known, find_known

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
class Matrix:
    """An experiment. `tasks`: each env with each workload; `counts`: sorted, the last is `budget`; `near`: of the
    best score, 0..1; `best`: the file of
    the best known points, which may not be there yet."""

    path: Path
    title: str
    description: str
    tasks: tuple[TaskSpec, ...]
    training: tuple[str, ...]
    strategies: tuple[str, ...]
    budget: int
    counts: tuple[int, ...]
    seeds: int
    few_seeds: str
    against: str
    near: float
    backend: str
    timing: str
    time_kind: str
    best: Path

    @property
    def simulated(self) -> bool:
        """Whether nothing real runs, so that a run costs next to nothing and any number go side by side."""
        return self.time_kind == "simulated"

    @property
    def is_folder(self) -> bool:
        """Whether the file's folder is the experiment's own."""
        return self.path.name == FILE

    def only(self, strategies: Sequence[str]) -> Matrix:
        """The same experiment with some of its strategies, or with others. Raises InputError."""
        _check_strategies(tuple(strategies), self.tasks)
        against = self.against if self.against in strategies else strategies[0]
        return replace(self, strategies=tuple(strategies), against=against)

    @property
    def name(self) -> str:
        """The folder's name, or the file's where it has a name of its own."""
        return self.path.parent.name if self.is_folder else self.path.stem


def load_matrix(path: str | Path) -> Matrix:
    """The experiment in a file, or in the file `experiment.toml` of a folder. Raises InputError with the place."""
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    table = read_toml(path)
    check_keys(table, _KEYS, path)
    try:
        return _matrix(path, table)
    except InputError as error:
        if error.file is not None:
            raise
        raise error.at(file=path, line=line_of(path, (error.field or "").partition(".")[0])) from None


def _matrix(path: Path, table: dict[str, Any]) -> Matrix:
    texts = {key: _text(table, key) for key in _TEXTS}
    lists = {key: _list(table, key) for key in _LISTS}
    budget = _number(table, "budget", 2)
    counts = _counts(table, budget)
    seeds = _number(table, "seeds", 1)
    if seeds < LEAST_SEEDS and not texts["few_seeds"]:
        allowed = f'{LEAST_SEEDS} and more, or few_seeds = "why there are fewer"'
        raise ConfigError("too few to believe", field="seeds", value=seeds, allowed=allowed)
    backend, timing = texts["backend"] or "sim:zram", texts["timing"] or "work"
    repeats, judged_with = _number(table, "repeats", 1, 1), _number(table, "judged_with", 1, JUDGED_WITH)
    envs = [_env(path, name) for name in lists["envs"]]
    workloads = [_workload(path, name, "workloads") for name in lists["workloads"]]
    tasks = tuple(
        TaskSpec(
            name=workload.name if len(envs) == 1 else f"{workload.name}/{env.name}",
            env=replace(env, objective=replace(env.objective, speed=speed_of(workload))),
            workload=workload,
            backend=backend,
            timing=timing,
            repeats=repeats,
            judged_with=judged_with,
        )
        for env in envs
        for workload in workloads
    )
    twice = sorted({task.name for task in tasks if sum(other.name == task.name for other in tasks) > 1})
    if twice:
        raise ConfigError("of the same name", field="workloads", value=", ".join(twice), allowed="each once")
    _check_strategies(lists["strategies"], tasks)
    training = [_workload(path, name, "training") for name in lists["training"]]
    _check_apart(workloads, training, lists["strategies"])
    against = texts["against"] or lists["strategies"][0]
    if against not in lists["strategies"]:
        raise ConfigError("not among the strategies", field="against", value=against)
    return Matrix(
        path=path,
        title=texts["title"],
        description=" ".join(texts["description"].split()),
        tasks=tasks,
        training=tuple(workload.name for workload in training),
        strategies=lists["strategies"],
        budget=budget,
        counts=counts,
        seeds=seeds,
        few_seeds=texts["few_seeds"],
        against=against,
        near=_share(texts["near"]),
        backend=backend,
        timing=timing,
        time_kind=_time_kind(backend, timing),
        best=path.parent / (texts["best"] or "best.json"),
    )


def _time_kind(backend: str, timing: str) -> str:
    try:
        return open_backend(backend, timing=timing).time_kind
    except InputError as error:
        raise ConfigError(error.problem, field=error.field or "backend", value=backend, allowed=error.allowed) from None


def _check_strategies(names: tuple[str, ...], tasks: tuple[TaskSpec, ...]) -> None:
    for name in names:
        try:
            check_known(name)
        except InputError as error:
            raise ConfigError(error.problem, field="strategies", value=name, allowed=error.allowed) from None
        for task in tasks:
            find_known(name).check(task.env.space, subject=True)


def _check_apart(workloads: list[Workload], training: list[Workload], strategies: tuple[str, ...]) -> None:
    """Raises ConfigError if something is evaluated on what something was learned from."""
    seen = {digest(workload): workload.name for workload in training}
    for workload in workloads:
        if digest(workload) in seen:
            raise ConfigError("is in training, too", field="workloads", value=workload.name)
        for name in strategies:
            # Such as "zigzag on zram".
            if workload.name in {text.partition(" on ")[0] for text in find_known(name).learned_from}:
                problem = f"strategy {name} learned from it"
                raise ConfigError(problem, field="workloads", value=workload.name, allowed="others")


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


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or (not value.strip() and key in ("title", "description")):
        raise ConfigError("missing" if key not in table else "not a text", field=key, value=value or None)
    return value.strip()


def _list(table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError("not a list of names", field=key, value=value)
    if not value and key != "training":
        raise ConfigError("missing", field=key, allowed="a list of one name and more")
    twice = sorted({entry for entry in value if value.count(entry) > 1})
    if twice:
        raise ConfigError("is there twice", field=key, value=twice[0])
    return tuple(value)


def _number(table: dict[str, Any], key: str, least: int, default: int | None = None) -> int:
    value = table.get(key, default)
    if value is None:
        raise ConfigError("missing", field=key, allowed=f"{least} and more")
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError("not such a number", field=key, value=value, allowed=f"{least} and more")
    return value


def _share(text: str) -> float:
    if not text:
        return NEAR
    share = float(parse_percent(text, field="near")) / 100.0
    if not 0.0 < share <= 1.0:
        raise ConfigError("out of range", field="near", value=text, allowed="more than 0 %, 100 % at most")
    return share


def _counts(table: dict[str, Any], budget: int) -> tuple[int, ...]:
    value = table.get("counts", [])
    whole = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    if not whole or not all(2 <= n <= budget for n in value):
        raise ConfigError("not counts of runs", field="counts", value=value, allowed=f"a list of 2 to {budget}")
    return tuple(sorted({*value, budget}))
