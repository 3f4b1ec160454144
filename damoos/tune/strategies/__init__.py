"""What proposes the next point, by name: functions that make an Optuna sampler.

A sampler is made anew for each trial, from a seed of (study, trial), and sees nothing but the trials before. So a study
that was interrupted proposes what it would have proposed anyway. Adding a strategy is adding a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from damoos.errors import InputError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

MakeSampler = Callable[[int], "BaseSampler"]

# Named, not imported: optuna is loaded when a study needs it.
STRATEGIES: dict[str, str] = {
    "tpe": "damoos.tune.strategies.tpe:make_sampler",
    "random": "damoos.tune.strategies.random:make_sampler",
}


def check_strategy(name: str) -> None:
    """Raises InputError if there is no such strategy; loads nothing."""
    if name not in STRATEGIES:
        raise InputError("unknown strategy", field="strategy", value=name, allowed=", ".join(sorted(STRATEGIES)))


def find_strategy(name: str) -> MakeSampler:
    """The function that makes the sampler of that strategy from a seed. Raises InputError if unknown."""
    check_strategy(name)
    module, _, function = STRATEGIES[name].partition(":")
    return getattr(importlib.import_module(module), function)
