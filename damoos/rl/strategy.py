"""Learned policies as strategies: `policy:NAME`, of the catalogue, or `policy:FOLDER`.

Policies of `Control` steer each run; those of `Tuning` and `OneShot` propose points, from one monitored run and what
came of the points before, and go on beside the best one when their session is over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from damoos.catalogue import POLICY
from damoos.env import one_shot, signals, tuning
from damoos.env.draw import workload_names
from damoos.env.history import Layout, Tried
from damoos.env.knobs import Knobs
from damoos.env.profile import SNAPSHOTS, Profile, summary
from damoos.errors import ConfigError, InputError
from damoos.tune.space import Value
from damoos.tune.strategies.base import Ask, Strategy, Subject, fresh, sampler_of
from damoos.tune.strategies.local import propose_near_best
from damoos.tune.strategies.seen import Seen
from damoos.workload.recording import Recording

from .policy import MODEL, WEIGHTS, Policy, load_policy
from .steering import PolicySteering

VERSIONS = {"control": signals.OBSERVATION_VERSION, "tuning": tuning.OBSERVATION_VERSION} | {
    "oneshot": one_shot.OBSERVATION_VERSION
}
"""By how observations are made now, in each mode."""
NEAR, NEAR_BY = 32, 0.05
"""Points beside one that was tried already, and how near they are, of the range."""

_profiles: WeakKeyDictionary[Subject, Profile] = WeakKeyDictionary()


def policy_strategy(name_or_folder: str) -> Strategy:
    """The strategy of a policy. Raises ConfigError for one that is not whole, or saw other things than are seen now."""
    policy = load_policy(name_or_folder)
    now = VERSIONS.get(policy.mode)
    if policy.observation_version != now:
        raise ConfigError(
            "saw other observations than are made now; train it again",
            file=policy.folder / POLICY,
            field=f"observation_version of {policy.mode}",
            value=policy.observation_version,
            allowed=str(now),
        )
    preset, steers = policy.preset, policy.mode == "control"
    torch = (("torch", "rl"), ("sb3_contrib", "rl")) if policy.network is None else ()
    return Strategy(
        name=f"policy:{name_or_folder}",
        title=policy.title,
        text=_text(policy),
        source=f"damoos; {policy.training['command_line'] or 'damoos rl train'}",
        make_sampler=sampler_of(_begins_with_default if steers else _Proposer(policy)),
        repeats="each run is steered anew from the same beginning" if steers else "",
        learned_from=tuple(workload_names([*policy.training["workloads"], *policy.training["validation"]])),
        needs=torch,
        uses_budget=policy.mode == "tuning",
        watches=not steers and policy.arguments.get("profile", True),
        fits=lambda space: policy.check_space(space, f"an env to be used with it, as {preset} is"),
        steering=PolicySteering(str(policy.folder), _digest(policy), _step_s(policy)) if steers else None,
    )


def _begins_with_default(ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
    return ask.space.defaults()


@dataclass(frozen=True, eq=False)
class _Proposer:
    """Proposes what the policy does after the trials so far, the env's default not counted, which all studies have."""

    policy: Policy

    def __call__(self, ask: Ask, seen: Sequence[Seen]) -> dict[str, Value]:
        own = [trial for trial in seen if trial.values != ask.space.defaults()]
        runs = self._runs
        if len(own) >= runs:
            return propose_near_best(ask, seen)
        knobs = Knobs(ask.space, self.policy.arguments.get("controls"))
        observation = self._observe(ask, knobs, own)
        action = self.policy.actor()(observation[None], np.array([not own]))[0]
        point = ask.space.encode(knobs.values(action))
        beside = point + ask.rng().normal(0.0, NEAR_BY, (NEAR, point.size))
        return fresh(ask, seen, [point, *np.clip(beside, 0.0, 1.0)])

    @property
    def _runs(self) -> int:
        return int(self.policy.arguments.get("runs", tuning.RUNS)) if self.policy.mode == "tuning" else 1

    def _observe(self, ask: Ask, knobs: Knobs, own: Sequence[Seen]) -> NDArray[np.float32]:
        profiled = self.policy.arguments.get("profile", True)
        profile = _profile_of(ask.subject) if profiled and ask.subject is not None else None
        if self.policy.mode == "oneshot":
            assert profile is not None  # `Strategy.check` sees to it
            return profile
        runs = self._runs
        history = self.policy.arguments.get("history")
        layout = Layout(knobs.dimensions, runs if history is None else int(history), bool(profiled))
        assert ask.subject is not None or not profiled
        tried = [self._tried(ask, knobs, trial) for trial in own]
        # A shorter study is a session of which some runs are over already.
        left = min(runs - len(own), max(ask.trials - ask.number, 1)) / runs
        return layout.observe(profile, tried, left)

    def _tried(self, ask: Ask, knobs: Knobs, trial: Seen) -> Tried:
        assert ask.subject is not None
        return Tried.of(knobs, ask.subject.objective, trial.values, trial.score, trial.excess)


def _profile_of(subject: Subject) -> Profile:
    found = _profiles.get(subject)
    if found is None:
        found = _profiles[subject] = profile_of(subject.recording())
    return found


def profile_of(recording: Recording) -> Profile:
    """The profile of a monitored run, as `damoos.env.profile.profile` sees one: of moments equally far apart. Raises
    InputError for a run in which DAMON saw nothing."""
    if not recording.snapshots:
        raise InputError("too short to be seen", field="workload", value=recording.workload, allowed="a longer run")
    times = np.array([snapshot.t_s for snapshot in recording.snapshots])
    moments = recording.runtime_s * np.arange(1, SNAPSHOTS + 1) / SNAPSHOTS
    chosen = np.unique(np.clip(np.searchsorted(times, moments), 0, times.size - 1))
    t_s, rss = recording.rss_t_s, recording.rss_bytes
    lasted = np.diff(t_s, prepend=0.0)
    return summary([recording.snapshots[i] for i in chosen], float(np.average(rss, weights=lasted)))


def _step_s(policy: Policy) -> float:
    return float(policy.arguments.get("step_s", 1.0))


def _digest(policy: Policy) -> str:
    names = (POLICY, WEIGHTS, *((MODEL,) if policy.network is None else ()))
    return hashlib.sha256(b"".join((policy.folder / name).read_bytes() for name in names)).hexdigest()[:16]


def _text(policy: Policy) -> str:
    if policy.mode == "control":
        controls = policy.arguments.get("controls") or list(policy.space)
        does = (
            f"Steers each run while it goes on: every {_step_s(policy):g} s it looks at DAMON's regions, memory and "
            f"swap, and sets {', '.join(controls)}. What it finds is no scheme that could be exported: it has to go on "
            "running beside the workload."
        )
    elif policy.mode == "tuning":
        does = (
            f"Proposes {policy.arguments.get('runs', tuning.RUNS)} points, each from what one monitored run showed and "
            "what came of the points before; then it goes on beside the best one."
        )
    else:
        does = "Proposes one point from what one monitored run showed; then it goes on beside the best one."
    training = policy.training
    return (
        f"{does}\n\nLearned by {policy.algorithm} on the simulator ({training['backend']}) from "
        f"{', '.join(training['workloads'])} in {training['steps']:,} steps; acts by {policy.observations} numbers."
    )
