"""Where fitted models and the figures about them are kept: configurations, descriptions, `fit.json`, the table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from damoos.catalogue import markdown_table, renew_table
from damoos.workload import masim
from damoos.workload.masim import MasimWorkload

from .family import Model
from .measured import Measured, read
from .quality import Quality
from .simulate import Simulated

CHECKOUT = Path(__file__).parents[2]
MODELS = CHECKOUT / "workloads" / "parsec"
FIGURES = Path(__file__).parent / "fit.json"
PAGE = CHECKOUT / "docs" / "parsec.md"

WHAT = {
    "parsec3-blackscholes": "Option pricing", "parsec3-bodytrack": "Tracking of a body in videos",
    "parsec3-canneal": "Chip routing by simulated annealing", "parsec3-dedup": "Compression by deduplication",
    "parsec3-facesim": "Simulation of a face", "parsec3-fluidanimate": "Simulation of a fluid",
    "parsec3-freqmine": "Mining of frequent itemsets", "parsec3-raytrace": "Ray tracing in real time",
    "parsec3-streamcluster": "Clustering of a stream", "parsec3-swaptions": "Pricing of swaptions",
    "parsec3-vips": "Image processing", "parsec3-x264": "Video encoding", "splash2x-barnes": "Barnes-Hut n-body",
    "splash2x-fft": "Fast Fourier transform", "splash2x-lu_cb": "LU factorisation, contiguous blocks",
    "splash2x-lu_ncb": "LU factorisation, scattered blocks", "splash2x-ocean_cp": "Ocean currents, contiguous grids",
    "splash2x-ocean_ncp": "Ocean currents, scattered grids", "splash2x-radiosity": "Radiosity of a scene",
    "splash2x-radix": "Radix sort", "splash2x-raytrace": "Ray tracing", "splash2x-volrend": "Volume rendering",
    "splash2x-water_nsquared": "Forces in water, all pairs", "splash2x-water_spatial": "Forces in water, by cells",
}  # fmt: skip
"""What the programs do."""

SOURCE = (
    "Fitted by experiments/fit_parsec.py to DAMON's evaluation (damonitor.github.io) and, where there are any, scores "
    "measured with DAMOOS's polyfit adapter (2021)"
)
COLUMNS = (
    "program", "runtime, s", "RSS, MiB", "prcl: min_age, s", "RSS saved, %", "runtime, %", "curve RMSE fitted",
    "held out", "noise", "offset", "verdict",
)  # fmt: skip
GOOD, FAIR = 1.5, 3.0
"""RMSE of the held-out points that is called good, in units of their noise, and fair, in points."""
PRCL_GOOD, PRCL_FAIR = 0.03, 0.08
"""Errors of prcl's saved RSS and runtime overhead, as shares, that are called good and fair."""


def verdict(measured: Measured, found: Quality) -> str:
    """ "good", "fair", or what it is that is not reproduced."""
    prcl = max(abs(found.prcl_saved - measured.prcl_saved), abs(found.prcl_slower - measured.prcl_slower))
    curve = found.held_out_rmse
    good = prcl <= PRCL_GOOD and (curve is None or curve <= max(GOOD * found.curve_noise, 0.5))
    if good and not found.cliff_missed:
        return "good"
    missing = []
    if curve is not None and curve > max(FAIR, GOOD * found.curve_noise):
        missing.append("the curve")
    if abs(found.prcl_saved - measured.prcl_saved) > PRCL_FAIR:
        missing.append("RSS under prcl")
    if abs(found.prcl_slower - measured.prcl_slower) > PRCL_FAIR:
        missing.append("runtime under prcl")
    return f"not {' and '.join(missing)}" if missing else "fair"


def write(measured: Measured, model: Model, workload: MasimWorkload, simulated: Simulated, found: Quality) -> None:
    """Writes the model's two files and its entry in `fit.json`."""
    MODELS.mkdir(exist_ok=True)
    head = f"# Model of {measured.name}, made by experiments/fit_parsec.py; do not edit.\n# name, bytes, initial data\n"
    (MODELS / f"{measured.name}.cfg").write_text(head + masim.dumps(workload), encoding="utf-8")
    (MODELS / f"{measured.name}.toml").write_text(_description(measured, model, workload, found), encoding="utf-8")
    figures = _figures()
    figures[measured.name] = {
        "shares": {part.name: round(share, 4) for part, share in model.shares},
        "quality": {key: _short(value) for key, value in dataclasses.asdict(found).items()},
        "saved": [_short(x) for x in simulated.saved.tolist()],
        "slower": [_short(x) for x in simulated.slower.tolist()],
    }
    FIGURES.write_text(json.dumps(dict(sorted(figures.items())), indent=1) + "\n", encoding="utf-8")


def write_tables() -> None:
    """Writes the table in `docs/parsec.md`."""
    PAGE.write_text(renewed(), encoding="utf-8")


def renewed() -> str:
    """`docs/parsec.md` with the table of what is in `fit.json`."""
    known = _figures()
    programs = [program for program in read() if program.name in known]
    table = markdown_table(COLUMNS, [_row(program, fitted(program.name)) for program in programs])
    return renew_table(PAGE, "parsec", f"{table}\n{_together(programs)}")


def _together(programs: Sequence[Measured]) -> str:
    models = [fitted(program.name) for program in programs]
    rank = {
        name: spearmanr([getattr(m, name) for m in programs], [getattr(f, name) for f in models]).statistic
        for name in ("prcl_saved", "prcl_slower")
    }
    rss, runtime = np.array([m.rss_bytes for m in programs]), np.array([m.runtime_s for m in programs])
    less = [-100 * rss @ np.array([x.prcl_saved for x in each]) / rss.sum() for each in (programs, models)]
    longer = [100 * runtime @ np.array([x.prcl_slower for x in each]) / runtime.sum() for each in (programs, models)]
    return (
        f"All {len(programs)} together under prcl, measured / simulated: RSS {_pair(*less, 1)} %, runtime "
        f"{_pair(*longer, 1)} %.\nSpearman's rank correlation of the programs: saved RSS {rank['prcl_saved']:.2f}, "
        f"runtime {rank['prcl_slower']:.2f}.\n"
    )


def fitted(name: str) -> Quality:
    """The figures of a model that was fitted."""
    return Quality(**_figures()[name]["quality"])


def in_a_line(measured: Measured, found: Quality) -> str:
    """The figures of a model, for a terminal."""
    return "  ".join(_row(measured, found))


def _figures() -> dict[str, Any]:
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}


def _row(measured: Measured, found: Quality) -> list[str]:
    curve = ["", "", "", ""]
    if found.fitted_rmse is not None and found.held_out_rmse is not None:
        curve = [
            f"{found.fitted_rmse:.1f}",
            f"{found.held_out_rmse:.1f}",
            f"{found.curve_noise:.1f}",
            f"{found.offset:+.1f}",
        ]
    return [
        f"`{measured.name}`",
        _pair(measured.runtime_s, measured.runtime_s * (1.0 + found.runtime_error), 1),
        _pair(measured.rss_bytes / 2**20, measured.rss_bytes * (1.0 + found.rss_error) / 2**20, 1),
        f"{'' if measured.prcl_age_known else '≈ '}{measured.prcl_min_age_s:g}",
        _pair(100 * measured.prcl_saved, 100 * found.prcl_saved, 1),
        _pair(100 * measured.prcl_slower, 100 * found.prcl_slower, 1),
        *curve,
        verdict(measured, found),
    ]


def _pair(measured: float, simulated: float, decimals: int) -> str:
    return f"{measured:.{decimals}f} / {simulated:.{decimals}f}"


def _description(measured: Measured, model: Model, workload: MasimWorkload, found: Quality) -> str:
    step = 2**20 if workload.footprint_bytes % 2**18 == 0 else 2**10
    footprint = f"{workload.footprint_bytes / step:.10g} {'MiB' if step == 2**20 else 'KiB'}"
    suite = measured.name.partition("-")[0]
    parts = ", ".join(f"{part.name.replace('_', ' ').replace('pc', ' %')} {100 * s:.1f} %" for part, s in model.shares)
    fit = (
        f"Without a scheme runtime and mean RSS are the program's within {100 * abs(found.runtime_error):.1f} % and "
        f"{100 * abs(found.rss_error):.1f} %. Under prcl (min_age {measured.prcl_min_age_s:g} s) it saves "
        f"{100 * found.prcl_saved:.1f} % of RSS for {100 * found.prcl_slower:.1f} % of runtime; measured: "
        f"{100 * measured.prcl_saved:.1f} % for {100 * measured.prcl_slower:.1f} %, where runs without a scheme differ "
        f"by {100 * measured.noise_rss:.1f} % in RSS and {100 * measured.noise_runtime:.1f} % in runtime."
    )
    if found.held_out_rmse is not None:
        fit += (
            f" Root mean square error of the score over min_age: {found.fitted_rmse:.1f} points where fitted, "
            f"{found.held_out_rmse:.1f} where held out; noise of a point {found.curve_noise:.1f}."
        )
        if found.cliff_missed:
            fit += f" At {found.cliff_missed} min_ages it is wrong about a slowdown of more than 20 %."
    return f'''title = "{WHAT[measured.name]}"
description = """
A model of the memory of {measured.name.replace("-", " ")}, not a recording: fitted to published measurements on the
machine model damon-eval.
Shares of mean RSS by the time between touches (cold: touched once, after that part of the runtime): {parts}.
{fit} Fit: {verdict(measured, found)}; docs/parsec.md."""
footprint = "{footprint}"
length_s = {workload.duration_ms / 1000:g}
tags = ["published", "page-out", "{suite}"]
source = "{SOURCE}"
'''


def _short(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
