"""Registers the environments with Gymnasium; `import damoos.env` does it."""

from __future__ import annotations

import re

import gymnasium

from damoos import catalogue

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
UNCONTROLLED = ("monitoring", "monitoring-goal", "reclaim-feedback")
"""Presets that `ControlEnv` refuses."""
_PRESET = re.compile(r"[\w.-]+")
"""What can be part of an id."""


def register() -> None:
    """Makes `gymnasium.make` know the environments, and each with each preset that comes with damoos as an id of its
    own (`damoos/Control-reclaim-v0`); more than once is harmless."""
    for name, entry_point in ENVIRONMENTS.items():
        _register(name, entry_point, name, {})
        mode, version = name.rsplit("-", 1)
        for preset in catalogue.names("envs"):
            if _PRESET.fullmatch(preset) and (mode != "damoos/Control" or preset not in UNCONTROLLED):
                _register(f"{mode}-{preset}-{version}", entry_point, name, {"env": preset})


def _register(id: str, entry_point: str, plain: str, arguments: dict[str, str]) -> None:
    if id not in gymnasium.registry:
        gymnasium.register(id, entry_point=entry_point, vector_entry_point=VECTORS.get(plain), kwargs=arguments)
