"""What was measured of the 24 programs, and how noisy that is.

`damon-evaluation.csv`: runtime and mean RSS on Linux 5.10 in KVM guests of EC2 i3.metal, means of five runs
(damonitor.github.io, DAMON Evaluation). The score curves are not shipped but read from a file: DAMOOS scores of one run
for each min_age, on EC2 bare metal (the DAMOOS repository's polyfit adapter, 2021), -(runtime % + RSS %) / 2 and -1000
where the program got more than 20 % slower.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from damoos.errors import ConfigError

FOLDER = Path(__file__).parent
TOO_SLOW = -1000.0

PRCL_MIN_AGE_S = {
    "parsec3-canneal": 37, "parsec3-dedup": 5, "parsec3-fluidanimate": 3, "parsec3-raytrace": 8,
    "parsec3-streamcluster": 18, "parsec3-swaptions": 0, "parsec3-vips": 2, "parsec3-x264": 58, "splash2x-barnes": 14,
    "splash2x-fft": 33, "splash2x-lu_cb": 7, "splash2x-lu_ncb": 3, "splash2x-ocean_cp": 60, "splash2x-ocean_ncp": 53,
    "splash2x-radix": 60, "splash2x-raytrace": 0, "splash2x-volrend": 0, "splash2x-water_spatial": 4,
}  # fmt: skip
"""min_age of the scheme `prcl`, which was tuned for each program: perf/schemes of the damon-tests repository."""
READ_OFF_MIN_AGE_S = {
    "parsec3-blackscholes": 5, "parsec3-bodytrack": 0, "parsec3-facesim": 4, "parsec3-freqmine": 1,
    "splash2x-radiosity": 4, "splash2x-water_nsquared": 1,
}  # fmt: skip
"""Of the others no value is stored there: the age at which their score curve comes nearest to the score of `prcl`."""


@dataclass(frozen=True)
class Measured:
    """One program. Times in s, memory in bytes. `noise_*`: standard deviation of runs that no scheme touches (orig,
    rec, prec), as a share. `min_ages_s`, `scores` [n]: the curve (None: not measured); `curve_noise`: standard
    deviation of a point, from second differences. `prcl_age_known`: whether prcl's min_age is known or read off the
    curve; `prcl_fitted`: whether RSS and runtime under prcl are fitted, or predicted from the curve."""

    name: str
    runtime_s: float
    rss_bytes: float
    prcl_runtime_s: float
    prcl_rss_bytes: float
    prcl_min_age_s: float
    prcl_age_known: bool
    noise_runtime: float
    noise_rss: float
    min_ages_s: NDArray[np.float64] | None = None
    scores: NDArray[np.float64] | None = None
    curve_noise: float = 0.0
    prcl_fitted: bool = True

    @property
    def prcl_slower(self) -> float:
        """Runtime overhead of prcl, as a share."""
        return self.prcl_runtime_s / self.runtime_s - 1.0

    @property
    def prcl_saved(self) -> float:
        """RSS that prcl saves, as a share."""
        return 1.0 - self.prcl_rss_bytes / self.rss_bytes


def read(curves: Path | None = None) -> tuple[Measured, ...]:
    """All 24 programs, by name; `curves`: the file with the score curves, without which they count as not measured.

    Its format is that of `damoos bench --replay`. Raises ConfigError.
    """
    table: dict[str, dict[str, dict[str, float]]] = {}
    with (FOLDER / "damon-evaluation.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            figures = {key: float(row[key]) for key in ("orig", "rec", "prec", "prcl")}
            table.setdefault(row["workload"].replace("/", "-"), {})[row["metric"]] = figures
    by_name = {} if curves is None else _curves(curves)
    return tuple(_measured(name, figures, by_name.get(name)) for name, figures in sorted(table.items()))


def _curves(path: Path) -> dict[str, dict[str, list[float]]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["landscapes"]
        return {key.replace(".", "-") if "." in key else f"parsec3-{key}": dict(curve) for key, curve in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"no score curves: {error!r}", file=path, allowed='{"landscapes": {…}}') from error


def _measured(name: str, figures: dict[str, dict[str, float]], curve: dict[str, list[float]] | None) -> Measured:
    runtime, rss = figures["runtime"], figures["rss.avg"]
    ages = scores = None
    noise = 0.0
    if curve is not None:
        ages, scores = np.array(curve["min_age_s"], float), np.array(curve["score"], float)
        noise = _noise(scores[scores > TOO_SLOW])
    known = name in PRCL_MIN_AGE_S
    age = PRCL_MIN_AGE_S[name] if known else READ_OFF_MIN_AGE_S[name]
    return Measured(
        name=name,
        runtime_s=runtime["orig"],
        rss_bytes=rss["orig"] * 1024,
        prcl_runtime_s=runtime["prcl"],
        prcl_rss_bytes=rss["prcl"] * 1024,
        prcl_min_age_s=float(age),
        prcl_age_known=known,
        noise_runtime=_spread(runtime),
        noise_rss=_spread(rss),
        min_ages_s=ages,
        scores=scores,
        curve_noise=noise,
    )


def _spread(figures: dict[str, float]) -> float:
    undisturbed = [figures[key] for key in ("orig", "rec", "prec")]
    return float(np.std(undisturbed, ddof=1) / np.mean(undisturbed))


def _noise(scores: NDArray[np.float64]) -> float:
    # Independent noise of variance v gives second differences a variance of 6 v; the median is robust to cliffs.
    return float(np.median(abs(np.diff(scores, 2))) / (0.6745 * np.sqrt(6.0)))
