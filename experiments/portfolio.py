"""Chooses the points of the strategy `portfolio`: `python experiments/portfolio.py`.

Every shipped workload that is no model of a measured program (those are for evaluation) is run on a simulated machine
at points that fill the space evenly. A portfolio is grown greedily: each point is the one that adds most to the mean,
over workloads, of the best score / best known score so far. One is made for each set of parameters in `SETS`, the
others of the env at their defaults. Writes `damoos/tune/strategies/portfolio.json`; `--check` compares with it
instead. Simulated; about three minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from damoos.backend.registry import open_backend
from damoos.catalogue import find, names
from damoos.experiment.env_task import EnvTask
from damoos.experiment.replay import VIOLATION
from damoos.tune.preset import Env, load_env
from damoos.tune.program import find_workload
from damoos.tune.space import Value

OUT = Path(__file__).parents[1] / "damoos" / "tune" / "strategies" / "portfolio.json"
ENV, MACHINES = "reclaim", ("zram",)
SETS = (("min_age",), ("min_age", "min_size", "max_accesses", "sample_interval", "samples"))
LINE_POINTS, SPACE_POINTS = 64, 128
SEED = 1
LENGTH = 5
WORTHWHILE = 1.0
"""A task counts if something there scores more than this, points: elsewhere no scheme is the answer."""


def candidates(env: Env, tuned: tuple[str, ...]) -> list[dict[str, Value]]:
    """Points that fill the space of the tuned parameters, the default first."""
    index = [i for i, parameter in enumerate(env.space.parameters) if parameter.name in tuned]
    if len(index) == 1:
        spread = np.linspace(0.0, 1.0, LINE_POINTS)[:, None]
    else:
        spread = qmc.Sobol(len(index), scramble=True, rng=SEED).random(SPACE_POINTS)
    points = np.tile(env.space.encode(env.space.defaults()), (len(spread) + 1, 1))
    points[1:, index] = spread
    return [env.space.decode(point) for point in points]


def tasks(env: Env) -> list[EnvTask]:
    """What is trained on: workloads of one process that lie in no group, on each machine."""
    found = []
    for machine in MACHINES:
        backend = open_backend(f"sim:{machine}")
        for name in names("workloads"):
            path = find("workloads", name)
            if path.parent.name == "workloads" and path.suffix == ".cfg":
                found.append(EnvTask(f"{name} on {machine}", env, find_workload(name), backend))
    return found


def worths(trained: list[EnvTask], points: list[dict[str, Value]]) -> NDArray[np.float64]:
    """Score / best score [tasks, points] of those tasks where something is worthwhile; what breaks the limit is -20."""
    rows = []
    for task in trained:
        scores = [task.measure(values, SEED, 0) for values in points]
        worth = np.array([m.score if m.feasible else VIOLATION for m in scores])
        print(f"  {task.name}: best {worth.max():.1f}", file=sys.stderr)
        if worth.max() > WORTHWHILE:
            rows.append(worth / worth.max())
    return np.array(rows)


def grown(of_best: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """The chosen points in order, and the mean of the best so far after each."""
    chosen: list[int] = []
    means: list[float] = []
    reached = np.full(len(of_best), -np.inf)
    for _ in range(LENGTH):
        after = np.maximum(reached[:, None], of_best).mean(axis=0)
        chosen.append(int(np.argmax(after)))
        reached = np.maximum(reached, of_best[:, chosen[-1]])
        means.append(round(float(reached.mean()), 3))
    return chosen, means


def portfolios() -> dict[str, Any]:
    """The content of the file."""
    env = load_env(ENV)
    trained = tasks(env)
    for task in trained:
        task.repeats = 2
    places = {parameter.name: parameter.place for parameter in env.space.parameters}
    made = []
    for tuned in SETS:
        print(f"{', '.join(tuned)}:", file=sys.stderr)
        points = candidates(env, tuned)
        chosen, means = grown(worths(trained, points))
        listed = [{places[name]: points[i][name] for name in tuned} for i in chosen]
        made.append({"places": [places[name] for name in tuned], "points": listed, "mean_of_best": means})
    learned = sorted({task.name for task in trained})
    return {"format": 1, "made_by": "experiments/portfolio.py", "learned_from": learned, "portfolios": made}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    options = parser.parse_args()
    text = json.dumps(portfolios(), indent=1) + "\n"
    if options.check:
        sys.exit(None if text == OUT.read_text(encoding="utf-8") else f"{OUT} would be another one")
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
