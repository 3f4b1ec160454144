"""How long each strategy thinks about a proposal: a study of N trials on the env `reclaim`, without anything that runs.

    python benchmarks/strategy_overhead.py --trials 200 --strategies tpe,gp

Scores are a formula with noise. Shown are the mean and the longest of the last ten proposals in ms of CPU time, which
does not depend on who else uses the machine, and their mean in real time; the sampler's making and the reading of the
trials before are included. The first proposal, which loads packages, is apart.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from damoos.errors import InputError, MissingExtraError
from damoos.tune.asktell import ask, new_study, tell
from damoos.tune.preset import load_env
from damoos.tune.space import Space, Values
from damoos.tune.strategies import STRATEGIES, find_strategy
from damoos.tune.strategies.base import Ask

LAST = 10
TARGET_MS = {"gp": 500.0, "smac": 500.0}
OTHERS_MS = 50.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--env", default="reclaim")
    given = parser.parse_args()
    print(f"{'strategy':<22}{'CPU':>8}{'longest':>9}{'real':>8}{'first':>8}{'target':>8}   ms, {given.trials} trials")
    for name in given.strategies.split(","):
        try:
            cpu, real = thinking_ms(name, load_env(given.env).space, given.trials)
        except (InputError, MissingExtraError) as error:
            print(f"{name:<22}{error}")
            continue
        mean, target = np.mean(cpu[-LAST:]), TARGET_MS.get(name, OTHERS_MS)
        figures = f"{mean:8.1f}{max(cpu[-LAST:]):9.1f}{np.mean(real[-LAST:]):8.1f}{cpu[0]:8.1f}{target:8.0f}"
        print(f"{name:<22}{figures}{'' if mean <= target else '  missed'}", flush=True)


def thinking_ms(name: str, space: Space, trials: int) -> tuple[list[float], list[float]]:
    """How long each of `trials` proposals took, ms of CPU and of real time. Raises InputError if the strategy can't
    take the space, MissingExtraError."""
    strategy = find_strategy(name)
    strategy.check(space)
    space, rng, study = strategy.space_in(space), np.random.default_rng(0), new_study()
    cpu: list[float] = []
    real: list[float] = []
    for number in range(trials):
        begun = time.process_time(), time.perf_counter()
        trial, values = ask(study, strategy.make_sampler(Ask(space, 0, number, trials)), space)
        cpu.append(1e3 * (time.process_time() - begun[0]))
        real.append(1e3 * (time.perf_counter() - begun[1]))
        score, excess = landscape(space, values, rng)
        tell(study, trial, [score], excess)
    return cpu, real


def landscape(space: Space, values: Values, rng: np.random.Generator) -> tuple[float, float]:
    """Score and excess over the limit, percent: better along the first parameter down to a border at 0.3."""
    point = space.encode(values)
    first = float(point[0]) if point.size else 0.5
    score = 40.0 * (1.0 - first) - 10.0 * float(((point[1:] - 0.4) ** 2).sum()) + math.sin(20.0 * first)
    return score + float(rng.normal(0.0, 0.5)), 100.0 * (0.3 - first) + float(rng.normal(0.0, 1.0))


if __name__ == "__main__":
    main()
