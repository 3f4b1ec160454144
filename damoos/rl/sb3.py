"""Batched Gymnasium environments as stable-baselines3 wants them; it takes no `gymnasium.vector.VectorEnv` itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from damoos.errors import InputError


class BatchedVecEnv(VecEnv):
    """An SB3 `VecEnv` over one `VectorEnv` whose `metadata["autoreset_mode"]` is `AutoresetMode.DISABLED`.

    What has ended is begun anew within the same step, by `reset(options={"reset_mask": …})`: its row of the
    observations is the next episode's first, its info has the last one under `terminal_observation`, and
    `TimeLimit.truncated` says whether it was cut off. Observations are copies. Other modes, and observations or
    actions that are no arrays, raise InputError.
    """

    def __init__(self, vector_env: VectorEnv[Any, Any, Any]) -> None:
        mode = vector_env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.DISABLED:
            allowed = "AutoresetMode.DISABLED, with reset(options={'reset_mask': …})"
            raise InputError("can't be adapted", field="autoreset_mode", value=str(mode), allowed=allowed)
        if not isinstance(vector_env.single_observation_space, gymnasium.spaces.Box):
            value = type(vector_env.single_observation_space).__name__
            raise InputError("can't be adapted", field="observation_space", value=value, allowed="Box")
        self.vector_env = vector_env
        self._actions: NDArray[Any] | None = None
        super().__init__(vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begins an episode in each environment and returns the observations [N, …]; what else there is to say of them
        is in `reset_infos`. Seeds and options of `seed` and `set_options` count once."""
        options = self._options[0]
        if any(other != options for other in self._options):
            raise InputError("differ between environments", field="options", allowed="the same for all")
        # SB3's seeds are s, s + 1, …, which is what one seed means to a VectorEnv.
        observations, infos = self.vector_env.reset(seed=self._seeds[0], options=options or None)
        self.reset_infos = rows(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return np.array(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes the actions [N, …] of the next `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Observations [N, …], rewards float32 [N], which episodes ended, and a dict of its own for each."""
        assert self._actions is not None
        stepped, rewards, terminated, truncated, told = self.vector_env.step(self._actions)
        self._actions = None
        observations = np.array(stepped)
        infos = rows(told, self.num_envs)
        done = np.logical_or(terminated, truncated)
        if done.any():
            first, begun = self.vector_env.reset(options={"reset_mask": done})
            reset_infos = rows(begun, self.num_envs)
            for i in np.flatnonzero(done):
                infos[i]["terminal_observation"] = observations[i].copy()
                infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
                self.reset_infos[i] = reset_infos[i]
            observations[done] = np.asarray(first)[done]
        return observations, np.asarray(rewards, np.float32), done, infos

    def close(self) -> None:
        """Closes the environments."""
        self.vector_env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of the batch, once for each of `indices`."""
        return [getattr(self.vector_env, attr_name, None)] * len(self._some(indices))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the whole batch; raises InputError for a part of it."""
        if len(self._some(indices)) != self.num_envs:
            raise InputError("one batch has one value", field=attr_name, allowed="all environments")
        setattr(self.vector_env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Raises InputError: a batch has no environments that could be called one by one."""
        raise InputError("a batch has no single environments", field="env_method", value=method_name)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """False for each: a batch has no wrapped environments inside."""
        return [False] * len(self._some(indices))

    def _some(self, indices: VecEnvIndices) -> Sequence[int]:
        return list(self._get_indices(indices))


def rows(infos: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The infos of `count` environments, a dict each, from Gymnasium's batched form: `key` holds the values of those
    for which `_key` is true, of all where there is none; a dict inside holds such again."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        mask = infos.get(f"_{key}")
        inside = rows(values, count) if isinstance(values, dict) else values
        for i in range(count) if mask is None else np.flatnonzero(mask):
            found[i][key] = inside[i]
    return found
