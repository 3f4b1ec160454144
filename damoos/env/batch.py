"""`damoos/Control-v0` many times side by side, as Gymnasium's `VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from damoos.errors import InputError

from .draw import TaskSource
from .episodes import Episodes

Observations = NDArray[np.float32]
Actions = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


class ControlVectorEnv(VectorEnv[Observations, Actions, NDArray[Any]]):
    """`num_envs` environments as `damoos.env.control.ControlEnv`, which has the other arguments; `threads`: how many
    at most move simulated runs on, None: one a CPU.

    Environment i does what a single one does that was reset with `seed` + i, or with the i-th of several seeds.
    Nothing is reset by itself: an environment whose episode has ended has to be reset before the next step, by
    `reset(options={"reset_mask": mask})`, a bool array [num_envs], which leaves the others as they are.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int,
        workloads: str | Sequence[str],
        env: str = "reclaim",
        backend: str | Sequence[str] = "sim:zram",
        seeds: int | None = None,
        randomise: bool = False,
        controls: Sequence[str] | None = None,
        step_s: float = 1.0,
        progress: bool = True,
        timing: str = "work",
        threads: int | None = None,
        render_mode: None = None,
    ) -> None:
        source = TaskSource.of(workloads, backend, seeds, randomise, timing)
        self.episodes = Episodes(num_envs, source, env, controls, step_s, progress, threads)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space = self.episodes.observation_space
        self.single_action_space = self.episodes.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator] | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts episodes, in all environments or where `options["reset_mask"]` is True; returns the observations of
        all. Raises InputError for a mask or seeds of another length."""
        which = np.ones(self.num_envs, bool)
        if options is not None and "reset_mask" in options:
            which = np.asarray(options["reset_mask"], bool)
        if seed is None or isinstance(seed, int):
            seeds = [None if seed is None else seed + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        for field, length in (("reset_mask", which.size), ("seed", len(seeds))):
            if length != self.num_envs:
                raise InputError("wrong length", field=field, value=length, allowed=f"{self.num_envs}")
        if self._generators is None:
            self._generators = [np_random()[0] for _ in seeds]
        for i, one in enumerate(seeds):
            if one is not None and which[i]:
                self._generators[i] = np_random(int(one))[0]
        observations = self.episodes.begin(which, self._generators)
        return observations, self._infos({int(i): self.episodes.about(int(i)) for i in np.flatnonzero(which)})

    def step(self, actions: Actions) -> tuple[Observations, NDArray[Any], Flags, Flags, dict[str, Any]]:
        """Steps all. Raises gymnasium.error.ResetNeeded if one has not been reset since its episode ended."""
        if self.episodes.over.any():
            raise gymnasium.error.ResetNeeded(f"step() without a reset() of {np.flatnonzero(self.episodes.over)}")
        steps = self.episodes.step(actions)
        return steps.observations, steps.rewards, steps.terminated, steps.truncated, self._infos(steps.infos)

    def close_extras(self, **kwargs: Any) -> None:
        """Ends all runs."""
        self.episodes.close()

    def _infos(self, of: dict[int, dict[str, Any]]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for i, info in of.items():
            infos = self._add_info(infos, info, i)
        return infos
