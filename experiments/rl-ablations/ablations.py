"""What the parts of `damoos/Tuning-v0` are worth: `python experiments/rl-ablations/ablations.py`.

A short training of each variant with each seed, on landscapes of generated-train workloads that are kept in a folder
(`--landscapes`; measured at their first use); then real sessions on held-out workloads, the same for all, on the
simulated machine itself and on machines whose costs are scaled at random. `results.csv` gets a row a training, and the
table in `README.md` is made of it; what has a row already is not trained again. `--steps`, `--seeds`, `--only` and
`--out` make it smaller. About a minute a training on one core that has nothing else to do.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from damoos.env.history import SCORE_SCALE
from damoos.env.tuning import RUNS, TuningVectorEnv
from damoos.rl.policy import Policy
from damoos.rl.request import Training
from damoos.rl.settings import load_settings, settings_file
from damoos.rl.train import train

HERE = Path(__file__).parent
PRESET, BACKEND, ALGORITHM = "reclaim", "sim:zram", "ppo"
VALIDATION, HELD_OUT = "generated-validation-0:16", "generated-test-0:32"
SESSIONS, SEED = 64, 0x68656C64
"""Held-out sessions a machine, and the seed that draws them."""
MOST_WORKLOADS = 96
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {
    "all of it": (MOST_WORKLOADS, {}),
    "no profile": (MOST_WORKLOADS, {"profile": False}),
    "no history": (MOST_WORKLOADS, {"history": 0}),
    "history of 1": (MOST_WORKLOADS, {"history": 1}),
    "neither": (MOST_WORKLOADS, {"profile": False, "history": 0}),
    "randomised machines": (MOST_WORKLOADS, {"randomise": True}),
    "8 workloads": (8, {}),
    "32 workloads": (32, {}),
}
"""How many workloads are trained on, and arguments of the environment."""
SMALL = {"envs": 256}
"""Settings of these trainings that differ from those of a policy that is to be used."""
AFTER = (1, 3, RUNS)
MACHINES = ("same", "scaled")
COLUMNS = ("variant", "seed", "steps", "seconds", *(f"{m}_{n}" for m in MACHINES for n in AFTER))


def learned(variant: str, seed: int, steps: int, landscapes: Path, folder: Path) -> Policy:
    """The policy of one short training."""
    workloads, arguments = VARIANTS[variant]
    changes = {**SMALL, "steps": steps, "evaluations": 2, "episodes": 16}
    kept = {"landscapes": str(landscapes), "power": 1.0, **arguments}
    settings, given = load_settings(settings_file("tuning", PRESET), ALGORITHM, changes, kept)
    training = Training(
        preset=PRESET,
        mode="tuning",
        algorithm=ALGORITHM,
        workloads=(f"generated-train-0:{workloads}",),
        validation=(VALIDATION,),
        backend=BACKEND,
        out=folder,
        settings=settings,
        arguments=given,
        seed=seed,
    )
    return train(training)


def best_after(policy: Policy, randomise: bool) -> NDArray[np.float64]:
    """The best feasible score, percent, after each trial of each held-out session, [trials, sessions]."""
    shown = {key: policy.arguments[key] for key in ("profile", "history") if key in policy.arguments}
    many = TuningVectorEnv(SESSIONS, HELD_OUT, env=PRESET, backend=BACKEND, randomise=randomise, **shown)
    actor, (seen, _) = policy.actor(), many.reset(seed=SEED)
    begun, total, found = np.ones(SESSIONS, bool), np.zeros(SESSIONS), []
    for _ in range(RUNS):
        seen, rewards, *_ = many.step(actor(seen, begun))
        total, begun = total + SCORE_SCALE * rewards, np.zeros(SESSIONS, bool)
        found.append(total)
    many.close()
    return np.array(found)


def row(variant: str, seed: int, steps: int, landscapes: Path) -> dict[str, Any]:
    """One training, and what it is worth."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        policy = learned(variant, seed, steps, landscapes, Path(folder) / "policy")
    found: dict[str, Any] = {"variant": variant, "seed": seed, "steps": steps}
    found["seconds"] = round(time.monotonic() - began)
    for machine in MACHINES:
        best = best_after(policy, randomise=machine == "scaled")
        found |= {f"{machine}_{n}": round(float(best[n - 1].mean()), 2) for n in AFTER}
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the seeds, and in brackets the lowest and the highest."""
    heads = [f"{machine}, {n}" for machine in MACHINES for n in AFTER]
    lines = [f"| variant | seeds | {' | '.join(heads)} |", f"| --- | --- |{' --- |' * len(heads)}"]
    for variant in VARIANTS:
        own = [r for r in rows if r["variant"] == variant]
        if not own:
            continue
        cells = []
        for column in COLUMNS[4:]:
            scores = [float(r[column]) for r in own]
            cells.append(f"{np.mean(scores):.1f} ({min(scores):.1f}, {max(scores):.1f})")
        lines.append(f"| {variant} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Trains what is missing, and writes the results and their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000, help="of each training")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="a variant; repeatable")
    parser.add_argument("--landscapes", type=Path, default=Path("damoos-out/landscapes"))
    parser.add_argument("--out", type=Path, default=HERE, help="the folder of results.csv and README.md")
    given = parser.parse_args()
    results, page = given.out / "results.csv", given.out / "README.md"
    rows = list(csv.DictReader(results.open(encoding="utf-8"))) if results.is_file() else []
    done = {(r["variant"], int(r["seed"]), int(r["steps"])) for r in rows}
    for seed in range(given.seeds):
        for variant in given.only or VARIANTS:
            if (variant, seed, given.steps) in done:
                continue
            rows.append(row(variant, seed, given.steps, given.landscapes))
            print(rows[-1], flush=True)
            with results.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- table -->\n")
            _, end, after = rest.partition("<!-- end -->")
            text = f"{before}{begin}\n{table(rows)}\n\n{end}{after}"
            page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
