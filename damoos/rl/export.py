"""From a model of stable-baselines3 to what acts without it, and back."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from damoos.errors import InputError

from .network import Activation, Network, Normaliser, Output

_ACTIVATIONS: dict[type[torch.nn.Module], Activation] = {torch.nn.Tanh: "tanh", torch.nn.ReLU: "relu"}


def normaliser_of(env: VecEnv) -> Normaliser | None:
    """What the environment's VecNormalize does to observations, as of now; None where nothing does."""
    found = unwrap_vec_normalize(env)
    if found is None or not found.norm_obs:
        return None
    return _normaliser(found)


def _normaliser(found: VecNormalize) -> Normaliser:
    mean, variance = cast(Any, found.obs_rms).mean, cast(Any, found.obs_rms).var
    return Normaliser(mean.copy(), variance.copy(), float(found.clip_obs), float(found.epsilon))


def network_of(model: Any, normaliser: Normaliser | None, grid: NDArray[np.float32] | None = None) -> Network | None:
    """The model's deterministic policy as a network, with actions from `grid` where it chooses among points; None for
    one with a memory. Raises InputError for a network that is not made of plain layers."""
    policy = model.policy
    if hasattr(policy, "lstm_actor"):
        return None
    output: Output = "clip"
    if hasattr(policy, "action_net"):
        modules = [*policy.mlp_extractor.policy_net, policy.action_net]
    elif hasattr(policy, "q_net"):
        modules, output = [*policy.q_net.q_net], "argmax"
    elif hasattr(policy.actor, "latent_pi"):
        modules, output = [*policy.actor.latent_pi, policy.actor.mu], "squash"
    else:
        modules, output = [*policy.actor.mu], "squash"
    activation = policy.activation_fn if output == "clip" else policy.net_args["activation_fn"]
    if activation not in _ACTIVATIONS:
        value = activation.__name__
        raise InputError("can't be kept", field="activation", value=value, allowed="tanh, relu")
    layers = tuple((_array(m.weight), _array(m.bias)) for m in modules if isinstance(m, torch.nn.Linear))
    return Network(layers, _ACTIVATIONS[activation], output, normaliser, grid)


def act_always(model: Any, action: NDArray[np.float32]) -> None:
    """Makes a new model's deterministic action that one, float32 [d], but for the little that its last layer's first
    weights are worth; of an algorithm whose actions have means that no function bounds."""
    with torch.no_grad():
        model.policy.action_net.bias.copy_(torch.as_tensor(action))


def limit_noise(model: Any, log_std: float) -> None:
    """Makes the logarithms of the standard deviations of a model's actions, which it learns, that at most."""
    with torch.no_grad():
        model.policy.log_std.clamp_(max=log_std)


def _array(parameter: torch.Tensor) -> NDArray[np.float32]:
    return parameter.detach().cpu().numpy().astype(np.float32).copy()
