"""What a policy is worth on workloads: whole episodes, each with seeds that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos import units
from damoos.errors import InputError
from damoos.tune.preset import load_env
from damoos.tune.space import Space, Value, Values

from .modes import ONLY_TRAINING, make_batch
from .policy import Actor, Policy
from .sb3 import BatchedVecEnv

_PARSERS: dict[str, Callable[..., int | Fraction]] = {
    "time": units.parse_time_us,
    "size": units.parse_size_bytes,
    "percent": units.parse_percent,
    "count": units.parse_count,
}


@dataclass(frozen=True)
class Episode:
    """How an episode ended. `score` and overheads: the objective's, percent; `reward`: what the agent was given in all,
    which is the score less the penalty for passing the limit."""

    workload: str
    score: float
    reward: float
    feasible: bool
    runtime_overhead_percent: float
    rss_overhead_percent: float


def run_episodes(actor: Actor, vec: BatchedVecEnv, seed: int) -> list[Episode]:
    """The first episode of each environment after seeding; the same seed draws the same tasks, whatever acts."""
    vec.seed(seed)
    seen = vec.reset()
    assert isinstance(seen, np.ndarray)
    begun = np.ones(vec.num_envs, bool)
    found: dict[int, Episode] = {}
    while len(found) < vec.num_envs:
        seen, _, begun, infos = vec.step(actor(seen, begun))
        assert isinstance(seen, np.ndarray)
        for i in np.flatnonzero(begun):
            found.setdefault(int(i), _episode(infos[i]))
    return [found[i] for i in range(vec.num_envs)]


def evaluate(
    policy: Policy,
    workloads: Sequence[str],
    actors: Mapping[str, Actor],
    *,
    backend: str,
    episodes: int,
    seed: int,
    threads: int | None = None,
) -> dict[str, dict[str, list[Episode]]]:
    """`episodes` episodes on each workload, in the policy's environment, for each of the actors: by the workload, then
    by the actor's name. All actors get the same tasks and seeds. Raises as making the environment."""
    arguments = {key: value for key, value in policy.arguments.items() if key not in ONLY_TRAINING}
    found: dict[str, dict[str, list[Episode]]] = {}
    for workload in workloads:
        vec = BatchedVecEnv(make_batch(policy.mode, episodes, [workload], policy.preset, backend, arguments, threads))
        try:
            found[workload] = {name: run_episodes(actor, vec, seed) for name, actor in actors.items()}
        finally:
            vec.close()
    return found


def fixed(policy: Policy, values: Values) -> Actor:
    """An actor that always takes one point of the policy's space, as far as that is the agent's to set; a fixed scheme,
    where an action is one."""
    space = load_env(policy.preset).space
    action = action_of(space, values, policy.arguments.get("controls"))

    def act(observations: NDArray[np.floating], begun: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.tile(action, (len(observations), 1))

    return act


def action_of(space: Space, values: Values, controls: Sequence[str] | None) -> NDArray[np.float32]:
    """The action float32 [d] in [-1, 1] that means `values` where an agent has the `controls` (None: all)."""
    point = 2.0 * space.encode(values) - 1.0
    names = [p.name for p in space.parameters]
    return np.array([point[names.index(name)] for name in controls or names], np.float32)


def read_value(space: Space, name: str, text: str) -> Value:
    """The value of a parameter from a text with its unit, on the parameter's grid. Raises InputError."""
    found = {p.name: p for p in space.parameters}
    if name not in found:
        raise InputError("unknown parameter", field="--point", value=name, allowed=", ".join(found))
    parameter = found[name]
    if parameter.kind == "choice":
        named = {parameter.text(choice): choice for choice in parameter.choices}
        if text not in named:
            raise InputError("unknown choice", field=name, value=text, allowed=parameter.range_text)
        return named[text]
    value = float(_PARSERS[parameter.kind](text, field=name))
    if not parameter.low <= value <= parameter.high:
        raise InputError("out of range", field=name, value=text, allowed=parameter.range_text)
    return parameter.snap(value)


def _episode(info: dict[str, Any]) -> Episode:
    return Episode(
        workload=str(info["workload"]),
        score=float(info["episode_score"]),
        reward=float(info["reward_total"]),
        feasible=bool(info["feasible"]),
        runtime_overhead_percent=float(info["runtime_overhead_percent"]),
        rss_overhead_percent=float(info["rss_overhead_percent"]),
    )
