"""How far an experiment is, on a terminal and elsewhere."""

import io

from rich.console import Console

from damoos.cli.courses import CoursesScreen
from damoos.experiment.run import Progress


def test_lines_say_what_is_done_and_left() -> None:
    now = [100.0]
    out = io.StringIO()
    with CoursesScreen(Console(file=out, width=80), "courses", lambda: now[0]) as screen:
        screen(Progress(50, 200))
        for fresh in range(1, 151):
            now[0] += 2.0
            screen(Progress(50 + fresh, 200, fresh, failed=int(fresh > 140)))
    lines = out.getvalue().splitlines()
    # What an earlier call did says nothing of the pace; a line every twentieth.
    assert lines[0] == "courses 50/200" and lines[1] == "courses 60/200, 4 min 40 s left"
    assert lines[-1] == "courses 200/200, 1 failed" and len(lines) == 16


def test_a_terminal_has_a_bar() -> None:
    out = io.StringIO()
    with CoursesScreen(Console(file=out, force_terminal=True, width=80), "tasks") as screen:
        screen(Progress(1, 4, 1))
        assert not out.getvalue().startswith("tasks 1/4")
