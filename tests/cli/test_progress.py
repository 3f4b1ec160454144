from __future__ import annotations

import io

from rich.console import Console

from damoos.cli.progress import StudyScreen
from damoos.tune.request import Progress

STEPS = (
    [Progress("baseline", n, 3, None, 60.0 * n) for n in range(4)]
    + [Progress("search", n, 200, 0.1 * n if n else None, 60.0 * n) for n in range(201)]
    + [Progress("verify", n, 66, 20.0, 60.0 * n) for n in range(67)]
)


def shown(*, terminal: bool) -> str:
    file = io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=terminal, width=80)) as screen:
        for step in STEPS:
            screen(step)
    return file.getvalue()


def test_without_a_terminal_there_are_few_plain_lines() -> None:
    text = shown(terminal=False)
    lines = text.splitlines()
    assert len(lines) <= 3 * 11
    assert "\x1b" not in text and "\r" not in text
    assert "trials 100/200, best 10.00" in lines
    assert "trials 200/200, best 20.00" in lines


def test_a_terminal_has_a_bar_that_is_gone_at_the_end() -> None:
    text = shown(terminal=True)
    assert "66/66" in text and "best 20.00" in text and "left" in text
    assert text.endswith("\x1b[2K")  # the line is erased


def test_a_study_that_goes_on_starts_where_it_was() -> None:
    file = io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=False, width=80)) as screen:
        screen(Progress("search", 37, 50, 3.0, 0.0))
    assert file.getvalue() == "trials 37/50, best 3.00\n"
