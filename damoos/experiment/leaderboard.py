"""What an experiment found, as one value that files keep and reports show, and its leaderboard in Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from damoos import __version__
from damoos.catalogue import markdown_table
from damoos.errors import ConfigError
from damoos.tune.outcome import from_plain, to_plain
from damoos.workload.generated import in_brief

from .figures import Comparison, Figure, Improvement, Speed, comparison
from .known import Best
from .matrix import Matrix
from .oracles import find_known
from .records import Course

FORMAT = 1


@dataclass(frozen=True)
class TaskInfo:
    """A task as reports show it. `best`: the best known worth; `searched`: from the exhaustive search, else it is the
    best that any course reached; `params`: the point's parameters with units, None where it isn't known."""

    name: str
    env: str
    workload: str
    best: float
    searched: bool
    params: dict[str, str] | None


@dataclass(frozen=True)
class Results:
    """An experiment with its figures. `path`: its file; `command`: what makes it again; `learned`: the strategies that
    learned something in advance, and from what; `refusals`: strategy, env that it can't take, and why; `wanted_seeds`:
    as many as the experiment's file asks for; `versions`: of packages."""

    name: str
    path: str
    title: str
    description: str
    command: str
    backend: str
    time_kind: str
    budget: int
    counts: tuple[int, ...]
    repeats: int
    judged_with: int
    wanted_seeds: int
    few_seeds: str
    against: str
    near: float
    training: tuple[str, ...]
    learned: tuple[tuple[str, str], ...]
    tasks: tuple[TaskInfo, ...]
    comparison: Comparison
    versions: tuple[tuple[str, str], ...]
    refusals: tuple[tuple[str, str, str], ...] = ()

    def figure(self, strategy: str, runs: int) -> Figure:
        """A strategy's figure after so many runs, one of `counts`."""
        return next(f for f in self.comparison.figures if (f.strategy, f.runs) == (strategy, runs))

    def ranking(self) -> list[str]:
        """The strategies, those with the highest interquartile mean after all runs first; those whose mean is over some
        of the tasks only come last."""
        last = [figure for figure in self.comparison.figures if figure.runs == self.budget]
        last.sort(key=lambda f: (-self.nr_tasks(f.strategy), -f.iqm, f.strategy))
        return [figure.strategy for figure in last]

    def nr_tasks(self, strategy: str) -> int:
        """How many tasks its figures are over."""
        return sum(figure.strategy == strategy for figure in self.comparison.by_task)

    def speed(self, strategy: str) -> Speed:
        """How fast a strategy was."""
        return next(speed for speed in self.comparison.speeds if speed.strategy == strategy)

    def improvement(self, strategy: str, runs: int) -> Improvement | None:
        """Against `against`; None for that one itself."""
        found = (one for one in self.comparison.improvements if (one.strategy, one.runs) == (strategy, runs))
        return next(found, None)

    def to_json(self) -> str:
        """The file `results.json`."""
        tree = _rounded(to_plain(self))
        return json.dumps({"format": FORMAT, **tree}, separators=(",", ":"), allow_nan=False) + "\n"


def results_of(matrix: Matrix, courses: Sequence[Course], best: Mapping[str, Best], wanted_seeds: int) -> Results:
    """The figures of all courses of an experiment, for which its file asks `wanted_seeds`."""
    rows = {course.key: course.rows for course in courses}
    worths, tasks = {}, []
    for spec in matrix.tasks:
        known = best.get(spec.name)
        reached = max((row.reached for key, own in rows.items() if key[0] == spec.name for row in own), default=0.0)
        worths[spec.name] = reached if known is None else known.score
        params = None if known is None else spec.env.space.texts(known.params)
        tasks.append(
            TaskInfo(spec.name, spec.env.name, spec.workload.name, worths[spec.name], known is not None, params)
        )
    first = matrix.tasks[0]
    learned = ((name, ", ".join(in_brief(find_known(name).learned_from))) for name in matrix.strategies)
    return Results(
        name=matrix.name,
        path=str(matrix.path),
        title=matrix.title,
        description=matrix.description,
        command=f"damoos bench {matrix.path.parent if matrix.is_folder else matrix.path}",
        backend=", ".join(matrix.backends),
        time_kind=matrix.time_kind,
        budget=matrix.budget,
        counts=matrix.counts,
        repeats=first.repeats,
        judged_with=first.judged_with,
        wanted_seeds=wanted_seeds,
        few_seeds=matrix.few_seeds,
        against=matrix.against,
        near=matrix.near,
        training=matrix.training,
        learned=tuple((name, text) for name, text in learned if text),
        tasks=tuple(tasks),
        comparison=comparison(rows, worths, matrix.counts, matrix.seeds, matrix.against, matrix.near),
        versions=(("damoos", __version__), *((name, metadata.version(name)) for name in ("optuna", "numpy"))),
        refusals=tuple((refusal.strategy, refusal.env, refusal.reason) for refusal in matrix.refusals),
    )


def read_results(path: Path) -> Results:
    """What a results.json has. Raises ConfigError."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or tree.pop("format", None) != FORMAT:
            raise ConfigError("not results of `damoos bench`", allowed=f"format {FORMAT}")
        found: Results = from_plain(Results, tree, "results")
        return found
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", file=path, line=error.lineno) from None
    except ConfigError as error:
        raise error.at(file=path) from None


def markdown(results: Results) -> str:
    """The leaderboard as a page of Markdown."""
    found = results.comparison
    parts = [f"# {results.title}", "", results.description, "", *protocol(results), ""]
    parts += [caption(results), "", markdown_table(*leaderboard(results))]
    if found.timed and any(a.iqm != b.iqm for a, b in zip(found.figures, found.timed, strict=True)):
        parts += ["Within the workload time of so many runs without a scheme:", "", markdown_table(*timed(results))]
    parts += [
        f"Probability that a course ends better than one of `{results.against}` on the same task, 95 % intervals:",
        "",
        markdown_table(*improvements(results)),
        f"By task, after {results.budget} runs: what is reached / best (interquartile mean over seeds).",
        "",
        markdown_table(*by_task(results)),
    ]
    if found.left_out:
        parts += [f"Left out, since nothing known there is better than no scheme: {', '.join(found.left_out)}.", ""]
    return "\n".join(parts)


def caption(results: Results) -> str:
    """What the leaderboard's columns are."""
    near = _percent(results.near)
    return (
        "After so many runs: interquartile mean of score / best over tasks and seeds (share of pairs that reached "
        f"{near} of the best). Intervals: 95 %, stratified bootstrap over seeds. Runs to {near}: median over pairs, - "
        "where fewer than half get there. Slower, saved: runtime and RSS of what is named in the end, means. Thinking: "
        "real time a proposal, mean (the last proposal)."
    )


Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows."""


def protocol(results: Results) -> list[str]:
    """How it was measured, one sentence or two a line."""
    found = results.comparison
    tried = f" (a trial: {results.wanted_seeds} are asked for)" if found.seeds != results.wanted_seeds else ""
    searched = all(task.searched for task in results.tasks)
    judged = f"{results.judged_with} runs with seeds that no strategy sees"
    best = "from an exhaustive search" if searched else "that any course reached, where no search was made"
    lines = [
        f"- Time is {results.time_kind}, backend `{results.backend}`. {len(results.tasks)} tasks, "
        f"{found.seeds} seeds{tried}{': ' + results.few_seeds if results.few_seeds else ''}, {results.budget} runs a "
        f"course, {results.repeats} a trial. The run without a scheme counts, and nothing is given in advance.",
        f"- After n runs the feasible point with the highest score so far is judged by {judged}; a point that breaks a "
        f"limit there is worth -20, no scheme 0. Best is the best known worth {best}.",
    ]
    lines += [f"- `{name}` learned in advance from {text}." for name, text in results.learned]
    for name, reason in dict.fromkeys((name, reason) for name, _, reason in results.refusals):
        envs = ", ".join(env for other, env, why in results.refusals if (other, why) == (name, reason))
        lines.append(
            f"- `{name}` leaves {envs} out: {reason}. Its figures are over the other tasks, and it stands last."
        )
    if results.training:
        lines.append(f"- Workloads for training, none of them evaluated on: {', '.join(results.training)}.")
    versions = ", ".join(f"{name} {version}" for name, version in results.versions)
    return [*lines, f"- Reproduce: `{results.command}` ({versions})."]


def leaderboard(results: Results) -> Table:
    """The strategies, best first."""
    near = f"runs to {_percent(results.near)}"
    head = ["strategy", *map(str, results.counts), near, "slower, %", "saved, %", "thinking, ms"]
    rows = []
    for name in results.ranking():
        speed = results.speed(name)
        cells = [_cell(results.figure(name, count), count == results.budget) for count in results.counts]
        needed = "-" if speed.median is None else f"{speed.median:.3g}"
        trade = ["-" if x is None else f"{x:.1f}" for x in (speed.slower_percent, speed.saved_percent)]
        rows.append([_named(results, name), *cells, needed, *trade, f"{speed.ask_ms:.0f} ({speed.ask_last_ms:.0f})"])
    return head, rows


def overview(results: Results) -> Table:
    """The same without intervals, for narrow places, and without marks of Markdown."""
    head, rows = leaderboard(results)
    cut = [[re.sub(r" \[.*?\]", "", cell.replace("`", "")) for cell in row] for row in rows]
    rest = (title.replace(",", "") for title in head[len(results.counts) + 1 :])
    return ["strategy", *(f"{count} runs" for count in results.counts), *rest], cut


def timed(results: Results) -> Table:
    """The same within workload time, and what a whole course took."""
    head = ["strategy", *map(str, results.counts), f"a course, s ({results.time_kind})"]
    rows = []
    for name in results.ranking():
        cells = [_cell(f, f.runs == results.budget) for f in results.comparison.timed if f.strategy == name]
        rows.append([_named(results, name), *cells, f"{results.speed(name).workload_time_s:.0f}"])
    return head, rows


def improvements(results: Results) -> Table:
    """Each strategy against one."""
    rows = []
    for name in results.ranking():
        ours = [i for count in results.counts if (i := results.improvement(name, count)) is not None]
        if ours:
            rows.append([_named(results, name), *(f"{i.probability:.2f} ({i.low:.2f} to {i.high:.2f})" for i in ours)])
    return ["strategy", *map(str, results.counts)], rows


def by_task(results: Results) -> Table:
    """Each strategy on each task."""
    ranking = results.ranking()
    of_best = {(f.task, f.strategy): f"{f.of_best:.2f}" for f in results.comparison.by_task}
    rows = [
        [task.name, f"{task.best:.1f}", *(of_best.get((task.name, name), "-") for name in ranking)]
        for task in results.tasks
        if task.name in results.comparison.tasks
    ]
    return ["task", "best score", *(f"`{name}`" for name in ranking)], rows


def _rounded(value: Any) -> Any:
    """Five decimals are more than any interval here."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _named(results: Results, strategy: str) -> str:
    there, counted = results.nr_tasks(strategy), len(results.comparison.tasks)
    return f"`{strategy}`" if there == counted else f"`{strategy}` ({there} of {counted} tasks)"


def _cell(figure: Figure, last: bool) -> str:
    interval = f" [{figure.iqm_low:.2f}, {figure.iqm_high:.2f}]" if last else ""
    return f"{figure.iqm:.2f}{interval} ({figure.share:.2f})"
