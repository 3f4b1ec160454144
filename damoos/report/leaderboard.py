"""The report of an experiment: its leaderboard as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from damoos.experiment.leaderboard import Results, Table, by_task, caption, improvements, leaderboard, protocol, timed
from damoos.files import write_whole

from . import bench_plots
from .page import Html, badge, chart, join, page, pair, section, table, text, tiles


def write_leaderboard(results: Results, path: Path) -> None:
    """Writes the report to `path`; nobody ever sees half of it."""
    write_whole(path, render(results))


def render(results: Results) -> str:
    """The report as HTML text, about 5 MB with plotly.js in it."""
    found, ranking, against = results.comparison, results.ranking(), results.against
    grey = " Grey, with names under the pointer: all others." if len(ranking) > len(bench_plots.COLOURS) else ""
    better = [one for name in ranking if (one := results.improvement(name, results.budget)) is not None]
    body = [
        _header(results),
        tiles(_key_numbers(results)),
        section("leaderboard", "Leaderboard", _table(leaderboard(results)), note=caption(results)),
        pair(
            section(
                "curves",
                "Best so far, by runs",
                chart(
                    "curves-chart",
                    bench_plots.curves(ranking, found.curves, results.near, against),
                    "score / best by runs",
                ),
                note="Interquartile mean over tasks and seeds, with 95 % intervals; dashed: what is near enough."
                + grey,
            ),
            section(
                "profiles",
                "Performance profiles",
                chart(
                    "profiles-chart", bench_plots.profiles(ranking, found.profiles, against), "shares above thresholds"
                ),
                note=f"After {results.budget} runs: share of pairs of task and seed above a threshold." + grey,
            ),
        ),
    ]
    if better:
        figure = bench_plots.improvements(better, results.against)
        picture = chart("improvement-chart", figure, "probabilities of improvement")
        title = f"Probability of improvement over {results.against}"
        body.append(section("improvement", title, picture, _table(improvements(results)), note="95 % intervals."))
    if found.timed:
        note = "The same, but within the workload time of so many runs without a scheme: slow schemes cost more of it."
        body.append(section("time", "By workload time", _table(timed(results)), note=note))
    note = f"After {results.budget} runs: what is reached / best, interquartile mean over seeds."
    if found.left_out:
        note += f" Left out, since nothing known there is better than no scheme: {', '.join(found.left_out)}."
    body.append(section("tasks", "By task", _table(by_task(results)), note=note))
    body.append(_best(results))
    lines = "".join(f"<p>{text(line.removeprefix('- ').replace('`', ''))}</p>" for line in protocol(results))
    body.append(section("protocol", "How it was measured", Html(lines)))
    return page(f"{results.title}: damoos bench", join(body))


def _header(results: Results) -> Html:
    return Html(
        f'<header><p class="kicker">damoos bench, {text(results.name)}</p>'
        f"<h1>{text(results.title)} {badge(results.time_kind)}</h1>"
        f'<p class="verdict">{text(results.description)}</p></header>'
    )


def _key_numbers(results: Results) -> list[tuple[str, str]]:
    best = results.ranking()[0]
    figure = results.figure(best, results.budget)
    return [
        (best, f"has the best interquartile mean after {results.budget} runs"),
        (f"{figure.iqm:.2f}", f"of the best known score, {figure.iqm_low:.2f} to {figure.iqm_high:.2f}"),
        (f"{100 * figure.share:.0f} %", f"of its courses reach {100 * results.near:g} % of the best"),
        (f"{len(results.comparison.tasks)} × {results.comparison.seeds}", "tasks × seeds"),
    ]


def _best(results: Results) -> Html:
    rows = [
        [task.name, f"{task.best:.2f}", ", ".join(f"{name} {value}" for name, value in (task.params or {}).items())]
        for task in results.tasks
    ]
    return section("best", "Best known points", _table((["task", "score", "parameters"], rows), left=3))


def _table(parts: Table, left: int = 1) -> Html:
    head, rows = parts
    plain = [[cell.replace("`", "") for cell in row] for row in rows]
    return table([cell.replace("`", "") for cell in head], plain, numbers=range(left, len(head)))
