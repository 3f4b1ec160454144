from __future__ import annotations

import io

from rich.console import Console

from damoos.cli.progress import StudyScreen
from damoos.tune.request import Progress

STEPS = (
    [Progress("baseline", n, 3, None, 60.0 * n, n, 3 - n) for n in range(4)]
    + [Progress("search", n, 200, 0.1 * n if n else None, 60.0 * n, 3 + n, 200 - n) for n in range(201)]
    + [Progress("verify", n, 66, 20.0, 60.0 * n, 203 + n, 66 - n) for n in range(67)]
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


def test_long_runs_say_from_the_first_one_on_how_long_it_takes() -> None:
    now, file = [0.0], io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=False, width=80), "real", clock=lambda: now[0]) as screen:
        screen(Progress("baseline", 0, 2, None, 0.0, 0, 2))
        now[0] = 40.0
        screen(Progress("baseline", 1, 2, None, 30.0, 1, 1))
        now[0] = 80.0
        screen(Progress("baseline", 2, 2, None, 60.0, 2, 0))
        screen(Progress("search", 0, 10, None, 60.0, 2, 20))
        now[0] = 160.0
        screen(Progress("search", 1, 10, 3.0, 120.0, 4, 18))
    assert file.getvalue().splitlines() == [
        "no scheme 0/2",
        "no scheme 1/2, 40 s left",
        "no scheme 2/2",
        "trials 0/10, 13 min 20 s left",
        "trials 1/10, best 3.00 (real time), 12 min 0 s left",
    ]


def test_the_bar_counts_down_between_two_steps() -> None:
    now, file = [0.0], io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=True, width=80), "real", clock=lambda: now[0]) as screen:
        screen(Progress("search", 0, 10, None, 0.0, 0, 20))
        now[0] = 60.0
        screen(Progress("search", 1, 10, 1.0, 60.0, 2, 18))
        screen._bars.refresh()
        now[0] = 75.0
        screen._bars.refresh()
    text = file.getvalue()
    assert "9 min 0 s left" in text and "8 min 45 s left" in text


def test_what_is_tried_again_is_told() -> None:
    file = io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=False, width=80), "virtual") as screen:
        screen(Progress("search", 3, 50, None, 0.0, note="the set-up failed, trying again (1 of 2): no [guest]"))
    assert "the set-up failed, trying again (1 of 2): no [guest]" in file.getvalue().splitlines()


def test_a_budget_of_workload_time_is_shown() -> None:
    file = io.StringIO()
    with StudyScreen(Console(file=file, force_terminal=False, width=80), "virtual") as screen:
        screen(Progress("search", 5, 50, 3.0, 0.0, charged_s=120.0, max_workload_time_s=600.0))
    assert file.getvalue().splitlines() == ["trials 5/50, best 3.00 (virtual time), 2 min 0 s of 10 min 0 s"]
