"""Every strategy keeps what strategies owe, and does what its document says."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from damoos.catalogue import find, names
from damoos.damon.kdamonds import Context, Kdamonds
from damoos.damon.modules import Reclaim
from damoos.damon.quotas import QuotaGoal, Quotas, Weights
from damoos.damon.schemes import ANYTHING, Action, Range, Scheme
from damoos.errors import ConfigError, InputError
from damoos.tune.asktell import ask, new_study, tell
from damoos.tune.preset import load_env
from damoos.tune.space import Space, Value
from damoos.tune.strategies import (
    STRATEGIES,
    damoos_polyfit,
    damoos_qlearning,
    damoos_simple,
    default,
    documented,
    find_strategy,
    gp,
    portfolio,
    refault_control,
)
from damoos.tune.strategies.base import Ask, Strategy
from damoos.tune.strategies.caution import lead_of
from damoos.tune.strategies.line import Tried, border_of, next_position, unimodal
from damoos.tune.strategies.seen import Seen
from damoos.tune.strategies.surrogate import Process, expected_improvement
from damoos.tune.strategies.table import renewed
from damoos.tune.testing import LINE, RATE, SPACES, STEPS, StrategyConformance, subject_of
from damoos.units import U32_MAX

REFERENCES = ("default", "documented", "agentenv", "agentenv-first", "hmsdk")
# Their points are laid out before there is any score, or are few.
LAID_OUT = ("random", "sobol", "grid", "damoos-simple", "damoos-qlearning", "damoos-qlearning-2021")
# The kernel searches, while a trial runs.
TUNERS = ("kernel-psi", "kernel-psi-temporal", "kernel-score", "kernel-memory", "kernel-intervals")
# It looks at what came back, which the conformance landscape does not say.
CONTROLLERS = ("refault-control",)
# On their linear scale the border of the conformance landscape is in the first hundredth.
LINEAR = ("damoos-polyfit", "damoos-multid", "damoos-pso")
OPTUNAS = ("random", "tpe", "nsga2", "nsga3")
DEAR = ("gp", "smac")


TIERS = Kdamonds.of(schemes=[Scheme(Action.MIGRATE_COLD, ANYTHING), Scheme(Action.MIGRATE_HOT, ANYTHING)])
TIERED = {
    name: Space(tuple(p for p in space.parameters if p.name != "action" and p.when is None), TIERS)
    for name, space in SPACES.items()
}


def _conformance(name: str) -> type[StrategyConformance]:
    found = find_strategy(name)

    class Conforms(StrategyConformance):
        strategy = found
        searches = name not in REFERENCES + LAID_OUT + LINEAR + TUNERS + CONTROLLERS
        may_repeat = name in OPTUNAS
        seeds = (0,) if name in DEAR else (0, 1, 2)
        dear = name in DEAR
        spaces = TIERED if name == "hmsdk" else SPACES

    Conforms.__name__ = Conforms.__qualname__ = "Test" + "".join(word.title() for word in name.split("-"))
    missing = [package for package, _ in found.needs if importlib.util.find_spec(package) is None]
    if missing:
        return pytest.mark.skip(reason=f"{', '.join(missing)} not installed")(Conforms)
    return pytest.mark.slow(Conforms) if name in DEAR else Conforms


for _name in STRATEGIES:
    _class = _conformance(_name)
    globals()[_class.__name__] = _class
del _class


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_name_is_the_strategys_own(name: str) -> None:
    assert find_strategy(name).name == name


@pytest.mark.parametrize("env", names("envs"))
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in DEAR])
def test_every_shipped_env_is_taken_or_refused(name: str, env: str) -> None:
    space, strategy = load_env(env).space, find_strategy(name)
    try:
        strategy.check(space, subject=True)
    except InputError as error:
        assert f"strategy {name}" in str(error)
        return
    space = strategy.space_in(space)
    subject = subject_of(space) if strategy.watches else None
    study = new_study()
    for number in range(12):
        trial, values = ask(study, strategy.make_sampler(Ask(space, 0, number, 12, subject)), space)
        assert space.read(space.kdamonds(values)).keys() == values.keys()
        tell(study, trial, [float(-number)], 1.0 - number % 2)


def test_only_schemes_for_unused_memory_lead() -> None:
    lead = lead_of(load_env("reclaim").space)
    assert lead is not None and lead.parameter.name == "min_age" and lead.sign == 1
    assert lead_of(load_env("monitoring").space) is None
    assert lead_of(load_env("ethp").space) is None


def test_the_table_in_the_documents_is_fresh() -> None:
    page = Path(__file__).parents[2] / "docs" / "strategies.md"
    assert renewed(page) == page.read_text(encoding="utf-8"), "python -m damoos.tune.strategies.table"


def test_the_documented_scheme_and_the_kernels_own() -> None:
    space = load_env("reclaim").space
    ask = Ask(space, seed=0, number=0, trials=1)
    assert documented.propose(ask, []) == space.defaults()
    # 120 s is more than the env allows.
    assert default.propose(ask, []) == space.defaults() | {"min_age": 60_000_000}


def test_a_tuner_of_the_kernel_runs_the_envs_scheme_with_a_goal() -> None:
    strategy, env = find_strategy("kernel-psi"), load_env("reclaim")
    own = strategy.env_in(env)
    assert own.objective == env.objective and own.name == env.name
    kdamonds = own.space.kdamonds({"stall": 2_000, "interval": 200_000})
    (scheme,) = kdamonds.context.schemes
    assert scheme.quotas.goals == (QuotaGoal("some_mem_psi_us", 2_000),) and scheme.quotas.reset_interval_ms == 200
    # The example's pattern but for its age, and everything else as there.
    (example,) = env.space.kdamonds(env.space.defaults()).context.schemes
    assert scheme.access_pattern == dataclasses.replace(example.access_pattern, age=Range(0, U32_MAX))
    assert kdamonds.with_schemes(()) == env.space.base.with_schemes(())
    with pytest.raises(InputError, match="strategy kernel-psi.*'hugepage, nohugepage'.*pageout"):
        strategy.check(load_env("ethp").space)


@pytest.mark.parametrize("name", TUNERS)
def test_a_ladder_is_tried_rung_by_rung_and_its_best_again(name: str) -> None:
    strategy = find_strategy(name)
    space = strategy.space_in(load_env("reclaim").space)
    seen: list[Seen] = []
    for number in range(8):
        values = propose_with(strategy, space, seen)
        seen.append(Seen(number, values, -abs(number - 1.0), -1.0, "complete"))
    tried = [trial.values for trial in seen]
    rungs = [values for i, values in enumerate(tried) if values not in tried[:i]]
    assert 3 <= len(rungs) <= 6 and tried == [*rungs, *([rungs[1]] * (8 - len(rungs)))]
    assert tried[0] == space.defaults()
    assert all(space.read(space.kdamonds(values)) == values for values in rungs)


def propose_with(strategy: Strategy, space: Space, seen: list[Seen]) -> dict[str, Value]:
    study = new_study()
    for trial in seen:
        told, _ = ask(study, strategy.make_sampler(Ask(space, 0, trial.number, 9)), space, trial.values)
        tell(study, told, [trial.score or 0.0], trial.excess)
    return ask(study, strategy.make_sampler(Ask(space, 0, len(seen), 9)), space)[1]


def test_the_kernels_tuner_of_tiers_aims_at_a_full_fast_node() -> None:
    space = find_strategy("kernel-memory").space_in(load_env("tiering").space)
    cold, hot = space.kdamonds(space.defaults()).context.schemes
    assert cold.quotas.goals == (QuotaGoal("node_mem_free_bp", 50),)
    assert hot.quotas.goals == (QuotaGoal("node_mem_used_bp", 9_970),)
    assert {scheme.quotas.bytes for scheme in (cold, hot)} == {200 << 20}


def test_an_envs_feed_stays_unless_the_strategy_has_its_own() -> None:
    env = load_env("reclaim-feedback")
    assert env.feed is not None
    kept, own = (find_strategy(name).env_in(env) for name in ("kernel-intervals", "kernel-score"))
    assert kept.feed == env.feed and env.feed.goal_of(kept.space.base) is not None
    assert own.feed is not None and own.feed.signal == "score" and own.feed.goal_of(own.space.base) is not None
    # A goal that the kernel measures itself is not fed.
    measured = find_strategy("kernel-psi").env_in(env)
    assert measured.feed is not None and measured.feed.goal_of(measured.space.base) is None


def test_published_configurations_run_as_they_were_published() -> None:
    reclaim = load_env("reclaim").space

    def context(name: str, space: Space) -> Context:
        own = find_strategy(name).space_in(space)
        assert own.parameters == ()
        return own.kdamonds({}).context

    (first,) = context("agentenv-first", reclaim).schemes
    assert first.quotas == Quotas(100, 1 << 30, 1_000, Weights(age_permil=1)) and first.access_pattern.age.min == 600
    (tuned,) = context("agentenv", reclaim).schemes
    assert tuned.quotas == Quotas(20, 1 << 30, 500, Weights(age_permil=1)) and tuned.access_pattern.age.min == 1
    moved = context("hmsdk", load_env("tiering").space)
    cold, hot = moved.schemes
    assert (cold.target_nid, hot.target_nid) == (1, 0) and moved.intervals.aggr_us == 2_000_000
    # 5 % of 20 samples; 30 s are 15 aggregations.
    assert hot.access_pattern.nr_accesses == Range(1, 20) and cold.access_pattern.age.min == 15
    assert (cold.quotas.ms, hot.quotas.ms, hot.quotas.bytes) == (1_000, 2_000, 50 << 30)
    with pytest.raises(InputError, match="strategy hmsdk.*pageout.*migrate_cold or migrate_hot"):
        find_strategy("hmsdk").check(reclaim)


def test_the_modules_own_quotas() -> None:
    space = load_env("reclaim-quota").space
    values = default.propose(Ask(space, seed=0, number=0, trials=1), [])
    (scheme,) = space.kdamonds(values).context.schemes
    # The env has weights for accesses of its own.
    module = Reclaim().kdamonds().context.schemes[0].quotas
    assert scheme.quotas == dataclasses.replace(module, weights=scheme.quotas.weights)
    assert scheme.quotas.weights.age_permil == 1_000


def test_the_refault_controller_raises_the_age_while_much_comes_back() -> None:
    space = load_env("reclaim").space
    seen: list[Seen] = []
    # Shares of what was paged out that came back; a broken limit; nothing known.
    for number, (back, excess) in enumerate([(0.0, -1.0), (0.0, -1.0), (0.5, -1.0), (0.01, -1.0), (0.0, 5.0)]):
        values = refault_control.propose(Ask(space, 0, number, 9), seen)
        swapped = int(back * (100 << 20))
        seen.append(Seen(number, values, 1.0, excess, "complete", swapped_in=swapped, swapped_out=100 << 20))
    seen.append(Seen(5, refault_control.propose(Ask(space, 0, 5, 9), seen), None, 0.0, "failed"))
    last = refault_control.propose(Ask(space, 0, 6, 9), seen)
    ages = [trial.values["min_age"] / 1e6 for trial in seen] + [last["min_age"] / 1e6]  # type: ignore[operator]
    # After half of it came back it still counts a run later, by half.
    assert ages == [10.0, 5.0, 2.5, 5.0, 10.0, 20.0, 40.0]


def test_polyfit_explores_then_exploits_then_proposes_the_peak_of_the_fit() -> None:
    space = Space((dataclasses.replace(STEPS, step=None),), LINE.base)
    seen: list[Seen] = []
    for number in range(21):
        values = damoos_polyfit.propose(Ask(space, seed=1, number=number, trials=21), seen)
        share = values["min_age"] / 60e6  # type: ignore[operator]
        seen.append(Seen(number, values, 10.0 - 100.0 * (share - 0.37) ** 2, -1.0, "complete"))
    shares = [trial.values["min_age"] / 60e6 for trial in seen]  # type: ignore[operator]
    assert shares[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert all(abs(share - 0.37) < 0.3 for share in shares[12:20])
    # The scores are a parabola, so the fit is exact.
    assert shares[20] == pytest.approx(0.37, abs=0.005)


def test_simple_tries_four_ages_then_five_sizes_at_the_best() -> None:
    space = load_env("reclaim").space
    seen: list[Seen] = []
    for number in range(10):
        values = damoos_simple.propose(Ask(space, seed=0, number=number, trials=10), seen)
        score = -abs(values["min_age"] - 8e6) - abs(values["min_size"] - 12288)  # type: ignore[operator]
        seen.append(Seen(number, values, score, -1.0, "complete"))
    assert [trial.values["min_age"] for trial in seen[:4]] == [5_000_000, 8_000_000, 10_000_000, 13_000_000]
    assert [trial.values["min_size"] for trial in seen[4:8]] == [8192, 12288, 16384, 20480]
    assert {trial.values["min_age"] for trial in seen[4:]} == {8_000_000}
    assert seen[8].values == seen[9].values == seen[5].values


@pytest.mark.parametrize(("overhead", "state"), [(None, 20), (0.1, 20), (0.0, 0), (-4.9, 0), (-5.0, 1), (-99.0, 19)])
def test_the_states_of_qlearning_are_bins_of_rss(overhead: float | None, state: int) -> None:
    assert damoos_qlearning.state_of(overhead) == state


def test_qlearning_writes_to_its_own_action_and_the_original_to_the_one_before() -> None:
    points = damoos_qlearning.actions(load_env("reclaim").space)
    assert len(points) == 30
    table = np.zeros((21, 30))
    trial = Seen(0, points[7], 10.0, -1.0, "complete", rss_overhead_percent=-12.0)
    corrected, state = damoos_qlearning.learned(table, points, [trial], original=False)
    assert state == 2 and corrected[20, 7] == pytest.approx(2.0) and np.count_nonzero(corrected) == 1
    original, _ = damoos_qlearning.learned(table + 1.0, points, [trial], original=True)
    # 1 + 0.2 * (10 + 0.9 * 1 - 1)
    assert original[20, 6] == pytest.approx(2.98) and original[20, 7] == 1.0


def test_a_search_along_the_line_bisects_the_border() -> None:
    tried: list[Tried] = []
    while (position := next_position(tried, 0.02)) is not None:
        tried.append(Tried(position, 30.0 * (1.0 - position), position > 0.61))
    assert len(tried) <= 10
    assert min(t.position for t in tried if t.feasible) < 0.66


def test_one_contradicting_verdict_does_not_move_the_border() -> None:
    tried = [Tried(0.1 * i, 1.0, i > 3) for i in range(10)]
    assert border_of([*tried, Tried(0.75, 1.0, False)]) == pytest.approx(0.3)


def test_the_unimodal_fit_is_the_nearest() -> None:
    assert unimodal(np.array([1.0, 3.0, 2.0, 5.0, 4.0])) == pytest.approx([1.0, 2.5, 2.5, 5.0, 4.0])
    assert unimodal(np.array([5.0, 1.0, 2.0])) == pytest.approx([5.0, 1.5, 1.5])


def test_the_axis_runs_from_aggressive_to_cautious() -> None:
    lead = lead_of(Space((STEPS,), LINE.base))
    assert lead is not None and lead.position(0) == 0.0 and lead.position(60_000_000) == 1.0
    for value in range(0, 65_000_000, 5_000_000):
        assert STEPS.at(lead.coordinate(lead.position(value))) == value
    rate = Space((dataclasses.replace(RATE, low=1.0, default=1.0, scale="log"),), LINE.base)
    faster = lead_of(rate)
    assert faster is not None and faster.position(20.0) == 0.0 and faster.position(1.0) == 1.0


def test_the_process_interpolates_and_knows_what_it_does_not_know() -> None:
    x = np.linspace(0.0, 1.0, 9)[:, None]
    process = Process.fit(x, np.sin(3.0 * x[:, 0]))
    mean, deviation = process.predict(np.array([[0.3], [3.0]]))
    assert mean[0] == pytest.approx(np.sin(0.9), abs=0.02)
    assert deviation[0] < 0.1 * deviation[1]
    # E[max(N(0, 1), 0)] = 1 / sqrt(2 pi)
    assert expected_improvement(np.zeros(1), np.ones(1), 0.0)[0] == pytest.approx(0.39894, abs=1e-5)


def test_steps_have_to_divide_the_range() -> None:
    with pytest.raises(ConfigError, match="does not fit its step"):
        dataclasses.replace(STEPS, step=7_000_000)


def test_the_portfolio_fits_the_space_and_comes_first() -> None:
    space = load_env("reclaim").space
    points = portfolio.points_for(space)
    assert len(points) == 5 and all(space.decode(space.encode(values)) == values for values in points)
    alone = Space(tuple(p for p in space.parameters if p.name == "min_age"), space.base)
    ages = [values["min_age"] for values in portfolio.points_for(alone)]
    assert ages != [values["min_age"] for values in points] and len(set(ages)) == len(ages)
    coarse = portfolio.points_for(Space((STEPS,), LINE.base))
    assert all(STEPS.snap(values["min_age"]) == values["min_age"] for values in coarse)  # type: ignore[arg-type]
    seen: list[Seen] = []
    for number in range(portfolio.TRIED):
        values = portfolio.propose(Ask(space, 0, number, 10), seen)
        seen.append(Seen(number, values, 1.0, -1.0, "complete"))
    assert [trial.values for trial in seen] == points[: portfolio.TRIED]
    # The second point is more aggressive: not after the first one has broken the limit.
    broken = [dataclasses.replace(seen[0], excess=5.0)]
    assert portfolio.propose(Ask(space, 0, 1, 10), broken)["min_age"] > points[0]["min_age"]  # type: ignore[operator]


def test_the_portfolio_has_not_seen_what_it_is_judged_on() -> None:
    learned = find_strategy("portfolio").learned_from
    assert "zigzag on zram" in learned
    models = {name for name in names("workloads") if find("workloads", name).parent.name != "workloads"}
    assert models and not models & {text.split(" on ")[0] for text in learned}


def test_gp_is_fitted_to_the_best_the_latest_and_what_lies_apart() -> None:
    space, rng = load_env("reclaim").space, np.random.default_rng(0)
    trials = []
    for number in range(200):
        # Most in one corner, as after a search.
        point = rng.random(space.dimensions) * (0.1 if number >= 40 else 1.0)
        score = float(rng.random())
        trials.append(Seen(number, space.decode(point), score, -1.0, "complete", scores=(score,)))
    kept = gp.thinned(space, trials)
    numbers = [trial.number for trial in kept]
    assert len(numbers) == gp.FITTED and numbers == sorted(numbers)
    assert set(range(200 - gp.LATEST, 200)) <= set(numbers)
    best = sorted(trials, key=lambda trial: -(trial.score or 0.0))[: gp.BEST]
    assert {trial.number for trial in best} <= set(numbers)
    assert sum(number < 40 for number in numbers) >= 15
    assert gp.thinned(space, trials[: gp.FITTED]) == trials[: gp.FITTED]
    # Of several objectives the front counts, the worst of the first one too.
    ends = [dataclasses.replace(trial, scores=(trial.score or 0.0, 0.0)) for trial in trials]
    ends[100] = dataclasses.replace(ends[100], score=-9.0, scores=(-9.0, 1.0))
    assert 100 in [trial.number for trial in gp.thinned(space, ends)]
