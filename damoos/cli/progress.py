"""Shows on stderr how far a study is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from damoos.report import numbers
from damoos.tune.request import Progress as StudyProgress

TITLES = {"baseline": "no scheme", "watch": "watching", "search": "trials", "verify": "verification"}
LINES_PER_PHASE = 10
WORTH_TELLING_S = 2.0
"""Where less time is left than this, lines don't say so."""


class StudyScreen:
    """Takes the `StudyProgress` values of a running study. Use as a context manager.

    `time_kind`: what the study's times and scores are of. The time left, of this machine's clock, is that of the phase:
    the runs that are left at the pace of all runs so far. `clock`: the present, s.
    """

    def __init__(
        self, screen: Console, time_kind: str = "simulated", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen = screen
        self._kind = "" if time_kind == "simulated" else f" ({time_kind} time)"
        self._clock = clock
        self._live = screen.is_terminal
        self._phase = ""
        self._shown = -1
        self._task: TaskID | None = None
        self._begin_s: float | None = None
        self._end_s: float | None = None
        self._bars = Progress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            _Left(self._left_s),
            console=screen,
            transient=True,
            disable=not self._live,
            refresh_per_second=5,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, now: StudyProgress) -> None:
        """Shows `now`."""
        self._estimate(now)
        if now.note:
            self._screen.print(now.note, markup=False, soft_wrap=True)
        best = "" if now.best_score is None else f"best {numbers.score(now.best_score)}{self._kind}"
        spent = _spent(now)
        told = ", ".join(text for text in (best, spent) if text)
        if now.phase != self._phase:
            self._phase, self._shown = now.phase, -1
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(TITLES[now.phase], total=now.total, completed=now.done, told=told)
        assert self._task is not None
        self._bars.update(self._task, completed=now.done, total=now.total, told=told)
        part = now.done * LINES_PER_PHASE // max(now.total, 1)
        if not self._live and part > self._shown:
            self._shown = part
            left_s = self._left_s()
            left = f"{numbers.duration(left_s)} left" if left_s is not None and left_s > WORTH_TELLING_S else ""
            self._screen.print(", ".join(x for x in (f"{TITLES[now.phase]} {now.done}/{now.total}", told, left) if x))

    def _estimate(self, now: StudyProgress) -> None:
        time_s = self._clock()
        if self._begin_s is None:
            self._begin_s = time_s
        # What an earlier call did says nothing of the pace.
        self._end_s = time_s + (time_s - self._begin_s) / now.runs * now.runs_left if now.runs else None

    def _left_s(self) -> float | None:
        return None if self._end_s is None else max(self._end_s - self._clock(), 0.0)


def _spent(now: StudyProgress) -> str:
    if now.max_workload_time_s is None:
        return ""
    return f"{numbers.duration(now.charged_s)} of {numbers.duration(now.max_workload_time_s)}"


class _Left(ProgressColumn):
    """How long it still takes, counted down between two steps."""

    def __init__(self, left_s: Callable[[], float | None]) -> None:
        super().__init__()
        self._left_s = left_s

    def render(self, task: Task) -> Text:
        left_s = self._left_s()
        return Text("" if left_s is None else f"{numbers.duration(left_s)} left")
