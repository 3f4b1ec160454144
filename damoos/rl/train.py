"""Trains a policy with stable-baselines3 and keeps the best one in a folder, where it can be used at any time.

| in the folder | what |
| --- | --- |
| `policy.toml`, `weights.npz`, `curve.csv` | the policy that did best in validation so far (see `policy`) |
| `checkpoint/` | where it goes on after a stop |
| `log/` | what stable-baselines3 logs: `progress.csv`, and TensorBoard's files where that is installed |
"""

from __future__ import annotations

import importlib.util
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import ConstantSchedule
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize
from torch import nn, set_num_threads

from damoos import __version__
from damoos.files import write_whole
from damoos.tune.preset import load_env

from . import checkpoint
from .algorithms import ALGORITHMS, algorithm_class
from .checkpoint import State
from .constants import best_constant
from .evaluate import run_episodes
from .export import act_always, limit_noise, network_of, normaliser_of
from .grid import GridActions, grid_of
from .modes import ONLY_TRAINING, find_mode, make_batch, observation_version
from .policy import CURVE, MODEL, Actor, Policy, load_policy, save_policy, space_texts
from .remembering import RememberingActor
from .request import Progress, Training
from .sb3 import BatchedVecEnv

LOG = "log"
VALIDATION_SEED = 0x76616C
"""Of validation episodes: they are the same each time, so that what differs is the policy."""
REPORT_S = 0.5
CONSTANTS_SHARE = 0.25
"""How much of a training's time is spent on actions that never change at most."""

OnProgress = Callable[[Progress], None]


def train(training: Training, resume: bool = False, on_progress: OnProgress = lambda progress: None) -> Policy:
    """Trains until the steps or minutes are over, and returns the policy that did best in validation.

    An interrupt leaves a checkpoint, from which `resume` goes on, with new draws. Raises InputError for what does not
    fit together, StudyError for a folder that holds another training, or none where one is to go on.
    """
    checkpoint.check_folder(training, resume)
    run = _Run(training, checkpoint.read_state(training) if resume else State(), on_progress)
    try:
        return run.learn()
    finally:
        run.close()


class _Run(BaseCallback):
    """One call of `train`: the model, its environments, and what happens while it learns."""

    def __init__(self, training: Training, state: State, on_progress: OnProgress) -> None:
        super().__init__()
        self.training, self.state, self.on_progress = training, state, on_progress
        self.begun_s, self.reported_s = time.monotonic() - state.seconds, -math.inf
        set_num_threads(1)
        settings, validation = training.settings, _deployed(training.arguments)
        self.validation = BatchedVecEnv(self._batch(settings.episodes, training.validation, validation))
        self.batch = BatchedVecEnv(self._batch(settings.envs, training.workloads, training.arguments))
        vec: VecEnv = VecMonitor(self.batch)
        assert vec.observation_space.shape is not None and vec.action_space.shape is not None
        self.sizes = vec.observation_space.shape[0], vec.action_space.shape[0]
        self.grid = grid_of(settings.levels, self.sizes[1]) if ALGORITHMS[training.algorithm].discrete else None
        self.vec = self._normalised(vec if self.grid is None else GridActions(vec, self.grid))
        self.learner = self._model()
        training.out.mkdir(parents=True, exist_ok=True)
        formats = ["csv", *(["tensorboard"] if importlib.util.find_spec("tensorboard") else [])]
        self.learner.set_logger(configure(str(training.out / LOG), formats))

    def learn(self) -> Policy:
        """See `train`."""
        try:
            if not self.state.curve:
                if self.training.settings.constants:
                    self._begin_with_a_constant()
                self._evaluate()
            left = self.training.settings.steps - self.state.steps
            if left > 0:
                self.learner.learn(left, callback=self, reset_num_timesteps=self.state.steps == 0)
            if self.state.curve[-1][0] != self.state.steps:
                self._evaluate()
        finally:
            self._keep()
        return load_policy(self.training.out)

    def close(self) -> None:
        """Closes environments and logs."""
        self.learner.logger.close()
        self.vec.close()
        self.validation.close()

    def _begin_with_a_constant(self) -> None:
        asked = self.training

        def goes_on() -> bool:
            self._report_at_times()
            return self._share() < CONSTANTS_SHARE

        act_always(self.learner, best_constant(self.batch, asked.settings.constants, asked.seed, goes_on))

    def _on_rollout_start(self) -> None:
        settings = self.training.settings
        if settings.anneal:
            self.learner.lr_schedule = ConstantSchedule(settings.options["learning_rate"] * (1.0 - self._share()))
        if math.isfinite(settings.log_std_last):
            most = settings.log_std + (settings.log_std_last - settings.log_std) * self._share()
            limit_noise(self.learner, most)
        if len(self.state.curve) <= int(self._share() * settings.evaluations):
            self._evaluate()
            self._keep()

    def _on_step(self) -> bool:
        self.state.steps = self.num_timesteps
        self._report_at_times()
        return self._share() < 1.0

    def _report_at_times(self) -> None:
        if time.monotonic() - self.reported_s > REPORT_S:
            self._report()

    def _share(self) -> float:
        # How much of the training is over, in [0, 1].
        minutes = (time.monotonic() - self.begun_s) / 60.0
        return min(max(self.state.steps / self.training.settings.steps, minutes / self.training.minutes), 1.0)

    def _report(self, evaluated: bool = False) -> None:
        self.reported_s = time.monotonic()
        seconds, share = self.reported_s - self.begun_s, self._share()
        score = self.state.curve[-1][checkpoint.CURVE_COLUMNS.index("score")] if self.state.curve else None
        left_s = seconds * (1.0 - share) / share if share > 0.01 else None
        total = self.training.settings.steps
        best = self.state.best_score
        self.on_progress(Progress(self.state.steps, total, share, seconds, left_s, score, best, evaluated))

    def _evaluate(self) -> None:
        # Adds a row to the curve, and keeps the policy if none did better.
        policy = self._policy()
        actor: Actor = policy.network_actor() or RememberingActor(self.learner, policy.normaliser)
        episodes = run_episodes(actor, self.validation, VALIDATION_SEED)
        names = ("score", "reward", "feasible", "runtime_overhead_percent", "rss_overhead_percent")
        means = [_mean([getattr(episode, name) for episode in episodes]) for name in names]
        for name, mean in zip(names, means, strict=True):
            self.learner.logger.record(f"validation/{name}", mean)
        lately = _mean([told["r"] for told in self.learner.ep_info_buffer or ()])
        self.state.seconds = time.monotonic() - self.begun_s
        self.state.curve.append([self.state.steps, round(self.state.seconds, 1), lately, *means])
        if self.state.best_reward is None or means[1] > self.state.best_reward:
            self.state.best_score, self.state.best_reward = means[:2]
            if policy.network is None:
                self.learner.save(self.training.out / MODEL)
            save_policy(policy, self.state.curve_text())
        else:
            write_whole(self.training.out / CURVE, self.state.curve_text())
        self._report(evaluated=True)

    def _keep(self) -> None:
        # Writes what it takes to go on.
        folder = checkpoint.folder_of(self.training)
        self.learner.save(folder / checkpoint.MODEL)
        if isinstance(self.vec, VecNormalize):
            self.vec.save(str(folder / checkpoint.NORMALISER))
        if ALGORITHMS[self.training.algorithm].replays:
            self.learner.save_replay_buffer(folder / checkpoint.REPLAY)
        self.state.seconds = time.monotonic() - self.begun_s
        checkpoint.write_state(self.training, self.state)

    def _batch(self, count: int, workloads: Sequence[str], arguments: Mapping[str, Any]) -> Any:
        asked = self.training
        return make_batch(asked.mode, count, workloads, asked.preset, asked.backend, arguments, asked.threads)

    def _normalised(self, vec: VecEnv) -> VecEnv:
        settings, kept = self.training.settings, self.training.out / checkpoint.FOLDER / checkpoint.NORMALISER
        if self.state.curve and kept.is_file():
            return VecNormalize.load(str(kept), vec)
        if not (settings.normalise_observations or settings.normalise_rewards):
            return vec
        gamma = settings.options.get("gamma", 0.99)
        return VecNormalize(vec, True, settings.normalise_observations, settings.normalise_rewards, gamma=gamma)

    def _model(self) -> Any:
        asked, settings, algorithm = self.training, self.training.settings, ALGORITHMS[self.training.algorithm]
        make, folder = algorithm_class(asked.algorithm), asked.out / checkpoint.FOLDER
        if self.state.curve:
            self.vec.seed(asked.seed + self.state.steps)
            model = make.load(folder / checkpoint.MODEL, env=self.vec, device="cpu")
            if algorithm.replays:
                model.load_replay_buffer(folder / checkpoint.REPLAY)
            return model
        activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[settings.activation]
        shape: dict[str, Any] = {"net_arch": list(settings.net), "activation_fn": activation}
        if not algorithm.replays:
            shape["log_std_init"] = settings.log_std
        return make(algorithm.policy, self.vec, seed=asked.seed, device="cpu", policy_kwargs=shape, **settings.options)

    def _policy(self) -> Policy:
        # As of now, before it is saved.
        asked, normaliser = self.training, normaliser_of(self.vec)
        preset = load_env(asked.preset)
        return Policy(
            name=asked.out.resolve().name,
            folder=asked.out,
            title=f"{asked.mode} of {preset.name}, by {asked.algorithm}",
            mode=asked.mode,
            env_id=find_mode(asked.mode).env_id,
            preset=asked.preset,
            algorithm=asked.algorithm,
            arguments=_deployed(asked.arguments),
            space=space_texts(preset.space),
            observation_version=observation_version(asked.mode),
            observations=self.sizes[0],
            actions=self.sizes[1],
            training=self._record(),
            versions=_versions(),
            network=network_of(self.learner, normaliser, self.grid),
            normaliser=normaliser,
        )

    def _record(self) -> dict[str, Any]:
        asked, settings = self.training, vars(self.training.settings)
        return {
            "command_line": asked.command_line,
            "workloads": list(asked.workloads),
            "validation": list(asked.validation),
            "backend": asked.backend,
            "seed": asked.seed,
            "steps": self.state.steps,
            "seconds": round(time.monotonic() - self.begun_s),
            **{key: value for key, value in asked.arguments.items() if key in ONLY_TRAINING},
            "settings": {k: v for k, v in settings.items() if k != "options"} | dict(settings["options"]),
        }


def _deployed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key not in ONLY_TRAINING}


def _versions() -> dict[str, str]:
    packages = ("numpy", "gymnasium", "torch", "stable-baselines3", "sb3-contrib")
    installed = {name: metadata.version(name) for name in packages if importlib.util.find_spec(name.replace("-", "_"))}
    return {"damoos": __version__, "python": platform.python_version(), **installed}


def _mean(numbers: Sequence[float]) -> float:
    finite = [float(number) for number in numbers if math.isfinite(number)]
    return math.fsum(finite) / len(finite) if finite else math.nan
