"""Shows on stderr how many courses are done: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from damoos.experiment.run import Progress as Done
from damoos.report import numbers

LINES = 20


class CoursesScreen:
    """Takes the `Progress` values of a running experiment. Use as a context manager.

    `what` is counted. The time left is that of what is left at the pace of this call. `clock`: the present, s.
    """

    def __init__(self, screen: Console, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen, self._what, self._clock = screen, what, clock
        self._shown = -1
        self._begin_s = clock()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, now: Done) -> None:
        """Shows `now`."""
        failed = f"{now.failed} failed" if now.failed else ""
        text = ", ".join(part for part in (self._left(now), failed) if part)
        self._bar.update(self._task, completed=now.done, total=now.total, left=text)
        part = now.done * LINES // max(now.total, 1)
        if not self._screen.is_terminal and part > self._shown:
            self._shown = part
            line = f"{self._what} {now.done}/{now.total}"
            self._screen.print(", ".join(part for part in (line, text) if part), soft_wrap=True)

    def _left(self, now: Done) -> str:
        left = now.total - now.done
        if not now.fresh or not left:
            return ""
        return f"{numbers.duration((self._clock() - self._begin_s) / now.fresh * left)} left"
