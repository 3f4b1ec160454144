#!/usr/bin/env python3
"""How fast many simulated runs are steered side by side, a simulated second a step, beside the project's goals.

    control_speed.py [--json] [--runs N] [--steps N] [--threads N] [--env] [--ppo]

fleet: runs of generated-train-0:64 with preset reclaim on machine zram, committed to and looked at in each step
(`damoos.sim.fleet`). Defaults: always the same. One parameter: min_age at random, the others at their defaults, as
policies are trained. All: each parameter at random, so that many runs sample every few ms. mixed: as in sim_speed.py,
by min_age. --env: the same through the environment `damoos/Control-v0` and the adapter for stable-baselines3, with
episodes that end and begin. --ppo: the simulator's share of the time that PPO takes, with the number and size of its
minibatches as in training/control.toml and as stable-baselines3 has them; rollouts of 64 steps.

Another load on the machine spoils all that is wall time. CPU time is what a step of all runs costs in µs, and what a
figure would be if the threads had their CPUs to themselves: they share the simulation, and the looks that go with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from sim_speed import GIB, mixed, simulator  # noqa: E402

from damoos.backend.base import Backend  # noqa: E402
from damoos.backend.registry import open_backend  # noqa: E402
from damoos.damon.kdamonds import Kdamonds  # noqa: E402
from damoos.sim.fleet import Fleet  # noqa: E402
from damoos.tune.preset import load_env  # noqa: E402
from damoos.tune.space_many import decode_many, values_of  # noqa: E402
from damoos.workload.generated import generate  # noqa: E402
from damoos.workload.masim import MasimWorkload  # noqa: E402

SPACE = load_env("reclaim").space
NAMES = [p.name for p in SPACE.parameters]
ONE = ("min_age",)
RATE_EDGES, IDLE_EDGES_S = (0.0, 0.05, 0.2, 0.5), (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
TRAINING = "generated-train-0:64"
_EPISODES_STEPS = 100
STEPS_GOAL, SHARE_GOAL = 80_000.0, 30.0


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure, its goal, and how well that is met: 1 and more, it is. `by_cpu`: the same by CPU time; `parts`: µs of
    CPU time a step of all runs."""

    name: str
    value: float
    unit: str
    goal: float
    ratio: float
    by_cpu: float
    parts: dict[str, float] = dataclasses.field(default_factory=dict)


def kdamonds_of(row: np.ndarray) -> Kdamonds:
    return SPACE.kdamonds(values_of(SPACE, row))


def points(rng: np.random.Generator, runs: int, controls: tuple[str, ...]) -> np.ndarray:
    """Random points of the space, [runs, d], in which only `controls` differ from the default."""
    found = np.tile(SPACE.encode(SPACE.defaults()), (runs, 1))
    columns = [NAMES.index(name) for name in controls]
    found[:, columns] = rng.random((runs, len(columns)))
    return found


def fleet_of(runs: int, workloads: list[MasimWorkload], backend: Backend, threads: int) -> Fleet:
    start = SPACE.kdamonds(SPACE.defaults())
    return Fleet(
        [backend.start(workloads[i % len(workloads)], start, i) for i in range(runs)],
        [p.place for p in SPACE.parameters],
        kdamonds_of,
        rate_edges=RATE_EDGES,
        idle_edges_s=IDLE_EDGES_S,
        begun_with=decode_many(SPACE, SPACE.encode(SPACE.defaults())[None])[0],
        threads=threads,
    )


class Clock:
    """Wall and CPU seconds of what is called, one pair a call."""

    def __init__(self) -> None:
        self.took: list[tuple[float, float]] = []

    def __call__(self, do: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter(), time.process_time()
        try:
            return do(*arguments)
        finally:
            self.took.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))

    def median(self) -> tuple[float, float]:
        """Of all calls but the first two."""
        wall, cpu = zip(*self.took[2:], strict=True)
        return statistics.median(wall), statistics.median(cpu)


def steer(name: str, fleet: Fleet, controls: tuple[str, ...], steps: int, threads: int) -> Figure:
    rng = np.random.default_rng(1)
    runs = len(fleet.sessions)
    commits, moves, looks = Clock(), Clock(), Clock()
    with fleet:
        for _ in range(steps):
            commits(fleet.commit, decode_many(SPACE, points(rng, runs, controls)))
            moves(fleet.advance, 1.0)
            looks(fleet.look)
    (commit, commit_cpu), (move, move_cpu), (_, look_cpu) = commits.median(), moves.median(), looks.median()
    speed = runs / (commit + move)
    parts = {"commit": commit_cpu * 1e6, "look": look_cpu * 1e6, "simulate": (move_cpu - look_cpu) * 1e6}
    by_cpu = runs / (commit_cpu + move_cpu / threads)
    return Figure(name, speed, "steps per s", STEPS_GOAL, speed / STEPS_GOAL, by_cpu, parts)


def fleets(runs: int, steps: int, threads: int) -> list[Figure]:
    generated = [generate("train", i) for i in range(64)]
    zram = open_backend("sim:zram")
    turning, per_ms, batch = mixed(GIB, 60 + 8 * (steps // 7))
    return [
        steer("fleet, defaults", fleet_of(runs, generated, zram, threads), (), steps, threads),
        steer("fleet, one parameter", fleet_of(runs, generated, zram, threads), ONE, steps, threads),
        steer("fleet, all parameters", fleet_of(runs, generated, zram, threads), tuple(NAMES), steps, threads),
        steer("fleet, mixed", fleet_of(runs, [turning], simulator(per_ms, batch), threads), ONE, steps, threads),
    ]


class FleetClock:
    """Counts what `Fleet` takes while it is looked at, wall and CPU seconds: in all, and what threads share of it."""

    def __init__(self) -> None:
        self.methods = {name: getattr(Fleet, name) for name in ("advance", "commit", "look")}
        self.clocks = {name: Clock() for name in self.methods}

    def __enter__(self) -> FleetClock:
        for name, method in self.methods.items():
            clock = self.clocks[name]
            setattr(Fleet, name, lambda *arguments, clock=clock, method=method: clock(method, *arguments))
        return self

    def __exit__(self, *error: object) -> None:
        for name, method in self.methods.items():
            setattr(Fleet, name, method)

    def forget(self) -> None:
        for clock in self.clocks.values():
            clock.took.clear()

    def wall(self) -> float:
        return sum(wall for clock in self.clocks.values() for wall, _ in clock.took)

    def cpu(self, name: str) -> float:
        return sum(cpu for _, cpu in self.clocks[name].took)


def environments(runs: int, steps: int, threads: int) -> list[Figure]:
    """After steps in which about every episode has ended once and the baselines have been simulated."""
    from damoos.env.batch import ControlVectorEnv
    from damoos.rl.sb3 import BatchedVecEnv

    rng = np.random.default_rng(1)
    found = []
    for name, controls in (("one parameter", ONE), ("all parameters", tuple(NAMES))):
        vec = BatchedVecEnv(ControlVectorEnv(runs, TRAINING, seeds=1, controls=controls, threads=threads))
        vec.seed(1)
        vec.reset()
        actions = rng.uniform(-1.0, 1.0, (32, runs, len(controls))).astype(np.float32)
        clock = Clock()
        with FleetClock() as inside:
            for at in range(_EPISODES_STEPS + steps):
                if at == _EPISODES_STEPS:
                    inside.forget()
                clock(vec.step, actions[at % len(actions)])
        vec.close()
        wall, cpu = (sum(took) / steps for took in zip(*clock.took[_EPISODES_STEPS:], strict=True))
        moving = inside.cpu("advance") / steps
        parts = {"simulator": moving, "rest": cpu - moving}
        by_cpu = runs / (parts["simulator"] / threads + parts["rest"])
        in_us = {part: s * 1e6 for part, s in parts.items()}
        found.append(
            Figure(
                f"SB3's VecEnv, {name}", runs / wall, "steps per s", STEPS_GOAL, runs / wall / STEPS_GOAL, by_cpu, in_us
            )
        )
    return found


def ppo(runs: int, threads: int, name: str, updates: int, **minibatches: int) -> Figure:
    """Without the first update, in which code is loaded and the baselines are simulated."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    from damoos.env.batch import ControlVectorEnv
    from damoos.rl.sb3 import BatchedVecEnv

    torch.set_num_threads(1)

    class Begin(BaseCallback):
        """When the second rollout begins."""

        rollouts = 0
        at = (0.0, 0.0)

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self.rollouts += 1
            if self.rollouts == 2:
                inside.forget()
                self.at = time.perf_counter(), time.process_time()

    vec = BatchedVecEnv(ControlVectorEnv(runs, TRAINING, seeds=1, controls=ONE, threads=threads))
    begin = Begin()
    with FleetClock() as inside:
        model = PPO("MlpPolicy", vec, n_steps=64, device="cpu", seed=1, **minibatches)
        model.learn(runs * 64 * updates, callback=begin)
        whole, whole_cpu = time.perf_counter() - begin.at[0], time.process_time() - begin.at[1]
    share = 100.0 * inside.wall() / whole
    moving, rest = inside.cpu("advance"), inside.cpu("commit") + inside.cpu("look")
    by_cpu = 100.0 * (moving / threads + rest) / (whole_cpu - moving + moving / threads)
    steps = 64 * (updates - 1)
    parts = {"simulator": (moving + rest) * 1e6 / steps, "all": whole_cpu * 1e6 / steps}
    vec.close()
    return Figure(f"share of PPO's time, {name}", share, "%", SHARE_GOAL, SHARE_GOAL / share, by_cpu, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=256, help="runs side by side (default 256)")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one a CPU")
    parser.add_argument("--env", action="store_true", help="through the environment and stable-baselines3's VecEnv too")
    parser.add_argument("--ppo", action="store_true", help="PPO's time too")
    args = parser.parse_args()
    found = fleets(args.runs, args.steps, args.threads)
    if args.env:
        found += environments(args.runs, args.steps, args.threads)
    if args.ppo:
        found.append(ppo(args.runs, args.threads, "4 x 4096", 6, batch_size=4096, n_epochs=4))
        found.append(ppo(args.runs, args.threads, "SB3's 10 x 64", 3))
    if args.json:
        print(json.dumps([dataclasses.asdict(f) for f in found], indent=1))
        return
    print(f"{'figure':34} {'value':>8} {'goal':>8} {'ratio':>6} {'by CPU time':>12}")
    for f in found:
        parts = ", ".join(f"{name} {us:,.0f}" for name, us in f.parts.items())
        print(f"{f.name:34} {f.value:>8,.0f} {f.goal:>8,.0f} {f.ratio:6.2f} {f.by_cpu:>12,.0f}  {f.unit} ({parts} µs)")
    print("a goal is met from ratio 1 on; load of the last minute:", f"{os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
