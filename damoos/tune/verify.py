"""The second look: is what the search found any good with seeds that it never saw?

The best of many noisy trials looks better than it is. So the best few go to a round with new seeds, which names the
winner, and the winner, once named, is measured with other new seeds beside the baseline and the documented example.
Differences are taken between runs of the same seed, intervals are Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from damoos.damon.damo_format import from_damo, to_damo
from damoos.damon.kdamonds import Kdamonds

from .objective import Objective, mean
from .outcome import Comparison, Interval, Run, Trial, Verification, VerifiedScheme
from .seeds import Stream, run_seeds
from .statistics import CONFIDENCE, t_interval
from .trial import Measure

FINALISTS = 5
FINAL_SEEDS = 6
VERIFY_SEEDS = 10
WORTHWHILE = 0.5
"""A score, or a difference of scores, below this is not worth a scheme: 1 % of memory at equal weights."""

NO_SCHEME, DOCUMENTED, FOUND = "no scheme", "documented", "found"


@dataclass(frozen=True)
class Verdict:
    """What verification comes to. `best`: the winner's trial; `recommended`: label of what to deploy."""

    best: int | None
    recommended: str
    verification: Verification | None


def nr_runs(trials: Sequence[Trial]) -> int:
    """How many runs `verify` takes at most."""
    return (1 + len(finalists(trials))) * FINAL_SEEDS + 3 * VERIFY_SEEDS


def finalists(trials: Sequence[Trial]) -> list[Trial]:
    """The best few feasible trials by mean score, best first; of equal configurations the first only."""
    feasible = [t for t in trials if t.state == "complete" and t.feasible and t.score is not None]
    ranked = sorted(feasible, key=lambda t: (-(t.score or 0.0), t.number))
    different = [t for i, t in enumerate(ranked) if all(t.kdamonds != other.kdamonds for other in ranked[:i])]
    return different[:FINALISTS]


def verify(
    measure: Measure, objective: Objective, trials: Sequence[Trial], documented: Kdamonds, study_seed: int
) -> Verdict:
    """Names the winner and compares it with no scheme and the documented example. Raises BackendError."""
    candidates = finalists(trials)
    if not candidates:
        return Verdict(None, NO_SCHEME, None)
    final_seeds = run_seeds(study_seed, Stream.FINAL, FINAL_SEEDS)
    final_base = measure(None, final_seeds)
    means: dict[int, float] = {}
    excess: dict[int, float] = {}
    for trial in candidates:
        runs = measure(from_damo(trial.kdamonds), final_seeds)
        repeats = [objective.repeat(run, base) for run, base in zip(runs, final_base, strict=True)]
        means[trial.number] = mean([r.score for r in repeats])
        excess[trial.number] = objective.excess_percent(repeats)
    # One over the limit only if all are, then the one nearest to it.
    winner = min(candidates, key=lambda t: (max(excess[t.number], 0.0), -means[t.number], t.number))

    seeds = run_seeds(study_seed, Stream.VERIFY, VERIFY_SEEDS)
    base = measure(None, seeds)
    example = to_damo(documented)
    number = next((t.number for t in trials if t.kdamonds == example), None)
    schemes = [_verified(measure, objective, DOCUMENTED, number, example, base)]
    if winner.kdamonds != example:
        schemes.append(_verified(measure, objective, FOUND, winner.number, winner.kdamonds, base))
    comparisons = _comparisons(schemes)
    recommended, words = _verdict(schemes, comparisons, objective)
    return Verdict(
        best=winner.number,
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
        ),
    )


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
    )


def _comparisons(schemes: Sequence[VerifiedScheme]) -> tuple[Comparison, ...]:
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
    schemes: Sequence[VerifiedScheme], comparisons: Sequence[Comparison], objective: Objective
) -> tuple[str, str]:
    """The label of what to deploy, and why, in words."""
    good = {s.label: s for s in schemes if s.feasible and _worthwhile(s.score)}
    if not good:
        return NO_SCHEME, f"Nothing helps: {_why_not(schemes[-1], objective)} Run without a scheme."
    best = good.get(FOUND) or good[DOCUMENTED]
    gain = f"{_effect(best)} (score {_with_interval(best.score)})"
    if len(schemes) == 1:
        return DOCUMENTED, f"The documented example is the best that was found: {gain}."
    against = comparisons[-1].difference
    if best.label == DOCUMENTED:
        return DOCUMENTED, f"The documented example helps, what was found does not: {gain}."
    if comparisons[-1].better:
        return FOUND, f"Found: {gain}, {against.mean:.2f} better than the documented example."
    if DOCUMENTED in good and against.mean < 0:
        known = good[DOCUMENTED]
        effect = f"{_effect(known)} (score {_with_interval(known.score)})"
        return DOCUMENTED, f"What was found is not better than the documented example, which gives {effect}."
    return FOUND, (
        f"Found: {gain}. That it is better than the documented example is not certain "
        f"(difference {_with_interval(against)})."
    )


def _why_not(scheme: VerifiedScheme, objective: Objective) -> str:
    if not scheme.feasible:
        slower = scheme.runtime_overhead_percent.mean
        return (
            f"the best scheme makes the program {slower:.1f} % slower, over the limit of {objective.limit_percent:g} %."
        )
    return f"the best scheme scores {_with_interval(scheme.score)}, and less than {WORTHWHILE:g} is not worth it."


def _effect(scheme: VerifiedScheme) -> str:
    memory, time = scheme.rss_overhead_percent.mean, scheme.runtime_overhead_percent.mean
    return f"{abs(memory):.1f} % {'less' if memory < 0 else 'more'} memory, {abs(time):.1f} % " + (
        "longer runtime" if time >= 0 else "shorter runtime"
    )


def _with_interval(interval: Interval) -> str:
    return f"{interval.mean:.2f}, {100 * CONFIDENCE:.0f} % interval {interval.low:.2f} to {interval.high:.2f}"
