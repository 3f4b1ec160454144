"""Fits the workload models in `workloads/parsec/` to published measurements.

    python experiments/fit_parsec.py CURVES.json

The file has the score curves of DAMOOS's repository in the format of `damoos bench --replay`; it is not shipped.

For each program the shares of hot, warm and cold memory follow from a closed form, then from the simulator's difference
to it, step by step. Fitted are runtime and mean RSS without a scheme, RSS and runtime under prcl, and the score curve
at even min_ages; the curve at odd min_ages is a prediction. Writes each model with its description,
`experiments/parsec/fit.json` and the table in `docs/parsec.md`.

`--only NAME` fits one program; `--predict-prcl` fits the curves alone, says how well RSS and runtime under prcl are
predicted, and writes nothing; `--tables` only writes the table anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from damoos.errors import ConfigError
from damoos.sim.backend import SimBackend, open_sim
from damoos.workload.masim import MasimWorkload

from parsec import store
from parsec.estimate import Correction, Near, estimate, fitted_ages, response
from parsec.family import Model
from parsec.measured import Measured, read
from parsec.quality import Quality, loss, quality
from parsec.simulate import Seeds, Simulated, made_to_measure, simulate

MACHINE = "damon-eval"
ROUNDS, ROUNDS_WITHOUT_CURVE = 24, 60
PATIENCE = 3
FIRST_SPREAD = 0.2
FIT_SEEDS = Seeds(curve=(1, 2), prcl=tuple(range(1, 9)))
TEST_SEEDS = Seeds(curve=(101, 102, 103), prcl=tuple(range(101, 111)))


@dataclass(frozen=True)
class Fitted:
    """A model, its configuration, and the offset of the curve that it was fitted to, points."""

    model: Model
    workload: MasimWorkload
    offset: float


def fit(backend: SimBackend, measured: Measured) -> Fitted:
    """The best model of all rounds.

    Like Levenberg and Marquardt: from the best so far, with the simulator's difference to the closed form there, to the
    estimate's optimum in its neighbourhood, which grows with success and shrinks without. After a few failures in a row
    the neighbourhood is that of shares drawn at random around the best ones.
    """
    fault_s = backend.machine.major_fault_us / 1e6
    ages = fitted_ages(measured)
    rng = np.random.default_rng(0)
    best: tuple[float, Fitted] | None = None
    correction, near = None, None
    spread, failures = FIRST_SPREAD, 0
    for _ in range(ROUNDS if measured.scores is not None else ROUNDS_WITHOUT_CURVE):
        found = estimate(measured, fault_s, correction, near)
        model = Model(measured.name, measured.runtime_s, measured.rss_bytes, found.shares)
        workload = made_to_measure(backend, model)
        simulated = simulate(backend, workload, ages[:-1].tolist(), measured.prcl_min_age_s, FIT_SEEDS)
        error = loss(measured, simulated, found.offset)
        if best is not None and error >= best[0]:
            spread, failures = spread / 3.0, failures + 1
        else:
            spread, failures = min(1.5 * spread, FIRST_SPREAD), 0
            best = error, Fitted(model, workload, found.offset)
            kinds, sizes = [part for part, _ in found.shares], np.array([share for _, share in found.shares])
            expected = response(kinds, ages, measured, fault_s)
            correction = Correction(
                simulated.saved - expected.saved @ sizes, simulated.slower - expected.slower @ sizes
            )
        centre = dict(best[1].model.shares)
        if failures >= PATIENCE:
            drawn = {part: share * rng.lognormal(0.0, 0.4) for part, share in centre.items()}
            centre = {part: share / sum(drawn.values()) for part, share in drawn.items()}
            spread = FIRST_SPREAD / 8.0
        near = Near(centre, spread)
    assert best is not None
    return best[1]


def judged(backend: SimBackend, measured: Measured, fitted: Fitted) -> tuple[Simulated, Quality]:
    """The model at all ages of the curve, then prcl's, with seeds that the fit did not use."""
    curve = [] if measured.min_ages_s is None else measured.min_ages_s.tolist()
    simulated = simulate(backend, fitted.workload, curve, measured.prcl_min_age_s, TEST_SEEDS)
    return simulated, quality(measured, simulated, fitted.offset)


def predict_prcl(backend: SimBackend, programs: Sequence[Measured]) -> None:
    """Prints RSS and runtime under prcl as they follow from the curves."""
    errors = []
    for program in programs:
        if program.scores is None:
            continue
        _, found = judged(backend, program, fit(backend, replace(program, prcl_fitted=False)))
        print(store.in_a_line(program, found), flush=True)
        errors.append((found.prcl_saved - program.prcl_saved, found.prcl_slower - program.prcl_slower))
    for what, values in zip(("saved RSS", "runtime"), np.array(errors).T, strict=True):
        size = abs(100 * values)
        print(f"{what} under prcl: error {np.median(size):.1f} points in the median, {size.max():.1f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", help="fit only this program")
    parser.add_argument("--predict-prcl", action="store_true", help="fit curves alone, predict prcl, write nothing")
    parser.add_argument("--tables", action="store_true", help="write the table from what was fitted before")
    parser.add_argument("curves", nargs="?", type=Path, metavar="CURVES.json", help="the score curves over min_age")
    given = parser.parse_args()
    if given.tables:
        store.write_tables()
        return
    if given.curves is None:
        parser.error("CURVES.json is missing: only --tables does without it")
    try:
        programs = [program for program in read(given.curves) if given.only in (None, program.name)]
    except ConfigError as error:
        parser.error(str(error))
    backend = open_sim(MACHINE)
    if given.predict_prcl:
        predict_prcl(backend, programs)
        return
    for program in programs:
        started = time.perf_counter()
        fitted = fit(backend, program)
        simulated, found = judged(backend, program, fitted)
        store.write(program, fitted.model, fitted.workload, simulated, found)
        print(f"{store.in_a_line(program, found)}  ({time.perf_counter() - started:.0f} s)", flush=True)
    store.write_tables()


if __name__ == "__main__":
    main()
