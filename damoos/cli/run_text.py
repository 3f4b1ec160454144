"""A run's result, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from damoos.backend.result import Result
from damoos.damon.observed import PERCENTILES, Observed
from damoos.damon.snapshot import Snapshot
from damoos.report import numbers
from damoos.report.heatmap import Heatmap, terminal_lines
from damoos.report.observed import covered, observed_heat

from .chart import area_chart
from .console import takes_unicode

MAP_ROWS = 12
CHART_WIDTH = 100
_ENDLESS = 10_000


def print_result(screen: Console, result: Result, seen: Sequence[Snapshot], *, verbose: bool) -> None:
    """Prints what was measured, RSS over time, what DAMON saw (`seen`, a snapshot a step) and the schemes' counters."""
    how = "without DAMON" if result.asked is None else _schemes_in_words(result)
    screen.print(
        Text.assemble(
            (result.workload, "bold"), f" on {result.backend}, {how}, seed {result.seed}, {result.time_kind} time"
        )
    )
    screen.print(_figures(result))
    width = min(screen.width, CHART_WIDTH)
    samples = result.samples
    screen.print()
    screen.print("RSS over time", style="bold")
    for line in area_chart(
        samples.t_s,
        samples.rss_bytes.astype(float),
        columns=width,
        top_label=numbers.size(result.rss_peak_bytes),
        unicode=takes_unicode(screen),
    ):
        screen.print(line, no_wrap=True, crop=True)
    if seen:
        _print_map(screen, seen)
        if verbose:
            _print_regions(screen, seen[-1])
    if result.scheme_stats:
        screen.print()
        screen.print("Schemes", style="bold")
        screen.print(_stats(result))
    if verbose and len(result.phases) > 1:
        screen.print()
        screen.print("Phases", style="bold")
        screen.print(_phases(result))


def plain_table(*columns: str, left: int = 1, whole: bool = False) -> Table:
    """A table without frames that reads well in 80 columns; all but the first `left` columns are aligned right.

    `whole`: cells stay on one line, and columns are close to each other."""
    padding = (0, 1, 0, 0) if whole else (0, 1)
    table = Table(box=box.SIMPLE_HEAD, padding=padding, pad_edge=False, show_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right", overflow="fold", no_wrap=whole)
    return table


def print_fitting(
    screen: Console, head: Sequence[str], rows: Sequence[Sequence[str]], expendable: Sequence[int]
) -> list[str]:
    """Prints a table of whole cells with as many of its columns as `screen` is wide, and returns the titles of those
    that were left out: the first ones of `expendable`, indices of columns."""
    for nr_out in range(len(expendable) + 1):
        shown = [i for i in range(len(head)) if i not in expendable[:nr_out]]
        table = plain_table(*(head[i] for i in shown), whole=True)
        for row in rows:
            table.add_row(*(row[i] for i in shown))
        if screen.measure(table, options=screen.options.update(max_width=_ENDLESS)).maximum <= screen.width:
            break
    screen.print(table)
    return [title for i, title in enumerate(head) if i not in shown]


def _schemes_in_words(result: Result) -> str:
    count = len(result.scheme_stats)
    return "monitoring only" if count == 0 else "1 scheme" if count == 1 else f"{count} schemes"


def _figures(result: Result) -> Table:
    rows = [
        ("runtime", numbers.seconds(result.runtime_s)),
        (
            "RSS",
            f"{numbers.size(result.rss_mean_bytes)} on average, {numbers.size(result.rss_peak_bytes)} at most, "
            f"{numbers.size(result.rss_last_bytes)} at the end",
        ),
        (
            "swap",
            f"{numbers.size(result.swap_out_bytes)} out, {numbers.size(result.swap_in_bytes)} in, "
            f"{numbers.count(result.major_faults)} major faults",
        ),
    ]
    if result.metric is not None:
        rows.insert(1, ("metric", numbers.metric(result.metric)))
    if result.asked is not None:
        share = 100 * result.kdamond_cpu_s / result.runtime_s if result.runtime_s else 0.0
        rows.append(
            (
                "DAMON",
                f"{numbers.count(result.nr_regions_mean)} regions on average, kdamond used "
                f"{numbers.seconds(result.kdamond_cpu_s)} of CPU ({numbers.percent(share)})",
            )
        )
    if result.observed is not None:
        rows.append(("working set", _working_set(result.observed)))
        rows.append(("idle", _idle(result.observed)))
        if result.observed.bandwidth_bytes_s is not None:
            rows.append(("bandwidth", f"{numbers.size(result.observed.bandwidth_bytes_s)}/s by DAMON_STAT's estimate"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _working_set(seen: Observed) -> str:
    at = dict(zip(PERCENTILES, seen.wss_bytes, strict=True))
    text = (
        f"{numbers.size(seen.wss_mean_bytes)} on average, {numbers.size(at[50])} in the median, "
        f"{numbers.size(at[95])} at the 95th percentile"
    )
    if seen.hot_set_percent is None:
        return text
    return f"{text}; DAMON knew {numbers.percent(seen.hot_set_percent)} of what was in use (F1)"


def _idle(seen: Observed) -> str:
    at = dict(zip(PERCENTILES, seen.idle_s, strict=True))
    return ", ".join(f"{100 - p} % of memory for {numbers.seconds(at[p])} and more" for p in (25, 50, 75))


def _print_map(screen: Console, seen: Sequence[Snapshot]) -> None:
    low, high = covered(seen)
    total = int((high - low).sum())
    labels = [numbers.size(total * row / MAP_ROWS) if row % 4 == 0 else "" for row in range(MAP_ROWS)]
    # every snapshot stands for a column or more, so that the chart above and this have one time axis
    columns = min(screen.width, CHART_WIDTH) - max(map(len, labels)) - 3
    rows = np.arange(columns) * len(seen) // columns
    picture = Heatmap(observed_heat(seen, MAP_ROWS)[rows], np.linspace(0.0, seen[-1].t_s, columns + 1), tuple(labels))
    screen.print()
    screen.print("What DAMON saw: share of samples with an access, by monitored memory and time", style="bold")
    colour = screen.color_system is not None and not screen.no_color
    for line in terminal_lines(picture, unicode=takes_unicode(screen), colour=colour):
        screen.print(line, crop=True)


def _print_regions(screen: Console, snapshot: Snapshot) -> None:
    table = plain_table("from", "to", "size", "access rate", "for", left=2)
    samples = snapshot.aggr_us / snapshot.sample_us
    for start, end, accesses, age in zip(snapshot.start, snapshot.end, snapshot.nr_accesses, snapshot.age, strict=True):
        table.add_row(
            f"{start:#x}",
            f"{end:#x}",
            numbers.size(end - start),
            f"{100 * accesses / samples:.0f} %",
            numbers.seconds(age * snapshot.aggr_us / 1e6),
        )
    screen.print()
    screen.print("Regions at the end", style="bold")
    screen.print(table)


def _stats(result: Result) -> Table:
    table = plain_table("scheme", "tried", "", "applied", "", "quota exceeded")
    schemes = () if result.asked is None else result.asked.context.schemes
    for i, stats in enumerate(result.scheme_stats):
        name = f"{i} {schemes[i].action.value}" if i < len(schemes) else str(i)
        table.add_row(
            name,
            f"{numbers.count(stats.nr_tried)} x",
            numbers.size(stats.sz_tried),
            f"{numbers.count(stats.nr_applied)} x",
            numbers.size(stats.sz_applied),
            f"{numbers.count(stats.qt_exceeds)} x",
        )
    return table


def _phases(result: Result) -> Table:
    table = plain_table("phase", "nominal", "took", "accesses")
    for phase in result.phases:
        table.add_row(
            phase.name,
            numbers.seconds(phase.nominal_ms / 1000),
            numbers.seconds(phase.elapsed_ms / 1000),
            numbers.count(phase.accesses),
        )
    return table
