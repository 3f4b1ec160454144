"""What a study found in words and rows of text; the terminal and the page say the same."""

from __future__ import annotations

import shlex
from typing import Any

from damoos.damon.damo_format import from_damo
from damoos.damon.describe import describe
from damoos.tune.outcome import Interval, Outcome, VerifiedScheme

from . import numbers

FAILURES = {
    "refused": "refused by the kernel",
    "setup": "could not be set up",
    "workload": "with a workload that failed",
    "backend": "for other reasons",
}
"""`Trial.error_kind` in words."""
STOPPED = {"too slow": "too slow", "no final": "below what goes to the final"}
"""`Stopped.why` in words."""
FOUND_ON = {
    "simulated": "Found on a simulator: measure on your machine before you rely on it. ",
    "virtual": "Found in a virtual machine: measure on your machine before you rely on it. ",
}
"""What comes before advice, by kind of time."""
UNVERIFIED = "Nothing to recommend: no trial stayed within the limit of the runtime overhead."


def headline(outcome: Outcome) -> str:
    """The verdict, in one or two sentences."""
    return UNVERIFIED if outcome.verification is None else outcome.verification.verdict


def found_scheme(outcome: Outcome) -> VerifiedScheme | None:
    """The verified figures of the study's winner, whether or not it helps; None if nothing was verified."""
    if outcome.verification is None:
        return None
    return next((scheme for scheme in outcome.verification.schemes if scheme.label == "found"), None)


def helps(outcome: Outcome) -> bool:
    """Whether there is something to deploy."""
    return outcome.verification is not None and outcome.verification.helps


def scores_name(outcome: Outcome) -> str:
    """What the score is, for an axis."""
    return "score" if outcome.objective.kind == "metric" else "DAMOOS score"


def speed_name(outcome: Outcome) -> str:
    """What speed is judged by: "runtime", or the workload's "metric"."""
    return "metric" if outcome.objective.speed in ("lower", "higher") else "runtime"


def overhead_name(outcome: Outcome) -> str:
    """What is called runtime overhead, for an axis."""
    return "runtime overhead" if speed_name(outcome) == "runtime" else "loss in the metric"


def speed_note(outcome: Outcome) -> str:
    """That nothing measures the speed, where nothing does; else empty."""
    return "runtime is not measured: --metric makes damoos watch speed" if outcome.objective.speed == "none" else ""


def change_note(outcome: Outcome) -> str:
    """How to read the column of the speed where it isn't the runtime's; else empty."""
    if speed_note(outcome):
        return f"{speed_note(outcome).capitalize()}."
    if speed_name(outcome) == "runtime":
        return ""
    return f"The metric's change is by how much it got worse; {outcome.objective.speed} is better."


def failures(outcome: Outcome) -> str:
    """How many trials failed and whose failure it was; empty if none did."""
    failed = [trial.error_kind for trial in outcome.trials if trial.state == "failed"]
    kinds = sorted({kind for kind in failed if kind is not None})
    parts = ", ".join(f"{failed.count(kind)} {FAILURES.get(kind, kind)}" for kind in kinds)
    return "" if not failed else f"{len(failed)} ({parts})" if parts else str(len(failed))


def trials(outcome: Outcome) -> str:
    """How many trials there were, and how many of them had short or fewer runs."""
    short = sum(trial.state == "partial" for trial in outcome.trials)
    return f"{len(outcome.trials)} trials" + (f", {short} of them short" if short else "")


def stopped(outcome: Outcome) -> str:
    """How many trials were stopped early and why; empty if none was."""
    why = [trial.stopped.why for trial in outcome.trials if trial.stopped is not None]
    parts = ", ".join(f"{why.count(kind)} {STOPPED[kind]}" for kind in STOPPED if kind in why)
    return f"{len(why)} ({parts})" if why else ""


def interval(value: Interval, *, sign: bool = False) -> str:
    """Mean ± the larger half of the confidence interval, two decimals."""
    half = max(value.high - value.mean, value.mean - value.low)
    mean = f"{value.mean:+.2f}" if sign else f"{value.mean:.2f}"
    return f"{mean} ± {half:.2f}"


def percent_interval(value: Interval) -> str:
    """A change in percent ± the larger half of its confidence interval, without the unit."""
    half = max(value.high - value.mean, value.mean - value.low)
    decimals = 2 if abs(value.mean) < 9.95 or half < 0.05 else 1
    mean = f"{value.mean:+.{decimals}f}"
    if float(mean) == 0:
        mean = mean.lstrip("+-")
    return f"{mean} ± {half:.{decimals}f}"


def verified_rows(outcome: Outcome) -> list[list[str]]:
    """Rows of the verification: scheme, score, runtime, its change in %, mean RSS, its change in %; no scheme first.

    A workload's metric takes the place of the runtime; a change that nothing measures is "-".
    """
    checked = outcome.verification
    if checked is None:
        return []
    baseline = [
        "no scheme",
        "" if outcome.objective.kind == "metric" else "0.00",
        _speed(checked.baseline_runtime_s, checked.baseline_metric),
        "",
        numbers.size(checked.baseline_rss_mean_bytes.mean),
        "",
    ]
    return [baseline] + [
        [
            scheme.label if scheme.feasible else f"{scheme.label} ({_infeasible(outcome)})",
            interval(scheme.score),
            _speed(scheme.runtime_s, scheme.metric),
            "-" if speed_note(outcome) else percent_interval(scheme.runtime_overhead_percent),
            numbers.size(scheme.rss_mean_bytes.mean),
            percent_interval(scheme.rss_overhead_percent),
        ]
        for scheme in checked.schemes
    ]


def _infeasible(outcome: Outcome) -> str:
    return "past a limit" if outcome.objective.constraints else "too slow"


def _speed(runtime_s: Interval, metric: Interval | None) -> str:
    return numbers.seconds(runtime_s.mean) if metric is None else numbers.metric(metric.mean)


def comparisons(outcome: Outcome) -> list[str]:
    """The winner against each alternative, paired by seed, a sentence each."""
    if outcome.verification is None:
        return []
    return [
        f"{c.found} against {c.against}: score {c.difference.mean:+.2f} ({c.difference.low:+.2f} to "
        f"{c.difference.high:+.2f}), {'better' if c.better else 'not clearly better'}"
        for c in outcome.verification.comparisons
    ]


def scheme_rows(outcome: Outcome) -> list[list[str]]:
    """Rows of the winner's parameters: name, what it is, value, what was searched, where it goes; may be empty."""
    best = outcome.best_trial
    if best is None:
        return []
    rows = []
    for parameter in outcome.env.parameters:
        if parameter.name in best.params_text:
            searched = ", ".join(parameter.choices) or f"{parameter.low} to {parameter.high}"
            rows.append([parameter.name, parameter.title, best.params_text[parameter.name], searched, parameter.where])
    return rows


def scheme_in_words(outcome: Outcome) -> str:
    """The winner's whole configuration, over several lines; empty without winner."""
    best = outcome.best_trial
    return "" if best is None else describe(from_damo(best.kdamonds))


def deployment(outcome: Outcome, kdamonds_file: str = "best.json") -> list[str]:
    """How to use what was found: a sentence, then the commands."""
    if outcome.steered is not None:
        return [
            f"There is no scheme for damo to start: strategy {outcome.steered} changes it all the time, and the score "
            "is that of both together."
        ]
    file = shlex.quote(kdamonds_file)
    where = FOUND_ON.get(outcome.time_kind, "")
    if _needs_pid(outcome.recommended):
        return [
            f"{where}{kdamonds_file} is for any process: put its id in place of null, then start it with damo.",
            f"""sed 's/"pid": null/"pid": PID/' {file} > mine.json""",
            "sudo damo start --kdamonds mine.json",
        ]
    return [f"{where}{kdamonds_file} is what damo starts.", f"sudo damo start --kdamonds {file}"]


def _needs_pid(tree: dict[str, Any]) -> bool:
    return any(
        context["ops"] != "paddr" and any(target["pid"] is None for target in context["targets"])
        for kdamond in tree["kdamonds"]
        for context in kdamond["contexts"]
    )
