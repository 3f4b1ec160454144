"""A study's file: what it is about, its trials and its other runs, in Optuna's journal format.

Only finished trials are written, each in one appended line that is synced to the disk, so a process that is killed
at any moment loses no more than the trial that it was running. optuna-dashboard reads the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from damoos.damon.damo_format import to_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import StudyError

from .asktell import ask, new_study, tell, tell_stopped
from .detail import Detail
from .outcome import Run, Trial, from_plain, to_plain
from .strategies.seen import RECORD

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

    from .objective import Objective
    from .space import Space, Value, Values

STUDY_NAME = "damoos"
HEADER, RUNS, DETAIL = "damoos:header", "damoos:runs", "damoos:detail"
FORMAT_VERSION = 1

Header = Mapping[str, str | int | float]
"""What makes two studies the same: readable names and values; "format" is added."""


@dataclass(frozen=True)
class Proposal:
    """A point to evaluate: the trial's number and the values of its active parameters."""

    number: int
    values: dict[str, Value]
    trial: optuna.Trial


class Journal:
    """An open study file; nobody else can open it meanwhile. Use it in a `with` statement.

    Raises StudyError if the file is in use, is no study of damoos, or is a study of something else than `header`.
    """

    def __init__(self, path: Path, header: Header, objectives: int) -> None:
        self.path = path
        self._memory = new_study(objectives)
        self._file = _locked(path)
        try:
            _drop_torn_line(self._file, path)
            self._study = self._open(path, {"format": FORMAT_VERSION, **header}, objectives)
        except BaseException:
            self._file.close()
            raise
        self._memory.add_trials(self._study.get_trials())
        self._runs: dict[str, Any] = dict(self._study.user_attrs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def trials(self) -> tuple[Trial, ...]:
        """The finished trials by number."""
        found = self._memory.get_trials(deepcopy=False)
        return tuple(from_plain(Trial, t.user_attrs[RECORD], f"trial {t.number}") for t in found)

    @property
    def next_number(self) -> int:
        """The number of the trial that comes next."""
        return len(self._memory.get_trials(deepcopy=False))

    def propose(self, space: Space, sampler: BaseSampler, start: Sequence[Values] = ()) -> Proposal:
        """The next point: trial 0 is the space's default, the next ones are those of `start`; then comes what the
        sampler thinks of the others."""
        number = self.next_number
        fixed = None if number > len(start) else space.defaults() if number == 0 else start[number - 1]
        trial, values = ask(self._memory, sampler, space, fixed)
        return Proposal(number, values, trial)

    def add(self, proposal: Proposal, record: Trial, objective: Objective) -> None:
        """Writes a finished trial of a study with that objective."""
        proposal.trial.set_user_attr(RECORD, to_plain(record))
        stopped = record.stopped
        if stopped is not None:
            excess = stopped.runtime_overhead_at_least_percent - objective.limit_percent
            tell_stopped(self._memory, proposal.trial, stopped.score_at_most, excess)
        elif record.state == "partial":
            tell_stopped(self._memory, proposal.trial, record.score, objective.excess_percent(record.repeats))
        else:
            excess_percent = None if record.state == "failed" else objective.excess_percent(record.repeats)
            tell(self._memory, proposal.trial, record.values, excess_percent)
        self._study.add_trial(self._memory.get_trials(deepcopy=False)[proposal.number])

    def runs(
        self, kdamonds: Kdamonds | None, seeds: Sequence[int], share: float = 1.0, *, steered: bool = False
    ) -> tuple[Run, ...] | None:
        """Runs of that share of the workload that were remembered; `steered`: those that began with `kdamonds`."""
        found = self._runs.get(_key(RUNS, kdamonds, seeds, share, steered))
        return None if found is None else from_plain(tuple[Run, ...], found, "runs")

    def remember(
        self,
        kdamonds: Kdamonds | None,
        seeds: Sequence[int],
        runs: Sequence[Run],
        share: float = 1.0,
        *,
        steered: bool = False,
    ) -> None:
        """Writes runs that belong to no trial: of the baseline and of the verification."""
        self._write(_key(RUNS, kdamonds, seeds, share, steered), to_plain(tuple(runs)))

    def detail(self, kdamonds: Kdamonds | None, seed: int, *, steered: bool = False) -> Detail | None:
        """What was kept of that run."""
        found = self._runs.get(_key(DETAIL, kdamonds, [seed], steered=steered))
        return None if found is None else from_plain(Detail, found, "detail")

    def keep_detail(self, kdamonds: Kdamonds | None, detail: Detail, *, steered: bool = False) -> None:
        """Writes what reports show of a run, for runs that are too dear to be repeated for a picture."""
        self._write(_key(DETAIL, kdamonds, [detail.seed], steered=steered), to_plain(detail))

    def _write(self, key: str, plain: object) -> None:
        self._study.set_user_attr(key, plain)
        self._runs[key] = plain

    @staticmethod
    def _open(path: Path, header: Header, objectives: int) -> optuna.Study:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        class NoLock(JournalFileOpenLock):
            """The whole file is locked already; Optuna's own lock file would outlive a killed process."""

            def acquire(self) -> bool:
                return True

            def release(self) -> None:
                pass

        try:
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=NoLock(str(path))))
            known = [s.study_name for s in optuna.get_all_study_summaries(storage)]
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise StudyError(f"{path}: not a study of damoos ({error or type(error).__name__})") from error
        if known not in ([], [STUDY_NAME]):
            raise StudyError(f"{path}: not a study of damoos: it has {', '.join(known)}")
        if not known:
            # Killed between these two lines, it leaves a study without header, which is as good as none.
            study = optuna.create_study(storage=storage, study_name=STUDY_NAME, directions=["maximize"] * objectives)
        else:
            study = optuna.load_study(storage=storage, study_name=STUDY_NAME)
        found = study.user_attrs.get(HEADER)
        if found is None:
            study.set_user_attr(HEADER, dict(header))
        else:
            _same_header(path, found, header)
        return study


def _same_header(path: Path, found: Mapping[str, Any], asked: Header) -> None:
    different = [
        f"{name}: {found.get(name, 'nothing')} in the study, {asked.get(name, 'nothing')} now"
        for name in sorted({*found, *asked})
        if found.get(name) != asked.get(name)
    ]
    if different:
        hint = "give this one another --out folder or --study file"
        raise StudyError(f"{path} is another study: {'; '.join(different)}; {hint}")


def _locked(path: Path) -> BinaryIO:
    """The file, created if need be, with a lock that the kernel gives back however the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise StudyError(f"{path}: can't be opened: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StudyError(f"{path}: in use by another damoos") from error
    return file


def _drop_torn_line(file: BinaryIO, path: Path) -> None:
    """Cuts off a last line that was not written whole. Raises StudyError, touching nothing, if this is no journal."""
    file.seek(0)
    text = file.read()
    if text and not text.startswith(b'{"op_code":'[: len(text)]):
        raise StudyError(f"{path}: not a study of damoos")
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)


def _key(kind: str, kdamonds: Kdamonds | None, seeds: Sequence[int], share: float = 1.0, steered: bool = False) -> str:
    tree = None if kdamonds is None else to_damo(kdamonds)
    # Runs of the whole under one configuration have the key that they had before there were others.
    part: list[float | str] = [] if share == 1.0 else [share]
    text = json.dumps([tree, list(seeds), *part, *(["steered"] if steered else [])], sort_keys=True)
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
