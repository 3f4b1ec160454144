"""What the environments' specifications say of the machines that episodes run on."""

from __future__ import annotations

from copy import copy
from typing import Any

from gymnasium.envs.registration import EnvSpec


class SpecOfRuns:
    """Makes `spec`, which `gymnasium.make` sets, say `nondeterministic` where `simulated` is False: the same seed and
    actions give the same episode on the simulator only, and one id is for all backends."""

    simulated = True
    _spec: EnvSpec | None = None

    @property
    def spec(self) -> Any:
        """The specification, an `EnvSpec`; None where the environment was not made by its id."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None and not self.simulated:
            spec = copy(spec)
            spec.nondeterministic = True
        self._spec = spec
