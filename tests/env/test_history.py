"""What the tuning environment shows of a session, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from damoos.env.history import EXCESS_MOST, SCORE_MOST, Layout, Tried, best_score
from damoos.env.knobs import Knobs
from damoos.errors import InputError
from damoos.tune.preset import load_env

FIRST = Tried((0.1, -0.2), 10.0, -0.5)
BROKE = Tried((0.3, -0.4), 30.0, 0.25)
BETTER = Tried((0.5, -0.6), 14.0, 0.0)
WORSE = Tried((0.7, -0.8), -4.0, -1.0)
PROFILE = np.linspace(0, 1, 15, dtype=np.float32)


def test_an_observation_is_profile_rest_best_and_the_newest_trials() -> None:
    layout = Layout(dimensions=2, history=3)
    seen = layout.observe(PROFILE, [FIRST, BROKE, BETTER, WORSE], left=0.25)
    assert seen.shape == (layout.size,) == (15 + 2 + 2 + 3 * 5,) and seen.dtype == np.float32
    expected = [*PROFILE, 0.25, 0.7, 0.5, -0.6]
    expected += [1, -0.2, -1, 0.7, -0.8, 1, 0.7, 0, 0.5, -0.6, 1, 1.5, 0.25, 0.3, -0.4]
    assert seen.tolist() == pytest.approx(expected)


def test_before_the_first_trial_nothing_is_best() -> None:
    seen = Layout(dimensions=2, history=2, profile=False).observe(None, [], left=1.0)
    assert seen.tolist() == [1.0] + [0.0] * (3 + 10)
    assert best_score([]) == 0.0


def test_what_is_worse_than_no_scheme_or_breaks_the_limit_is_never_best() -> None:
    assert best_score([BROKE, WORSE]) == 0.0 and best_score([FIRST, BROKE, BETTER]) == 14.0
    seen = Layout(dimensions=2, history=0, profile=False).observe(None, [BROKE, WORSE], left=0.5)
    assert seen.tolist() == [0.5, 0.0, 0.0, 0.0]


def test_numbers_stay_in_the_space() -> None:
    layout = Layout(dimensions=2, history=1, profile=False)
    wild = replace(FIRST, score=-1000.0, excess=float("inf"))
    assert layout.observe(None, [wild], left=0.0)[4:7].tolist() == [1.0, -SCORE_MOST, EXCESS_MOST]
    assert (np.abs(layout.observe(None, [wild], left=0.0)) <= layout.highest).all()


def test_a_failed_trial_is_as_bad_as_can_be_shown() -> None:
    env = load_env("reclaim")
    failed = Tried.of(Knobs(env.space), env.objective, env.space.defaults(), None, 0.0)
    assert (failed.score, failed.excess) == (-100.0, EXCESS_MOST) and not failed.feasible


def test_an_excess_is_told_in_limits() -> None:
    env = load_env("reclaim")
    tried = Tried.of(Knobs(env.space), env.objective, env.space.defaults(), 5.0, -10.0)
    assert (tried.score, tried.excess) == (5.0, -0.5) and tried.feasible


def test_knobs_are_the_chosen_parameters_and_others_stay_at_their_default() -> None:
    space = load_env("reclaim").space
    knobs = Knobs(space, ["samples", "min_age"])
    values = knobs.values(np.array([-1.0, 1.0]))
    assert knobs.dimensions == 2 and values == space.defaults() | {"min_age": 100_000, "samples": 100}
    assert knobs.action(values).tolist() == pytest.approx([-1.0, 1.0])
    assert knobs.values(np.array([-7.0, 1.5])) == values


@pytest.mark.parametrize("controls", [["min_age", "colour"], []])
def test_unknown_knobs_are_refused(controls: list[str]) -> None:
    with pytest.raises(InputError, match="controls"):
        Knobs(load_env("reclaim").space, controls)
