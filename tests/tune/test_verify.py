"""Verification: fresh seeds, no winner's curse, honest verdicts, SciPy's numbers."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from damoos.damon.damo_format import to_damo
from damoos.damon.kdamonds import DOCUMENTED_PAGEOUT, Kdamonds
from damoos.damon.schemes import AccessPattern, Action, Range, Scheme
from damoos.tune.objective import Objective, mean
from damoos.tune.outcome import Run, Trial
from damoos.tune.request import StudyRequest
from damoos.tune.seeds import Stream, run_seeds
from damoos.tune.study import run_study
from damoos.tune.verify import DOCUMENTED, FOUND, NO_SCHEME, Verdict, ranking, verify

DOCUMENTED_KDAMONDS = Kdamonds.of(schemes=[DOCUMENTED_PAGEOUT])
BASE = Run(0, 100.0, 100e6, 100_000_000, 0, 0, 0, 0.0)


def scheme(age: int) -> Kdamonds:
    return Kdamonds.of(schemes=[Scheme(Action.PAGEOUT, AccessPattern(age=Range(age, age)))])


def trial(number: int, kdamonds: Kdamonds, score: float | None, feasible: bool = True) -> Trial:
    return Trial(
        number=number,
        state="complete" if score is not None else "failed",
        params={},
        params_text={},
        kdamonds=to_damo(kdamonds),
        score=score,
        values=(),
        feasible=feasible,
        runtime_overhead_percent=None,
        rss_overhead_percent=None,
        repeats=(),
    )


class Machine:
    """Runs with a true effect each, percent of runtime and RSS, and noise; remembers who ran with which seeds."""

    def __init__(self, effects: dict[Kdamonds, tuple[float, float]], noise: float = 0.2) -> None:
        self.effects, self.noise = effects, noise
        self.seen: list[tuple[Kdamonds | None, tuple[int, ...]]] = []

    def __call__(self, kdamonds: Kdamonds | None, seeds: Sequence[int]) -> tuple[Run, ...]:
        self.seen.append((kdamonds, tuple(seeds)))
        runs = []
        for seed in seeds:
            shared = np.random.default_rng(seed).normal(1, 0.1)
            runtime, rss = (0.0, 0.0) if kdamonds is None else self.effects[kdamonds]
            if kdamonds is not None:
                index = list(self.effects).index(kdamonds)
                runtime += np.random.default_rng([seed, index]).normal(0, self.noise)
            runs.append(
                dataclasses.replace(
                    BASE,
                    seed=seed,
                    runtime_s=100 * shared * (1 + runtime / 100),
                    rss_mean_bytes=1e8 * shared * (1 + rss / 100),
                )
            )
        return tuple(runs)


def judged(
    effects: dict[Kdamonds, tuple[float, float]], trials: Sequence[Trial], **noise: float
) -> tuple[Verdict, Machine]:
    machine = Machine({DOCUMENTED_KDAMONDS: (1.0, -10.0)} | effects, **noise)
    return verify(machine, Objective(limit_percent=10), trials, DOCUMENTED_KDAMONDS, 1), machine


def test_a_better_scheme_is_recommended() -> None:
    verdict, _ = judged({scheme(1): (2.0, -40.0)}, [trial(0, DOCUMENTED_KDAMONDS, 4.5), trial(1, scheme(1), 19.0)])
    assert verdict.best == 1 and verdict.recommended == FOUND
    found = verdict.verification.schemes[1]
    assert found.score.mean == pytest.approx(19, abs=0.3) and found.score.low < 19 < found.score.high
    assert verdict.verification.comparisons[-1].difference.mean == pytest.approx(14.5, abs=0.3)
    assert "40.0 % less memory" in verdict.verification.verdict


def test_the_lucky_one_does_not_win() -> None:
    lucky, good = scheme(1), scheme(2)
    verdict, _ = judged({lucky: (2.0, -5.0), good: (2.0, -30.0)}, [trial(0, lucky, 30.0), trial(1, good, 14.0)])
    assert verdict.best == 1


def test_one_that_looked_feasible_gives_way() -> None:
    fast, slow = scheme(1), scheme(2)
    verdict, _ = judged({fast: (5.0, -30.0), slow: (12.0, -60.0)}, [trial(0, slow, 26.0), trial(1, fast, 12.5)])
    assert verdict.best == 1 and verdict.recommended == FOUND


def test_the_winner_keeps_the_limit_with_confidence_even_if_many_better_ones_might_not() -> None:
    # Twelve that are just over the limit but looked feasible, and a slower saver that is safe.
    risky = {scheme(i): (10.3, -60.0 - i) for i in range(2, 14)}
    trials = [trial(i, kdamonds, 25.0 + i) for i, kdamonds in enumerate(risky, 1)]
    verdict, machine = judged(risky | {scheme(1): (8.0, -40.0)}, [*trials, trial(20, scheme(1), 16.0)], noise=0.6)
    assert verdict.best == 20 and verdict.recommended == FOUND
    assert len([kdamonds for kdamonds, _ in machine.seen if kdamonds in risky]) == 12


def test_without_a_safe_one_the_final_ends_and_says_so() -> None:
    risky = {scheme(i): (10.2 + i, -60.0) for i in range(1, 40)}
    trials = [trial(i, kdamonds, 25.0) for i, kdamonds in enumerate(risky, 1)]
    verdict, machine = judged(risky, trials, noise=0.01)
    assert verdict.best == 1 and verdict.recommended == DOCUMENTED
    assert "11.2 % slower, over the limit of 10 %" in verdict.verification.verdict
    assert len({kdamonds for kdamonds, _ in machine.seen if kdamonds in risky}) == 20


@pytest.mark.parametrize(
    ("effect", "word"),
    [((0.0, 0.0), "scores"), ((3.0, 0.0), "scores"), ((0.0, -0.6), "not worth it"), ((30.0, -90.0), "over the limit")],
)
def test_nothing_helps_is_said(effect: tuple[float, float], word: str) -> None:
    machine = Machine({DOCUMENTED_KDAMONDS: (2.0, 0.0), scheme(1): effect})
    verdict = verify(machine, Objective(limit_percent=10), [trial(3, scheme(1), 5.0)], DOCUMENTED_KDAMONDS, 1)
    assert verdict.recommended == NO_SCHEME and verdict.best == 3
    assert not verdict.verification.helps
    text = verdict.verification.verdict
    assert text.startswith("Nothing helps") and word in text and text.endswith("Run without a scheme.")


def test_noise_alone_is_no_gain() -> None:
    wrong = 0
    for seed in range(40):
        machine = Machine({DOCUMENTED_KDAMONDS: (0.0, 0.0), scheme(1): (0.0, 0.0)}, noise=20.0)
        verdict = verify(machine, Objective(limit_percent=90), [trial(1, scheme(1), 9.0)], DOCUMENTED_KDAMONDS, seed)
        wrong += verdict.recommended != NO_SCHEME
    # Two schemes, each above 0 by chance in one of forty.
    assert wrong <= 6


def test_when_the_documented_example_wins_it_is_recommended() -> None:
    trials = [trial(0, DOCUMENTED_KDAMONDS, 4.5), trial(1, scheme(1), 1.0)]
    verdict, _ = judged({scheme(1): (1.0, -3.0)}, trials)
    assert verdict.best == 0 and verdict.recommended == DOCUMENTED
    assert len(verdict.verification.schemes) == 1 and "Nothing better" in verdict.verification.verdict


def test_a_winner_that_is_worse_than_the_documented_example_is_not_recommended() -> None:
    verdict, _ = judged({scheme(1): (1.0, -6.0)}, [trial(1, scheme(1), 9.0)])
    assert verdict.best == 1 and verdict.recommended == DOCUMENTED


def test_a_difference_within_the_noise_is_called_uncertain() -> None:
    verdict, _ = judged({scheme(1): (0.9, -10.3)}, [trial(1, scheme(1), 9.0)], noise=4.0)
    assert not verdict.verification.comparisons[-1].better


def test_without_a_feasible_trial_there_is_no_winner() -> None:
    trials = [trial(0, DOCUMENTED_KDAMONDS, 30.0, feasible=False), trial(1, scheme(2), None)]
    machine = Machine({DOCUMENTED_KDAMONDS: (30.0, -80.0)})
    verdict = verify(machine, Objective(limit_percent=10), trials, DOCUMENTED_KDAMONDS, 1)
    assert verdict.best is None and verdict.recommended == NO_SCHEME and verdict.verification.finalists == {}
    assert "30.0 % slower, over the limit of 10 %" in verdict.verification.verdict
    assert len(machine.seen) == 2


def test_seeds_are_fresh_and_paired() -> None:
    trials = [trial(i, scheme(i + 1), 10.0 - i) for i in range(8)]
    _, machine = judged({scheme(i + 1): (1.0, -20.0 + i) for i in range(8)}, trials)
    by_seeds: dict[tuple[int, ...], list[Kdamonds | None]] = {}
    for kdamonds, seeds in machine.seen:
        by_seeds.setdefault(seeds, []).append(kdamonds)
    final, fresh = by_seeds
    assert by_seeds[final] == [None, *(scheme(i + 1) for i in range(5))]
    assert by_seeds[fresh] == [None, DOCUMENTED_KDAMONDS, scheme(1)]
    searched = set(run_seeds(1, Stream.SEARCH, 100))
    assert not set(final) & set(fresh) and not searched & {*final, *fresh}


def test_equal_configurations_take_one_place() -> None:
    trials = [trial(0, scheme(1), 5.0), trial(1, scheme(1), 5.0), trial(2, scheme(2), 4.0), trial(3, scheme(3), None)]
    assert [t.number for t in ranking(trials)] == [0, 2]


def test_intervals_are_the_paired_t_tests(request_of: Callable[..., StudyRequest]) -> None:
    verification = run_study(request_of(trials=25)).verification
    assert verification is not None
    documented, found = verification.schemes
    assert [r.run.seed for r in documented.repeats] == [r.run.seed for r in found.repeats] == list(verification.seeds)
    a, b = ([r.score for r in s.repeats] for s in (found, documented))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    difference = verification.comparisons[-1].difference
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert found.score.mean == pytest.approx(mean(a))


def test_a_flat_landscape_ends_in_no_scheme(request_of: Callable[..., StudyRequest]) -> None:
    outcome = run_study(request_of(backend="fake:flat"))
    assert outcome.verification is not None and outcome.verification.verdict.startswith("Nothing helps")
    assert outcome.recommended["kdamonds"][0]["contexts"][0]["schemes"] == []
