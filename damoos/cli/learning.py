"""Shows on stderr how far a training is: a live bar on a terminal, a line an evaluation elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from damoos.report import numbers
from damoos.rl.request import Progress


class LearningScreen:
    """Takes the `Progress` values of a training. Use as a context manager."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._bars = Bars(
            TextColumn("training"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bars.add_task("", total=1.0, told="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, now: Progress) -> None:
        """Shows `now`."""
        left = "" if now.left_s is None else f"{numbers.duration(now.left_s)} left"
        told = ", ".join(text for text in (f"{now.steps:,} steps", left) if text)
        self._bars.update(self._task, completed=now.share, told=told)
        if now.evaluated and now.score is not None and now.best is not None:
            self._screen.print(
                f"{numbers.duration(now.seconds):>8}, {told}: validation {now.score:.2f}, best {now.best:.2f}",
                soft_wrap=True,
            )
