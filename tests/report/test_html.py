from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest

from damoos.report.html import render, write_report
from damoos.tune.outcome import Outcome

from .sample import measured_outcome, sample_outcome

SECTIONS = ("memory", "access", "trade-off", "convergence", "scheme", "verification", "made")
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """The page's elements and texts; fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self._script = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in values.items()]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "script":
            self._script = values.get("id", f"script-{len(self.scripts)}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(sample_outcome()))


def charts(page: Page) -> dict[str, dict]:
    return {name: json.loads(code) for name, code in page.scripts.items() if name.endswith("-data")}


def hostile(outcome: Outcome, evil: str) -> Outcome:
    """The outcome with `evil` in every text that a user's file or command line can bring in."""
    parameters = tuple(
        dataclasses.replace(p, title=evil, unit=evil, low=evil, high=evil, where=evil) for p in outcome.env.parameters
    )
    access = dataclasses.replace(outcome.access, regions=((evil, 0, outcome.access.total_bytes),))
    trials = tuple(
        dataclasses.replace(t, params_text=dict.fromkeys(t.params_text, evil), error=evil) for t in outcome.trials
    )
    assert outcome.verification is not None
    return dataclasses.replace(
        outcome,
        workload=dataclasses.replace(outcome.workload, name=evil, path=evil, sha256=evil),
        env=dataclasses.replace(outcome.env, name=evil, title=evil, path=evil, parameters=parameters),
        objective=dataclasses.replace(outcome.objective, description=evil),
        verification=dataclasses.replace(outcome.verification, verdict=evil),
        command_line=evil,
        machine=evil,
        strategy=evil,
        versions={evil: evil},
        access=access,
        trials=trials,
    )


def test_the_page_loads_nothing(page: Page) -> None:
    sources = [(tag, value) for tag, name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert sources == []
    assert not re.search(r"@import|url\(", Path(__file__).parents[2].joinpath("damoos/report/page.py").read_text())


def test_every_section_is_there_once(page: Page) -> None:
    assert [page.ids.count(name) for name in SECTIONS] == [1] * len(SECTIONS)
    assert len(page.ids) == len(set(page.ids))


def test_plotly_is_inlined_once_and_every_chart_has_a_valid_figure(page: Page) -> None:
    boxes = [value for tag, name, value in page.attributes if (tag, name) == ("div", "id")]
    assert sum("plotly.js v" in code for code in page.scripts.values()) == 1
    assert {f"{box}-data" for box in boxes} == set(charts(page)) and len(boxes) == 4
    for figure in charts(page).values():
        go.Figure(figure)


def test_the_verdict_comes_first_and_simulated_is_said(page: Page) -> None:
    verdict = sample_outcome().verification
    assert verdict is not None
    assert page.text.index(verdict.verdict) < page.text.index("Memory over time")
    assert page.text.count("simulated") >= 4


def test_numbers_of_the_outcome_are_on_the_page(page: Page) -> None:
    outcome = sample_outcome()
    for expected in (
        outcome.command_line,
        outcome.workload.sha256,
        "101, 102, 103, 104, 105",
        "numpy 2.3.0",
        "512 MiB",
        "8.60 ± 0.42",
        "3 h 3 min",
        "sudo damo start --kdamonds mine.json",
    ):
        assert expected in page.text, expected


@pytest.mark.parametrize(
    "evil", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"' onload=alert(1)", "a & b <b>"]
)
def test_no_text_becomes_markup(evil: str) -> None:
    plain, attacked = Page(render(sample_outcome(3))), Page(render(hostile(sample_outcome(3), evil)))
    shape = [(tag, name) for tag, name, _ in plain.attributes]
    assert [(tag, name) for tag, name, _ in attacked.attributes] == shape
    assert len(attacked.scripts) == len(plain.scripts)
    assert " ".join(evil.split()) in attacked.text
    charts(attacked)


def test_nothing_helps_is_said_and_nothing_is_offered_for_deployment() -> None:
    page = Page(render(sample_outcome(helps=False)))
    assert "Nothing helps" in page.text
    assert "not recommended" in page.text
    assert "damo start" not in page.text


def test_a_study_without_feasible_trial_still_has_a_page() -> None:
    outcome = sample_outcome(4)
    failed = tuple(
        dataclasses.replace(
            t,
            state="failed",
            score=None,
            feasible=False,
            runtime_overhead_percent=None,
            rss_overhead_percent=None,
            repeats=(),
            error="the kernel refused it",
        )
        for t in outcome.trials
    )
    page = Page(render(dataclasses.replace(outcome, trials=failed, best=None, front=(), verification=None)))
    assert [name for name in SECTIONS if name not in page.ids] == []
    assert "Nothing to recommend" in page.text
    assert "failed trials 4" in page.text


@pytest.mark.parametrize(("time_kind", "clock"), [("real", "the machine's clock"), ("virtual", "own clock")])
def test_what_was_measured_is_labelled_and_nothing_is_called_simulated(time_kind: str, clock: str) -> None:
    page = Page(render(measured_outcome(time_kind=time_kind)))
    plain = page.text.replace("best of simulated (zigzag on sim:zram, simulated time)", "")
    assert "simulat" not in plain and plain.count(time_kind) >= 4 and clock in plain
    assert "phases" not in plain, "a program has none"
    assert "begun with best of simulated" in page.text
    assert "failed trials 1 (1 with a workload that failed)" in page.text


def test_without_the_workloads_pattern_there_is_no_picture_of_it() -> None:
    page = Page(render(measured_outcome()))
    assert [name for name in SECTIONS if name not in page.ids] == ["access"]
    for figure in charts(page).values():
        go.Figure(figure)


def test_a_metric_stands_where_the_runtime_would(page: Page) -> None:
    judged = Page(render(measured_outcome("higher")))
    for expected in ("1234", "1180", "metric change, %", "loss in the metric", "metric against no scheme"):
        assert expected in judged.text, expected
    assert "metric output, tps ([0-9.]+); higher is better" in judged.text
    assert "by how much it got worse; higher is better" in judged.text
    axis = charts(judged)["trade-off-chart-data"]["layout"]["xaxis"]["title"]
    assert "loss in the metric, %" in str(axis) and "runtime" not in str(axis)
    assert "metric" not in page.text


def test_what_nothing_measures_is_not_shown_as_a_number() -> None:
    page = Page(render(measured_outcome("none")))
    assert page.text.count("runtime is not measured: --metric makes damoos watch speed") == 1
    assert "Runtime is not measured" in page.text and "runtime against no scheme" not in page.text


def test_a_report_replaces_an_older_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(sample_outcome(3), path)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_configuration_without_parameters_is_shown_whole() -> None:
    outcome = sample_outcome()
    trials = tuple(dataclasses.replace(trial, params={}, params_text={}) for trial in outcome.trials)
    env = dataclasses.replace(outcome.env, parameters=())
    page = Page(render(dataclasses.replace(outcome, env=env, trials=trials)))
    assert "scheme 0: pageout" in page.text and "knob" not in page.words
