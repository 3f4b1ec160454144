"""Policies with a memory (recurrent ones), which act by stable-baselines3 itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Floats, Normaliser


class RememberingActor:
    """An `Actor` with the memory of N episodes side by side, which `begun` clears. `model`: of
    stable-baselines3."""

    def __init__(self, model: Any, normaliser: Normaliser | None) -> None:
        self._model = model
        self._normaliser = normaliser
        self._state: tuple[Any, ...] | None = None

    def __call__(self, observations: Floats, begun: NDArray[np.bool_]) -> NDArray[np.float32]:
        seen = observations if self._normaliser is None else self._normaliser(observations)
        actions, self._state = self._model.predict(seen, self._state, begun, deterministic=True)
        return np.asarray(actions, np.float32)
