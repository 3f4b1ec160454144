"""What environments that step many episodes at once have in common, as Gymnasium's `VectorEnv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from damoos.errors import InputError

from .spec import SpecOfRuns

Observed = TypeVar("Observed")
Acted = TypeVar("Acted")
Info = dict[str, Any]


class SideBySide(SpecOfRuns, VectorEnv[Observed, Acted, NDArray[Any]]):
    """`num_envs` environments with one space each for observations and actions.

    Nothing is reset by itself: `reset(options={"reset_mask": mask})`, a bool array [num_envs], begins the next episodes
    of those that ended and leaves the others as they are. Environment i is seeded as a single one is with `seed` + i,
    or with the i-th of several seeds.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self, num_envs: int, observation_space: spaces.Box, action_space: spaces.Box, render_mode: None = None
    ) -> None:
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs

    def _chosen(
        self, seed: int | Sequence[int | None] | None, options: dict[str, Any] | None
    ) -> list[tuple[int, np.random.Generator]]:
        """Which environments a `reset` is of, each with its generator. Raises InputError for a mask or seeds of another
        length."""
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            value = f"{mask.dtype} {list(mask.shape)}"
            raise InputError("wrong mask", field="reset_mask", value=value, allowed=f"bool [{self.num_envs}]")
        given: Sequence[int | None] = [None] * self.num_envs
        if seed is not None:
            given = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        if len(given) != self.num_envs:
            raise InputError("wrong length", field="seed", value=len(given), allowed=f"{self.num_envs} seeds")
        found = []
        for i in np.flatnonzero(mask).tolist():
            generator, own_seed = self._generators[i], given[i]
            if generator is None or own_seed is not None:
                generator = self._generators[i] = np_random(own_seed)[0]
            found.append((i, generator))
        return found

    def _infos(self, told: Iterable[tuple[int, Info]]) -> Info:
        """Infos of single environments, with their numbers, as Gymnasium puts them together."""
        infos: Info = {}
        for i, info in told:
            infos = self._add_info(infos, info, i)
        return infos
