"""The second look: is what the search found any good with seeds that it never saw?

The best of many noisy trials looks better, and more surely within the limit of the runtime overhead, than it is. So
the best few go to a final with new seeds, which names the winner: the best of those that keep the limits with
confidence. If none does, the next few follow. The winner is measured with other new seeds beside the baseline and the
documented example. Differences are taken between runs of the same seed, intervals are Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from damoos.damon.damo_format import from_damo, to_damo
from damoos.damon.kdamonds import Kdamonds
from damoos.errors import WorkloadError

from .effort import SIMULATED, Effort
from .metrics import METRICS
from .objective import Objective, mean
from .outcome import Comparison, Interval, Run, Trial, Verification, VerifiedScheme
from .seeds import Stream, run_seeds
from .statistics import CONFIDENCE, t_interval
from .trial import Measure

LIMIT_CONFIDENCE = 0.9
"""Of the two-sided interval whose upper end must keep the limit: 95 % on that side."""
WORTHWHILE = 0.5
"""A score, or a difference of scores, below this is not worth a scheme: 1 % of memory at equal weights."""

NO_SCHEME, DOCUMENTED, FOUND = "no scheme", "documented", "found"
NAMES = {DOCUMENTED: "the documented example", FOUND: "what was found"}


@dataclass(frozen=True)
class Verdict:
    """What verification comes to. `best`: the winner's trial, None if no trial kept the limit; `recommended`: label of
    what to deploy."""

    best: int | None
    recommended: str
    verification: Verification


def nr_runs(trials: Sequence[Trial], effort: Effort = SIMULATED) -> int:
    """How many runs `verify` takes unless the final goes into further rounds or the default wins."""
    finalists = min(len(ranking(trials)), effort.finalists)
    return (1 + finalists) * effort.final_seeds + (3 if finalists else 2) * effort.verify_seeds


def ranking(trials: Sequence[Trial]) -> list[Trial]:
    """The feasible trials by mean score, best first; of equal configurations the first only."""
    feasible = [t for t in trials if t.state == "complete" and t.feasible and t.score is not None]
    ranked = sorted(feasible, key=lambda t: (-(t.score or 0.0), t.number))
    return [t for i, t in enumerate(ranked) if all(t.kdamonds != other.kdamonds for other in ranked[:i])]


def verify(
    measure: Measure,
    objective: Objective,
    trials: Sequence[Trial],
    documented: Kdamonds,
    study_seed: int,
    effort: Effort = SIMULATED,
    measure_found: Measure | None = None,
) -> Verdict:
    """Names the winner and compares it with no scheme and the documented example.

    `measure_found`: how trials are measured where that is another way, so that the same kdamonds are not the same.
    A scheme under which the workload fails is out. Raises BackendError; WorkloadError only of the baseline.
    """
    ranked = ranking(trials)
    measured = measure if measure_found is None else measure_found
    final_seeds = run_seeds(study_seed, Stream.FINAL, effort.final_seeds if ranked else 0)
    winner, means = _final(measured, objective, ranked, final_seeds, effort) if ranked else (None, {})

    seeds = run_seeds(study_seed, Stream.VERIFY, effort.verify_seeds)
    base = measure(None, seeds)
    example = to_damo(documented)
    is_trial = measure_found is None
    number = next((t.number for t in trials if is_trial and t.kdamonds == example), None)
    compared = [(DOCUMENTED, number, example, measure)]
    if winner is not None and not (is_trial and winner.kdamonds == example):
        compared.append((FOUND, winner.number, winner.kdamonds, measured))
    schemes, failures = [], {}
    for label, trial, tree, by in compared:
        try:
            schemes.append(_verified(by, objective, label, trial, tree, base))
        except WorkloadError as error:
            failures[label] = str(error)
    comparisons = _comparisons(schemes)
    recommended, words = _verdict(schemes, comparisons, objective, failures)
    return Verdict(
        best=None if winner is None else winner.number,
        recommended=recommended,
        verification=Verification(
            finalist_seeds=final_seeds,
            finalists={str(k): v for k, v in means.items()},
            seeds=seeds,
            baseline_runtime_s=t_interval([run.runtime_s for run in base]),
            baseline_rss_mean_bytes=t_interval([run.rss_mean_bytes for run in base]),
            schemes=tuple(schemes),
            comparisons=comparisons,
            helps=recommended != NO_SCHEME,
            verdict=words,
            baseline_metric=_metric(base),
        ),
    )


def _final(
    measure: Measure, objective: Objective, ranked: Sequence[Trial], seeds: Sequence[int], effort: Effort
) -> tuple[Trial | None, dict[int, float]]:
    """The winner, and the mean score of each finalist by trial number; without those whose workload failed."""
    base = measure(None, seeds)
    means: dict[int, float] = {}
    risk: dict[int, float] = {}
    for first in range(0, min(len(ranked), effort.finalists * effort.rounds), effort.finalists):
        for trial in ranked[first : first + effort.finalists]:
            try:
                runs = measure(from_damo(trial.kdamonds), seeds)
                repeats = [objective.repeat(run, b) for run, b in zip(runs, base, strict=True)]
            except WorkloadError:
                continue
            means[trial.number] = mean([r.score for r in repeats])
            past = [t_interval(values, LIMIT_CONFIDENCE).high for values in objective.excesses(repeats).values()]
            risk[trial.number] = max(*past, 0.0)
        if 0.0 in risk.values():
            break
    finalists = [trial for trial in ranked if trial.number in means]
    # Without a safe one, the one that comes nearest to the limit.
    return min(finalists, key=lambda t: (risk[t.number], -means[t.number], t.number), default=None), means


def _verified(
    measure: Measure, objective: Objective, label: str, trial: int | None, tree: dict[str, Any], base: Sequence[Run]
) -> VerifiedScheme:
    runs = measure(from_damo(tree), [run.seed for run in base])
    repeats = tuple(objective.repeat(run, b) for run, b in zip(runs, base, strict=True))
    return VerifiedScheme(
        label=label,
        trial=trial,
        kdamonds=tree,
        score=t_interval([r.score for r in repeats]),
        runtime_overhead_percent=t_interval([r.runtime_overhead_percent for r in repeats]),
        rss_overhead_percent=t_interval([r.rss_overhead_percent for r in repeats]),
        runtime_s=t_interval([run.runtime_s for run in runs]),
        rss_mean_bytes=t_interval([run.rss_mean_bytes for run in runs]),
        feasible=objective.excess_percent(repeats) <= 0,
        repeats=repeats,
        metric=_metric(runs),
    )


def _metric(runs: Sequence[Run]) -> Interval | None:
    given = [run.metric for run in runs if run.metric is not None]
    return t_interval(given) if given and len(given) == len(runs) else None


def _comparisons(schemes: Sequence[VerifiedScheme]) -> tuple[Comparison, ...]:
    if not schemes:
        return ()
    found = schemes[-1]
    compared = [Comparison(found.label, NO_SCHEME, found.score, _worthwhile(found.score))]
    for other in schemes[:-1]:
        pairs = zip(found.repeats, other.repeats, strict=True)
        difference = t_interval([a.score - b.score for a, b in pairs])
        compared.append(Comparison(found.label, other.label, difference, difference.low > 0))
    return tuple(compared)


def _worthwhile(score: Interval) -> bool:
    return score.low > 0 and score.mean >= WORTHWHILE


def _verdict(
    schemes: Sequence[VerifiedScheme],
    comparisons: Sequence[Comparison],
    objective: Objective,
    failures: Mapping[str, str],
) -> tuple[str, str]:
    """The label of what to deploy, and why, in words."""
    good = {s.label: s for s in schemes if s.feasible and _worthwhile(s.score)}
    failed = "".join(f" Under {NAMES[label]} the workload failed: {error}." for label, error in failures.items())
    if not good:
        why = _why_not(schemes[-1], objective) if schemes else "no scheme could be verified."
        return NO_SCHEME, f"Nothing helps: {why}{failed} Run without a scheme."
    found, best = schemes[-1], good.get(FOUND) or good[DOCUMENTED]
    gain = f"{_effect(best, objective)} (score {_with_interval(best.score)})"
    if failures:
        return best.label, f"{'Found' if best.label == FOUND else 'Only the documented example helps'}: {gain}.{failed}"
    if len(schemes) == 1:
        return DOCUMENTED, f"Nothing better than the documented example was found: {gain}."
    against = comparisons[-1].difference
    if best.label == DOCUMENTED:
        return (
            DOCUMENTED,
            f"Only the documented example helps: {gain}. What was found does not: {_why_not(found, objective)}",
        )
    if comparisons[-1].better:
        return FOUND, f"Found: {gain}, {against.mean:.2f} better than the documented example."
    if DOCUMENTED in good and against.mean < 0:
        known = good[DOCUMENTED]
        effect = f"{_effect(known, objective)} (score {_with_interval(known.score)})"
        return DOCUMENTED, f"What was found is not better than the documented example, which gives {effect}."
    return FOUND, (
        f"Found: {gain}. That it is better than the documented example is not certain "
        f"(difference {_with_interval(against)})."
    )


def _why_not(scheme: VerifiedScheme, objective: Objective) -> str:
    past = {text: mean(values) for text, values in objective.excesses(scheme.repeats).items()}
    worst = max(past, key=lambda text: past[text])
    if past[worst] > 0 and worst in (constraint.text for constraint in objective.constraints):
        return f"the best scheme does not keep {worst}, by {past[worst]:.1f} %."
    if not scheme.feasible:
        slower = scheme.runtime_overhead_percent.mean
        what = "makes the program" if objective.speed == "runtime" else "makes the metric"
        how = "slower" if objective.speed == "runtime" else "worse"
        return f"the best scheme {what} {slower:.1f} % {how}, over the limit of {objective.limit_percent:g} %."
    return f"the best scheme scores {_with_interval(scheme.score)}, and less than {WORTHWHILE:g} is not worth it."


def _effect(scheme: VerifiedScheme, objective: Objective) -> str:
    if objective.kind == "metric":
        metric = METRICS[objective.metrics[0]]
        return f"{metric.title}: {scheme.score.mean if metric.higher else -scheme.score.mean:.2f}"
    memory, time = scheme.rss_overhead_percent.mean, scheme.runtime_overhead_percent.mean
    saved = f"{abs(memory):.1f} % {'less' if memory < 0 else 'more'} memory"
    if objective.speed == "none":
        return saved
    if objective.speed == "runtime":
        return f"{saved}, {abs(time):.1f} % {'longer' if time >= 0 else 'shorter'} runtime"
    return f"{saved}, a metric that is {abs(time):.1f} % {'worse' if time >= 0 else 'better'}"


def _with_interval(interval: Interval) -> str:
    return f"{interval.mean:.2f}, {100 * CONFIDENCE:.0f} % interval {interval.low:.2f} to {interval.high:.2f}"
