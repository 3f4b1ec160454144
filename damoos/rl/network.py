"""The actions of a learned policy, in NumPy alone: what stable-baselines3 answers with `deterministic=True`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from damoos.errors import ConfigError

Floats = NDArray[np.floating]
Activation = Literal["tanh", "relu"]
Output = Literal["clip", "squash", "argmax"]

ACTIVATIONS: tuple[Activation, ...] = ("tanh", "relu")
OUTPUTS: tuple[Output, ...] = ("clip", "squash", "argmax")


@dataclass(frozen=True)
class Normaliser:
    """What SB3's VecNormalize does to observations: (x - mean) / sqrt(variance + epsilon), clipped to ± clip."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    clip: float
    epsilon: float

    def __call__(self, observations: Floats) -> NDArray[np.float32]:
        scaled = (observations - self.mean) / np.sqrt(self.variance + self.epsilon)
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)


@dataclass(frozen=True)
class Network:
    """Fully connected layers, each (weights [out, in], biases [out]), `activation` after each but the last.

    `output`: the last layer's numbers are the action, clipped to ± 1 ("clip"), or after a tanh ("squash"), or the
    largest of them says which row of `grid` [number, d] is the action ("argmax"). Raises ConfigError if shapes don't
    fit together.
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    activation: Activation
    output: Output
    normaliser: Normaliser | None = None
    grid: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        width = self.observations if self.normaliser is None else len(self.normaliser.mean)
        for i, (weights, biases) in enumerate(self.layers):
            if weights.ndim != 2 or weights.shape[1] != width or biases.shape != weights.shape[:1]:
                value = f"{weights.shape} and {biases.shape} after {width} numbers"
                raise ConfigError("shapes don't fit together", field=f"layer {i}", value=value)
            width = len(biases)
        if (self.output == "argmax") != (self.grid is not None):
            raise ConfigError("a grid belongs to argmax", field="output", value=self.output)
        if self.grid is not None and len(self.grid) != width:
            raise ConfigError("does not fit the last layer", field="grid", value=len(self.grid), allowed=str(width))

    @property
    def observations(self) -> int:
        """How many numbers an observation has."""
        return self.layers[0][0].shape[1]

    @property
    def actions(self) -> int:
        """How many numbers an action has."""
        return len(self.layers[-1][1]) if self.grid is None else self.grid.shape[1]

    def __call__(self, observations: Floats) -> NDArray[np.float32]:
        """Actions float32 […, d] in [-1, 1] for observations […, D]."""
        x = np.asarray(observations, np.float32) if self.normaliser is None else self.normaliser(observations)
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights.T + biases
            if i + 1 < len(self.layers):
                x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0.0)
        if self.grid is not None:
            return self.grid[np.argmax(x, axis=-1)]
        return np.tanh(x) if self.output == "squash" else np.clip(x, -1.0, 1.0)
