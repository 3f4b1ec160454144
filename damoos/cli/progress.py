"""Shows on stderr how far a study is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from damoos.report import numbers
from damoos.tune.request import Progress as StudyProgress

TITLES = {"baseline": "no scheme", "search": "trials", "verify": "verification"}
LINES_PER_PHASE = 10


class StudyScreen:
    """Takes the `StudyProgress` values of a running study. Use as a context manager."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._live = screen.is_terminal
        self._phase = ""
        self._shown = -1
        self._task: TaskID | None = None
        self._bars = Progress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left", markup=False),
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
        best = "" if now.best_score is None else f"best {numbers.score(now.best_score)}"
        if now.phase != self._phase:
            self._phase, self._shown = now.phase, -1
            if self._task is not None:
                self._bars.remove_task(self._task)
            # what an earlier call did counts as done, not as speed
            self._task = self._bars.add_task(TITLES[now.phase], total=now.total, completed=now.done, best=best)
        assert self._task is not None
        self._bars.update(self._task, completed=now.done, total=now.total, best=best)
        part = now.done * LINES_PER_PHASE // max(now.total, 1)
        if not self._live and part > self._shown:
            self._shown = part
            line = f"{TITLES[now.phase]} {now.done}/{now.total}"
            self._screen.print(f"{line}, {best}" if best else line)
