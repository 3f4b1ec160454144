"""What every strategy owes: a class of tests to subclass.

    class TestMine(StrategyConformance):
        strategy = MINE

pytest collects the inherited tests; `pytest.register_assert_rewrite("damoos.tune.testing")` in a conftest makes their
failures readable. No backend is needed: the scores are a formula. A strategy that watches gets a short simulated run to
watch, which has nothing to do with the scores: what it proposes has to be led by them all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from damoos.damon.kdamonds import Kdamonds
from damoos.damon.schemes import ANYTHING, Action, Scheme
from damoos.errors import InputError
from damoos.workload.masim import MasimWorkload, Pattern, Phase, Region

from .asktell import ask, new_study, tell, tell_stopped
from .objective import Objective
from .space import Condition, Parameter, Space, Value, Values
from .strategies.base import Ask, Strategy, Subject
from .strategies.seen import RECORD
from .watching import Watched, monitoring, watch

if TYPE_CHECKING:
    import optuna

BASE = Kdamonds.of(schemes=[Scheme(Action.PAGEOUT, ANYTHING)])
_PATTERN = "schemes[0].access_pattern"
AGE = Parameter("min_age", "idle for", f"{_PATTERN}.age.min", "time", 5_000_000, 100_000, 60_000_000, "log")
SIZE = Parameter("min_size", "smallest", f"{_PATTERN}.sz.min", "size", 4096, 4096, 2 << 20, "log")
RATE = Parameter("max_rate", "accessed", f"{_PATTERN}.nr_accesses.max", "percent", 0.0, 0.0, 20.0)
STEPS = Parameter("min_age", "idle for", f"{_PATTERN}.age.min", "time", 5_000_000, 0, 60_000_000, step=5_000_000)
ACTION = Parameter(
    "action", "what to do", "schemes[0].action", "choice", "pageout", choices=("pageout", "cold", "lru_deprio")
)
QUOTA = Parameter(
    "quota",
    "bytes a second",
    "schemes[0].quotas.bytes",
    "size",
    64 << 20,
    4 << 20,
    1 << 30,
    "log",
    when=Condition("action", ("pageout",)),
)

LINE = Space((AGE,), BASE)
ROOM = Space((AGE, SIZE, RATE), BASE)
FEW = Space((STEPS,), BASE)
MIXED = Space((AGE, ACTION), BASE)
CONDITIONAL = Space((AGE, ACTION, QUOTA), BASE)
SPACES: Mapping[str, Space] = {"line": LINE, "room": ROOM, "few": FEW, "mixed": MIXED, "conditional": CONDITIONAL}

BORDER = 0.3
"""Coordinate of the age below which the limit is broken, though the score goes on rising."""


def landscape(space: Space, values: Values) -> tuple[float, float]:
    """Score and excess over the limit, percent: the younger the better until the limit is broken at 0.3 of its range;
    2 points of ripple stand for noise, and the other parameters cost at most 10 points a piece. Without parameters,
    the border."""
    point = space.encode(values)
    age = float(point[0]) if point.size else BORDER
    score = 40.0 * (1.0 - age) + math.sin(50.0 * float(point.sum()))
    score -= sum(10.0 * (float(other) - 0.4) ** 2 for other in point[1:])
    return score, 100.0 * (BORDER - age)


@cache
def subject_of(space: Space) -> Subject:
    """Something to watch: two regions of 16 MiB in use in turn, four seconds on the simulator."""
    from damoos.sim.backend import open_sim

    regions = tuple(Region(name, 16 << 20) for name in "ab")
    phases = tuple(Phase(f"{i}", 1_000, (Pattern("ab"[i % 2], False, 4096, 1),)) for i in range(4))
    workload, backend = MasimWorkload("in turn", regions, phases), open_sim("zram")
    return Watched(Objective(), None, backend, lambda: watch(backend, workload, monitoring(space), 1)[0])


class StrategyConformance:
    """Tests that hold for any strategy. `searches`: it is supposed to get better; references are not.

    `may_repeat`: it repeats itself by chance where there are few points. `seeds`: of the studies that have to succeed.
    `dear`: a proposal takes so long that fewer are asked for. `spaces`: of envs, in which it is tried, by the names of
    `SPACES`; those of a strategy for other schemes are to be around such schemes.
    """

    strategy: Strategy
    searches = True
    may_repeat = True
    seeds = (0, 1, 2)
    dear = False
    spaces: Mapping[str, Space] = SPACES

    def test_says_what_it_is(self) -> None:
        strategy = self.strategy
        assert strategy.name == strategy.name.lower() and " " not in strategy.name
        assert strategy.title and "\n" not in strategy.title and strategy.source
        # A screen has 24 lines; the others are for what it takes.
        assert 1 <= len(strategy.text.strip().splitlines()) <= 16

    def test_takes_a_space_or_says_why_not(self) -> None:
        taken = [name for name, space in self.spaces.items() if self._takes(space)]
        assert "line" in taken and "room" in taken and "few" in taken
        for name in taken:
            space = self._space(name)
            for _, values in self._ask_all(space, 8 if self.dear else 12):
                self._check(space, values)
        for name in self.spaces.keys() - set(taken):
            with _refused(self.strategy.name):
                self.strategy.check(self.spaces[name], subject=True)

    def test_it_watches_only_where_there_is_something_to_watch(self) -> None:
        if self.strategy.watches:
            with _refused(self.strategy.name):
                self.strategy.check(self.spaces["line"])

    def test_what_steers_begins_with_the_default_and_says_that_it_repeats_itself(self) -> None:
        if self.strategy.steering is None:
            return
        assert self.strategy.repeats and self.strategy.steering.every_s > 0
        room = self._space("room")
        assert all(values == room.defaults() for _, values in self._ask_all(room, 3))

    def test_several_objectives_or_says_why_not(self) -> None:
        if not self.strategy.several_objectives:
            with _refused(self.strategy.name):
                self.strategy.check(self.spaces["room"], 2, subject=True)
            return
        self.strategy.check(self.spaces["room"], 2, subject=True)
        room, study = self._space("room"), new_study(2)
        for number in range(24):
            trial, values = ask(study, self._sampler(room, number, 24), room)
            self._check(room, values)
            score, excess = landscape(room, values)
            tell(study, trial, [score, -score], excess)

    def test_the_same_seed_proposes_the_same(self) -> None:
        room = self._space("room")
        one, two = (list(self._ask_all(room, 8 if self.dear else 14)) for _ in range(2))
        assert [values for _, values in one] == [values for _, values in two]

    def test_stopped_anywhere_it_goes_on_as_if_never_stopped(self) -> None:
        room = self._space("room")
        cuts = (3, 7, 9) if self.dear else (3, 11, 12, 21, 26)
        whole = self._run(room, cuts[-1])
        stopped = new_study()
        for cut in cuts:
            again = new_study()
            again.add_trials(stopped.get_trials())
            self._run(room, cut, again, trials=cuts[-1])
            stopped = again
        assert _points(stopped) == _points(whole)

    def test_a_batch_is_asked_before_anything_is_told(self) -> None:
        room = self._space("room")
        study, proposed = new_study(), []
        for begin in range(0, 16, 4):
            batch = [ask(study, self._sampler(room, number, 16), room) for number in range(begin, begin + 4)]
            for trial, values in batch:
                self._check(room, values)
                self._tell(study, trial, room, values)
                proposed.append(values)
        if not self.strategy.repeats:
            assert len(_distinct(proposed)) == 16

    def test_no_point_comes_twice_unless_on_purpose(self) -> None:
        line = self._space("line")
        room = self._space("room")
        for space, count in ((line, 10), (room, 10)) if self.dear else ((line, 20), (room, 30)):
            values = [values for _, values in self._ask_all(space, count)]
            if not self.strategy.repeats:
                assert len(_distinct(values)) == count
        few = [values for _, values in self._ask_all(self._space("few"), 16)]
        if not (self.strategy.repeats or self.may_repeat):
            assert len(_distinct(few[:13])) == 13

    def test_it_goes_on_after_failures(self) -> None:
        room = self._space("room")
        study = new_study()
        for number in range(20):
            trial, values = ask(study, self._sampler(room, number, 20), room)
            self._check(room, values)
            if number % 3 == 0 or number < 2:
                tell(study, trial, [], None)
            else:
                self._tell(study, trial, room, values)

    def test_it_goes_on_after_trials_that_were_stopped(self) -> None:
        room = self._space("room")
        for objectives in (1, 2) if self.strategy.several_objectives else (1,):
            study = new_study(objectives)
            for number in range(20):
                trial, values = ask(study, self._sampler(room, number, 20), room)
                self._check(room, values)
                score, excess = landscape(room, values)
                if number % 3 == 0:
                    tell_stopped(study, trial, score if objectives == 1 and number % 2 else None, abs(excess))
                elif number % 3 == 1 and objectives == 1:
                    tell_stopped(study, trial, score, -abs(excess))
                else:
                    tell(study, trial, [score, -score][:objectives], excess)

    def test_it_goes_on_from_points_that_were_set(self) -> None:
        room = self._space("room")
        study = new_study()
        for number in range(16):
            point = {0: room.defaults(), 1: room.decode([0.5] * room.dimensions)}.get(number)
            trial, values = ask(study, self._sampler(room, number, 16), room, point)
            assert point is None or values == point
            self._tell(study, trial, room, values)

    def test_it_learns_scores_and_the_limit(self) -> None:
        # The best score of all is where the limit is broken: who does not heed it goes there.
        if not self.searches:
            return
        for seed in self.seeds:
            trials = self._run(self._space("line"), 20 if self.dear else 40, seed=seed).get_trials()
            kept = [t.values[0] for t in trials if max(t.constraints.values()) <= 0]
            assert max(kept) >= 40.0 * (1.0 - BORDER) - 4.0
            assert sum(max(t.constraints.values()) <= 0 for t in trials) >= len(trials) // 4

    def _space(self, name: str) -> Space:
        return self.strategy.space_in(self.spaces[name])

    def _takes(self, space: Space) -> bool:
        try:
            self.strategy.check(space, subject=True)
        except InputError:
            return False
        return True

    def _sampler(self, space: Space, number: int, trials: int, seed: int = 0) -> optuna.samplers.BaseSampler:
        subject = subject_of(space) if self.strategy.watches else None
        return self.strategy.make_sampler(Ask(space, seed, number, trials, subject))

    def _ask_all(self, space: Space, trials: int) -> Iterator[tuple[optuna.Trial, dict[str, Value]]]:
        study = new_study()
        for number in range(trials):
            trial, values = ask(study, self._sampler(space, number, trials), space)
            self._tell(study, trial, space, values)
            yield trial, values

    def _run(
        self, space: Space, until: int, study: optuna.Study | None = None, trials: int | None = None, seed: int = 0
    ) -> optuna.Study:
        study = new_study() if study is None else study
        for number in range(len(study.trials), until):
            sampler = self._sampler(space, number, until if trials is None else trials, seed)
            trial, values = ask(study, sampler, space)
            self._tell(study, trial, space, values)
        return study

    @staticmethod
    def _tell(study: optuna.Study, trial: optuna.Trial, space: Space, values: Values) -> None:
        score, excess = landscape(space, values)
        trial.set_user_attr(RECORD, {"rss_overhead_percent": -score})
        tell(study, trial, [score], excess)

    @staticmethod
    def _check(space: Space, values: Values) -> None:
        active: dict[str, Value] = {}
        for parameter in space.parameters:
            if not space.active(parameter, active):
                assert parameter.name not in values
                continue
            value = active[parameter.name] = values[parameter.name]
            if parameter.kind == "choice":
                assert value in parameter.choices
            else:
                assert isinstance(value, int | float) and parameter.low <= value <= parameter.high
                assert parameter.snap(value) == value
        assert len(active) == len(values)


def _points(study: optuna.Study) -> list[dict[str, Value]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def _distinct(points: list[dict[str, Value]]) -> set[tuple[tuple[str, Value], ...]]:
    return {tuple(sorted(values.items())) for values in points}


@contextmanager
def _refused(name: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        assert f"strategy {name}" in str(error) and "allowed" in str(error)
    else:
        raise AssertionError(f"{name}: neither takes it nor refuses it")
