"""What a strategy is, and what it is made from.

`Strategy` describes one: words, what spaces and objectives it takes, and `make_sampler`, which makes the Optuna sampler
for one trial from an `Ask`. A strategy that thinks in whole points is a function from (Ask, the trials so far) to
values, and `sampler_of` makes its sampler. One that needs other kdamonds than the env's makes a space of its own out of
the env's, by a pure function, `brings`; trials then have the values of that space and the kdamonds that it makes. One
that `watches` is handed a `Subject` with each `Ask`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from damoos.errors import InputError, MissingExtraError

from ..fidelity import Ladder
from ..seeds import sampler_seed
from ..space import Point, Space, Value
from ..steering import Steering, check_unfed
from .seen import Seen

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from damoos.backend.feed import Feed
    from damoos.sim.backend import SimBackend
    from damoos.workload.recording import Recording

    from ..objective import Objective
    from ..preset import Env

_TRIES = 200


class Subject(Protocol):
    """What is tuned, as far as a strategy may look at it: one monitored run, and by what trials will be judged.

    The same object for all trials of a study, so that a strategy can keep by it what it has thought of. A task or study
    that has none can't be given to a strategy that watches.
    """

    @property
    def objective(self) -> Objective:
        """What scores and excesses of trials are made by."""

    @property
    def feed(self) -> Feed | None:
        """What is fed to the schemes' goals in trials, if anything."""

    def recording(self) -> Recording:
        """The monitored run, without schemes, noise included. It runs at the first call, counts as one run of the
        budget, and is the same after a study was stopped. Raises as a run."""

    def simulator(self) -> SimBackend:
        """The simulator with the machine model and pace that are nearest to where trials run."""


@dataclass(frozen=True)
class Ask:
    """What a sampler is made for: trial `number` (from 0) of a study of `trials` in all over `space`.

    `seed` is the study's. All randomness comes from it, so that a proposal is a function of this and the trials before.
    `repeats`: how often a whole trial is run. `subject`: None for strategies that don't watch; where it was recorded,
    `trials` are those that are left for points.
    """

    space: Space
    seed: int
    number: int
    trials: int
    subject: Subject | None = None
    repeats: int = 1

    @property
    def sampler_seed(self) -> int:
        """A seed of this trial alone, 32 bits."""
        return sampler_seed(self.seed, self.number)

    def rng(self) -> np.random.Generator:
        """A generator of this trial alone."""
        return np.random.default_rng(self.sampler_seed)

    def study_rng(self) -> np.random.Generator:
        """The same generator for each trial of the study, at its start: for what is laid out in advance."""
        return np.random.default_rng([self.seed, 0x57])


@dataclass(frozen=True)
class Strategy:
    """A way to search. `check` says what it can't be used for.

    `name` is what users type, `title` one line, `text` a screen of explanation, `source` where it comes from.
    `make_sampler` makes the sampler for one trial. `choices`: takes parameters of kind choice; `conditional`: takes
    parameters that only sometimes count; `several_objectives`: takes a Pareto front; `places`: parameters at these
    places (see `damoos.tune.place`) have to be in the space, `most_parameters` at most. `uses_budget`: what it proposes
    depends on the number of trials in all. `repeats`: why it proposes the same point again, "" if it doesn't on
    purpose. `learned_from`: the workloads from which it learned something in advance. `needs`: packages, and the extra
    that brings each. `watches`: it looks at one monitored run first (`Ask.subject`), which takes the place of a trial.

    `ladder`: how faithful its trials are, which begin with short and few runs, in a study of so many runs a trial.

    `brings`: the space that is searched instead of an env's, made of it, with kdamonds of the strategy's own; raises
    InputError where they don't fit. `feed`: what is fed to a goal of these kdamonds while the workload runs.

    `fits`: raises InputError for a space that it can't be used in, beyond what the other fields say.

    `steering`: what changes the kdamonds while the workload runs. The points of such a strategy are what its runs begin
    with; it proposes the env's default again and again, which `repeats` says.
    """

    name: str
    title: str
    text: str
    source: str
    make_sampler: Callable[[Ask], BaseSampler]
    choices: bool = True
    conditional: bool = True
    several_objectives: bool = False
    places: tuple[str, ...] = ()
    most_parameters: int | None = None
    uses_budget: bool = False
    repeats: str = ""
    learned_from: tuple[str, ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
    ladder: Callable[[int], Ladder] | None = None
    watches: bool = False
    brings: Callable[[Space], Space] | None = None
    feed: Feed | None = None
    steering: Steering | None = None
    fits: Callable[[Space], None] | None = None

    def space_in(self, space: Space) -> Space:
        """The space that this strategy searches in an env with `space`. Raises InputError where it has none there."""
        if self.brings is None:
            return space
        try:
            return self.brings(space)
        except InputError as error:
            raise error.at(field=f"strategy {self.name}") from None

    def env_in(self, env: Env) -> Env:
        """`env` with the space of this strategy, its feed if it has one, and what steers; the objective stays, so that
        scores compare with those of other strategies. Raises as `space_in`, and where a fed env can't be steered."""
        if self.is_plain:
            return env
        feed = env.feed if self.brings is None else self.feed or env.feed
        there = dataclasses.replace(env, space=self.space_in(env.space), feed=feed, steering=self.steering)
        if self.steering is not None:
            check_unfed(there.space.kdamonds(there.space.defaults()), feed)
        return there

    @property
    def is_plain(self) -> bool:
        """Whether its trials are runs of the env's own space with nothing done to them."""
        return self.brings is None and self.steering is None

    @property
    def nr_watched(self) -> int:
        """How many runs of a budget it spends on watching."""
        return 1 if self.watches else 0

    def check(self, space: Space, objectives: int = 1, *, subject: bool = False) -> None:
        """Raises InputError if the space or the number of objectives is not for this strategy, or if it watches and
        there is no `subject` to watch; MissingExtraError if a package is missing."""
        for package, extra in self.needs:
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, extra)
        if self.watches and not subject:
            raise self._refusal("watches a run before it proposes", "measured points only", "a workload on a backend")
        self.space_in(space)
        if self.fits is not None:
            try:
                self.fits(space)
            except InputError as error:
                raise error.at(field=f"strategy {self.name}") from None
        if objectives > 1 and not self.several_objectives:
            raise self._refusal(
                "takes one objective", f"{objectives} objectives", "one objective, or tpe, nsga2, nsga3"
            )
        for parameter in space.parameters:
            if parameter.kind == "choice" and not self.choices:
                raise self._refusal("takes numbers only", f"parameter {parameter.name}", "an env without choices")
            if parameter.when is not None and not self.conditional:
                allowed = "an env without conditions"
                raise self._refusal("takes parameters that always count", f"parameter {parameter.name}", allowed)
        if self.most_parameters is not None and space.dimensions > self.most_parameters:
            value = f"{space.dimensions} parameters"
            raise self._refusal("takes fewer parameters", value, f"{self.most_parameters} and less")
        there = {parameter.place for parameter in space.parameters}
        for place in self.places:
            if place not in there:
                allowed = f"an env with a parameter at {place}"
                raise self._refusal(f"tunes {place}", ", ".join(p.name for p in space.parameters), allowed)

    def _refusal(self, problem: str, value: str, allowed: str) -> InputError:
        return InputError(problem, field=f"strategy {self.name}", value=value, allowed=allowed)


Propose = Callable[[Ask, Sequence[Seen]], dict[str, Value]]
"""A point to evaluate next, from what is known: values of the active parameters, on the space's grid."""


def sampler_of(propose: Propose) -> Callable[[Ask], BaseSampler]:
    """`Strategy.make_sampler` of a function that proposes whole points."""

    def make_sampler(ask: Ask) -> BaseSampler:
        from .points import PointSampler  # Optuna takes a second to load, and not every command needs it

        return PointSampler(ask, propose)

    return make_sampler


def fresh(ask: Ask, seen: Sequence[Seen], points: Iterable[Point]) -> dict[str, Value]:
    """The values of the first of `points` (in [0, 1]^d) that no trial has had; failing that of random ones, and where
    there is nothing new left, of the first."""
    known = [trial.values for trial in seen]
    rng, d = ask.rng(), ask.space.dimensions
    first: dict[str, Value] | None = None
    anywhere: Iterator[Point] = (rng.random(d) for _ in range(_TRIES))
    for point in itertools.chain(points, anywhere):
        values = ask.space.decode(point)
        if values not in known:
            return values
        first = values if first is None else first
    assert first is not None
    return first
