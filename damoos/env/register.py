"""Registers the environments with Gymnasium; `import damoos.env` does it."""

from __future__ import annotations

import gymnasium

ENVIRONMENTS = {
    "damoos/OneShot-v0": "damoos.env.one_shot:OneShotEnv",
    "damoos/Tuning-v0": "damoos.env.tuning:TuningEnv",
    "damoos/Control-v0": "damoos.env.control:ControlEnv",
}
VECTORS = {
    "damoos/Tuning-v0": "damoos.env.tuning:TuningVectorEnv",
    "damoos/Control-v0": "damoos.env.batch:ControlVectorEnv",
}
"""Environments that step many episodes at once, for `gymnasium.make_vec`."""


def register() -> None:
    """Makes `gymnasium.make` know the environments; more than once is harmless."""
    for name, entry_point in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry_point, vector_entry_point=VECTORS.get(name))
