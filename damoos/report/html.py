"""The report of a study: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from damoos.files import write_whole
from damoos.tune.outcome import HeatMap, Outcome

from . import numbers, plots, search_plots
from .page import Html, badge, block, chart, colour_scale, facts, join, page, pair, section, table, text, tiles
from .words import (
    change_note,
    comparisons,
    deployment,
    failures,
    found_scheme,
    headline,
    helps,
    overhead_name,
    scheme_in_words,
    scheme_rows,
    scores_name,
    speed_name,
    speed_note,
    stopped,
    trials,
    verified_rows,
)

SERIES_COLOURS = {"no scheme": plots.BASELINE, "documented": plots.DEFAULT, "found": plots.BEST}


def write_report(outcome: Outcome, path: str | Path) -> None:
    """Writes the report of `outcome` to `path`; nobody ever sees half of it."""
    write_whole(Path(path), render(outcome))


def render(outcome: Outcome) -> str:
    """The report as HTML text, about 5 MB with plotly.js in it."""
    body = join(
        [
            _header(outcome),
            tiles(_key_numbers(outcome)),
            _memory(outcome),
            *([] if outcome.access is None else [_heat(outcome, outcome.access)]),
            pair(_trade_off(outcome), _convergence(outcome)),
            _scheme(outcome),
            _verification(outcome),
            _provenance(outcome),
        ]
    )
    return page(f"{outcome.workload.name}, {outcome.env.name}: damoos report", body)


def _header(outcome: Outcome) -> Html:
    return Html(
        f'<header><p class="kicker">damoos report, {text(outcome.created[:10])}</p>'
        f"<h1>{text(outcome.workload.name)}: {text(outcome.env.title)} {badge(outcome.time_kind)}</h1>"
        f'<p class="verdict">{text(headline(outcome))}</p></header>'
    )


def _key_numbers(outcome: Outcome) -> list[tuple[str, str]]:
    found = found_scheme(outcome)
    values = []
    if found is not None:
        score = found.score
        against = "against no scheme" if helps(outcome) else "of the best candidate"
        slower = numbers.percent(found.runtime_overhead_percent.mean, sign=True)
        values = [
            (numbers.percent(found.rss_overhead_percent.mean, sign=True), f"RSS {against}"),
            *([] if speed_note(outcome) else [(slower, f"{speed_name(outcome)} {against}")]),
            (
                numbers.score(score.mean),
                f"score, {numbers.score(score.low)} to {numbers.score(score.high)} "
                f"with {100 * score.confidence:.0f} % confidence",
            ),
        ]
    repeats = len(outcome.search_seeds)
    short = any(trial.state == "partial" for trial in outcome.trials)
    each = "" if short else f", {repeats} {'run' if repeats == 1 else 'runs'} each"
    return [
        *values,
        (str(len(outcome.trials)), trials(outcome).partition(" ")[2] + each),
        (numbers.duration(outcome.workload_time_s), f"of {outcome.time_kind} workload time"),
    ]


def _memory(outcome: Outcome) -> Html:
    lines = [
        plots.Line(s.label, s.t_s, s.rss_bytes, SERIES_COLOURS.get(s.label, plots.FRONT), s.label != "documented")
        for s in outcome.series
    ]
    seeds = sorted({s.seed for s in outcome.series})
    note = f"Resident memory (RSS) of one run each, {outcome.time_kind}; seed {', '.join(map(str, seeds))}."
    figure = plots.over_time(lines, "RSS", axis_end_s=_end_s(outcome))
    return section("memory", "Memory over time", chart("memory-chart", figure, "RSS over time"), note=note)


def _heat(outcome: Outcome, access: HeatMap) -> Html:
    figure = plots.heat_map(
        np.array(access.heat), access.end_s, access.total_bytes, access.regions, axis_end_s=_end_s(outcome)
    )
    note = (
        f"Share of pages touched within {access.window_ms:g} ms, by time and address, at undisturbed speed; "
        "worked out from the workload's configuration."
    )
    scale = colour_scale(plots.HEAT_COLOURS, "0 %", "100 %")
    picture = chart("access-chart", figure, "access heat map")
    return section("access", "What the workload accesses", scale, picture, note=note)


def _trade_off(outcome: Outcome) -> Html:
    points = [
        search_plots.TradeOffPoint(t.number, t.runtime_overhead_percent, -t.rss_overhead_percent, t.score, t.feasible)
        for t in outcome.trials
        if t.runtime_overhead_percent is not None and t.rss_overhead_percent is not None and t.state == "complete"
    ]
    limit = outcome.objective.max_runtime_overhead_percent
    figure, outside = search_plots.trade_off(
        points,
        front=outcome.front,
        best=outcome.best,
        default=0 if outcome.trials else None,
        limit_percent=limit,
        speed=overhead_name(outcome),
    )
    note = "Each dot is a trial, against the same seeds without a scheme. Better is up"
    if speed_note(outcome):
        note += f"; {speed_note(outcome)}."
    else:
        note += f" and to the left; more than {limit:g} % of {overhead_name(outcome)} is refused."
    if outside:
        note += f" Not shown: {outside} {_trials(outside)} too slow for the axis."
    return section(
        "trade-off",
        "Trade-off",
        chart("trade-off-chart", figure, f"{speed_name(outcome)} against RSS saved"),
        note=note,
    )


def _convergence(outcome: Outcome) -> Html:
    figure, below = search_plots.convergence(
        [t.number for t in outcome.trials],
        [t.score if t.state == "complete" else None for t in outcome.trials],
        [t.feasible for t in outcome.trials],
        name=scores_name(outcome),
    )
    zero = "" if outcome.objective.kind == "metric" else "; 0 is no scheme"
    note = f"Score of each trial and the best one so far{zero}."
    if below:
        note += f" {below} {_trials(below)} below the axis."
    return section("convergence", "Search", chart("convergence-chart", figure, "score by trial"), note=note)


def _scheme(outcome: Outcome) -> Html:
    if outcome.best is None:
        return section("scheme", "The scheme", note="No trial stayed within the limit of the runtime overhead.")
    title = "The scheme" if helps(outcome) else "The best candidate (not recommended)"
    rows = scheme_rows(outcome)
    pieces = [table(("knob", "value", "searched", "place"), [row[1:] for row in rows])] if rows else []
    pieces.append(block(scheme_in_words(outcome)))
    if helps(outcome):
        pieces.append(Html(f"<p>{text(deployment(outcome)[0])}</p>"))
        pieces.append(block("\n".join(deployment(outcome)[1:])))
    return section("scheme", title, *pieces)


def _verification(outcome: Outcome) -> Html:
    checked = outcome.verification
    if checked is None:
        return section("verification", "Verification", note="Not verified: there was nothing to verify.")
    speed = speed_name(outcome)
    head = ("", "score", speed, f"{speed} change, %", "mean RSS", "RSS change, %")
    rows = verified_rows(outcome)
    strong = next((i for i, row in enumerate(rows) if row[0] == "found"), -1)
    return section(
        "verification",
        "Verification with fresh seeds",
        table(head, rows, numbers=range(1, len(head)), strong=strong),
        Html("".join(f"<p>{text(line)}</p>" for line in comparisons(outcome))),
        note=f"{len(checked.seeds)} runs each with seeds that the search never used; means and "
        f"{100 * checked.baseline_runtime_s.confidence:.0f} % confidence intervals, {outcome.time_kind}. "
        "Changes are against no scheme with the same seeds; documented is the default of the env, trial 0."
        + (f" {change_note(outcome)}" if change_note(outcome) else ""),
    )


def _provenance(outcome: Outcome) -> Html:
    workload, checked = outcome.workload, outcome.verification
    values = [
        ("command", outcome.command_line),
        ("date", outcome.created),
        ("time", _time_in_words(outcome)),
        ("backend", f"{outcome.backend}, machine {outcome.machine}"),
        (
            "workload",
            f"{workload.path}: {numbers.size(workload.footprint_bytes)}, {numbers.seconds(workload.duration_s)}",
        ),
        *([] if workload.metric is None else [("metric", workload.metric)]),
        ("workload sha256", workload.sha256),
        ("env", outcome.env.path),
        ("env sha256", outcome.env.sha256),
        ("objective", outcome.objective.description),
        ("strategy", f"{outcome.strategy}, seed {outcome.seed}"),
        *([] if outcome.start is None else [("begun with", outcome.start)]),
        ("search seeds", ", ".join(map(str, outcome.search_seeds))),
    ]
    if checked is not None:
        values.append(("finalists' seeds", ", ".join(map(str, checked.finalist_seeds)) or "none"))
        values.append(("verification seeds", ", ".join(map(str, checked.seeds))))
    values.append(("versions", ", ".join(f"{name} {version}" for name, version in outcome.versions.items())))
    if failures(outcome):
        values.append(("failed trials", failures(outcome)))
    if stopped(outcome):
        values.append(("stopped early", stopped(outcome)))
    return section("made", "How this was made", facts(values))


def _end_s(outcome: Outcome) -> float:
    # one time axis for what is accessed and what is resident
    ends = [series.t_s[-1] for series in outcome.series if series.t_s]
    return max([outcome.workload.duration_s if outcome.access is None else outcome.access.end_s, *ends])


def _time_in_words(outcome: Outcome) -> str:
    if outcome.time_kind == "simulated":
        kind = "simulated: kernel, machine and workload are models, no real memory was touched"
    elif outcome.time_kind == "virtual":
        kind = "virtual: a real kernel in a virtual machine, by that machine's own clock"
    else:
        kind = f"{outcome.time_kind}: a real kernel, by the machine's clock"
    if outcome.workload.kind != "masim":
        return kind
    return f"{kind}; {'phases are amounts of work' if outcome.timing == 'work' else 'phases last their time'}"


def _trials(count: int) -> str:
    return "trial" if count == 1 else "trials"
