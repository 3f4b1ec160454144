"""A study's outcome in the terminal: the same at the end of `damoos tune` and in `damoos show`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from damoos.report import numbers, words
from damoos.tune.outcome import Outcome

from .run_text import plain_table

FILES = ("best.json", "best.yaml", "trials.csv", "result.json", "report.html")


def print_summary(screen: Console, outcome: Outcome, folder: Path, *, verbose: bool) -> None:
    """Prints verdict, comparison, the scheme and what to do next; `folder` is where the study's files are."""
    title = Text.assemble((outcome.workload.name, "bold"), f", {outcome.env.title}")
    screen.print(Text.assemble(title, f" ({outcome.backend}, {outcome.time_kind})"))
    screen.print(words.headline(outcome), style="bold green" if words.helps(outcome) else "bold yellow")
    screen.print()
    rows = words.verified_rows(outcome)
    if rows:
        table = plain_table("", "score", words.speed_name(outcome), "change, %", "mean RSS", "change, %")
        for row in rows:
            table.add_row(*row, style="bold" if row[0] == "found" else None)
        screen.print(table)
        screen.print(_how_measured(outcome), style="dim")
        if words.change_note(outcome):
            screen.print(words.change_note(outcome), style="dim")
        if failed := words.failures(outcome):
            screen.print(f"failed trials: {failed}; trials.csv says why", style="dim")
        if ended := words.stopped(outcome):
            screen.print(f"stopped early: {ended}", style="dim")
        if verbose:
            _print_indented(screen, words.comparisons(outcome))
        screen.print()
    if outcome.best is not None:
        kind = "Scheme" if words.helps(outcome) else "Best candidate, not recommended"
        screen.print(f"{kind} (trial {outcome.best})", style="bold")
        if parameters := words.scheme_rows(outcome):
            table = plain_table("knob", "value", "searched", "what it is", left=4)
            for name, meaning, value, searched, _ in parameters:
                table.add_row(name, value, searched, meaning)
            screen.print(table)
            screen.print()
        _print_indented(screen, words.scheme_in_words(outcome).splitlines())
        screen.print()
    _print_next(screen, outcome, folder)


def _how_measured(outcome: Outcome) -> str:
    assert outcome.verification is not None
    checked = outcome.verification
    confidence = 100 * checked.baseline_runtime_s.confidence
    return (
        f"{outcome.time_kind}; means of {len(checked.seeds)} runs with fresh seeds ± {confidence:.0f} % confidence; "
        f"{words.trials(outcome)}, {numbers.duration(outcome.workload_time_s)} of workload time"
    )


def _print_next(screen: Console, outcome: Outcome, folder: Path) -> None:
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        screen.print("Files", style="bold")
        screen.print(f"  {folder}/: {', '.join(there)}", soft_wrap=True)
    if words.helps(outcome):
        sentence, *commands = words.deployment(outcome, str(folder / "best.json"))
        screen.print("Next", style="bold")
        _print_indented(screen, textwrap.wrap(sentence, screen.width - 2, break_long_words=False))
        _print_indented(screen, commands)


def _print_indented(screen: Console, lines: list[str]) -> None:
    for line in lines:
        screen.print(f"  {line}", soft_wrap=True)
