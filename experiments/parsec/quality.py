"""How well a model fits: errors of the curve where it was fitted and where it was not, of RSS and of runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .estimate import LIMIT, LIMIT_NOISE, OFFSET_NOISE, point_noise, prcl_noise
from .measured import TOO_SLOW, Measured
from .simulate import Simulated

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """Shares where nothing else is said. `runtime_error`, `rss_error`: of a run without a scheme, relative;
    `prcl_saved`, `prcl_slower`: simulated. `fitted_rmse`, `held_out_rmse`: of the curve at even and odd min_ages,
    points, less the `offset` that all its points have in common (None: no curve); `cliff_missed`: of how many min_ages
    it is not foretold whether the program gets too slow."""

    runtime_error: float
    rss_error: float
    prcl_saved: float
    prcl_slower: float
    fitted_rmse: float | None = None
    held_out_rmse: float | None = None
    offset: float = 0.0
    cliff_missed: int = 0
    curve_noise: float = 0.0


def loss(measured: Measured, simulated: Simulated, offset: float) -> float:
    """What fitting minimises: squared errors in units of the noise. `simulated` at `estimate.fitted_ages`."""
    total = 0.0
    if measured.prcl_fitted:
        of_saved, of_slower = prcl_noise(measured)
        total += ((simulated.saved[-1] - measured.prcl_saved) / of_saved) ** 2
        total += ((simulated.slower[-1] - measured.prcl_slower) / of_slower) ** 2
    if measured.scores is None:
        return float(total)
    scores, slower = measured.scores[::2], simulated.slower[:-1]
    fine = scores > TOO_SLOW
    points = 50.0 * (simulated.saved[:-1] - slower) + offset
    total += (((points - scores)[fine] / point_noise(measured)) ** 2).sum() + (offset / OFFSET_NOISE) ** 2
    return float(total + (np.clip(LIMIT - slower[~fine], 0.0, None) ** 2).sum() / LIMIT_NOISE**2)


def quality(measured: Measured, simulated: Simulated, offset: float) -> Quality:
    """`simulated`: at all ages of the curve, then at prcl's; `offset`: the curve's, points."""
    basics = {
        "runtime_error": simulated.runtime_s / measured.runtime_s - 1.0,
        "rss_error": simulated.rss_bytes / measured.rss_bytes - 1.0,
        "prcl_saved": float(simulated.saved[-1]),
        "prcl_slower": float(simulated.slower[-1]),
    }
    if measured.scores is None:
        return Quality(**basics)
    found = simulated.scores()[:-1]
    both = (measured.scores > TOO_SLOW) & (found > TOO_SLOW)
    error = np.where(both, found + offset - measured.scores, np.nan)
    return Quality(
        **basics,
        fitted_rmse=_rms(error[::2]),
        held_out_rmse=_rms(error[1::2]),
        offset=offset,
        curve_noise=measured.curve_noise,
        cliff_missed=int(((measured.scores > TOO_SLOW) != (found > TOO_SLOW)).sum()),
    )


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.nanmean(errors**2)))
