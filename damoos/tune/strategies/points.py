"""Optuna's side of a strategy that proposes whole points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler

from ..space import Value
from .base import Ask, Propose
from .seen import seen_trials

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


class PointSampler(BaseSampler):
    """The sampler of a strategy that proposes whole points, for the one trial of `ask`."""

    def __init__(self, ask: Ask, propose: Propose) -> None:
        self._ask, self._propose = ask, propose
        self._values: dict[str, Value] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Thinks of the point, unless the trial's was set from outside."""
        if "fixed_params" not in trial.system_attrs:
            self._values = self._propose(self._ask, seen_trials(self._ask.space, study, trial.number))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: every parameter is asked for by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, as above."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The point's value of that parameter."""
        return self._values[param_name]
