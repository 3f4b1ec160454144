"""What proposes the next point, by name.

Each strategy is one module with a `STRATEGY`: what it is in words, what it can take, and a function that makes an
Optuna sampler. A sampler is made anew for each trial, from a seed of (study, trial), and sees nothing but the trials
before. So a study that was interrupted proposes what it would have proposed anyway. Adding a strategy here is adding a
line; other packages add theirs through the entry point group `damoos.strategies`, whose names lead to a `Strategy`.
Names with a colon, such as `policy:control-reclaim`, are made by their family.
"""

from __future__ import annotations

import difflib
import importlib
from importlib import metadata
from typing import TYPE_CHECKING

from damoos.errors import InputError

from .families import family_names, family_of, make

if TYPE_CHECKING:
    from .base import Strategy

GROUP = "damoos.strategies"

# Named, not imported: optuna is loaded when a study needs it.
STRATEGIES: dict[str, str] = {
    "default": "damoos.tune.strategies.default:STRATEGY",
    "documented": "damoos.tune.strategies.documented:STRATEGY",
    "random": "damoos.tune.strategies.random:STRATEGY",
    "sobol": "damoos.tune.strategies.sobol:STRATEGY",
    "grid": "damoos.tune.strategies.grid:STRATEGY",
    "damoos-simple": "damoos.tune.strategies.damoos_simple:STRATEGY",
    "damoos-polyfit": "damoos.tune.strategies.damoos_polyfit:STRATEGY",
    "damoos-multid": "damoos.tune.strategies.damoos_multid:STRATEGY",
    "damoos-pso": "damoos.tune.strategies.damoos_pso:STRATEGY",
    "damoos-qlearning": "damoos.tune.strategies.damoos_qlearning:STRATEGY",
    "damoos-qlearning-2021": "damoos.tune.strategies.damoos_qlearning:ORIGINAL",
    "tpe": "damoos.tune.strategies.tpe:STRATEGY",
    "gp": "damoos.tune.strategies.gp:STRATEGY",
    "smac": "damoos.tune.strategies.smac:STRATEGY",
    "cmaes": "damoos.tune.strategies.cmaes:STRATEGY",
    "nsga2": "damoos.tune.strategies.nsga2:STRATEGY",
    "nsga3": "damoos.tune.strategies.nsga3:STRATEGY",
    "kernel-psi": "damoos.tune.strategies.kernel_psi:STRATEGY",
    "kernel-psi-temporal": "damoos.tune.strategies.kernel_psi_temporal:STRATEGY",
    "kernel-score": "damoos.tune.strategies.kernel_score:STRATEGY",
    "kernel-memory": "damoos.tune.strategies.kernel_memory:STRATEGY",
    "kernel-intervals": "damoos.tune.strategies.kernel_intervals:STRATEGY",
    "hmsdk": "damoos.tune.strategies.hmsdk:STRATEGY",
    "agentenv": "damoos.tune.strategies.agentenv:STRATEGY",
    "agentenv-first": "damoos.tune.strategies.agentenv:BEFORE",
    "refault-control": "damoos.tune.strategies.refault_control:STRATEGY",
    "border": "damoos.tune.strategies.border:STRATEGY",
    "portfolio": "damoos.tune.strategies.portfolio:STRATEGY",
    "halving": "damoos.tune.strategies.halving:STRATEGY",
    "hyperband": "damoos.tune.strategies.hyperband:STRATEGY",
    "twin": "damoos.tune.strategies.twin:STRATEGY",
}


def strategy_names() -> tuple[str, ...]:
    """All names: the shipped ones in the order in which they are explained, those of families, then those of other
    packages, sorted."""
    return (*STRATEGIES, *family_names(), *sorted({entry.name for entry in _entries()} - STRATEGIES.keys()))


def check_strategy(name: str) -> None:
    """Raises InputError if there is no such strategy, of a family if there is no such family; loads nothing."""
    if family_of(name) is not None:
        return
    names = strategy_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
        raise InputError("unknown strategy", field="strategy", value=name, allowed=", ".join(near))


def find_strategy(name: str) -> Strategy:
    """The strategy of that name. Raises InputError if unknown, or if what another package calls a strategy is none."""
    from .base import Strategy

    check_strategy(name)
    if (family := family_of(name)) is not None:
        return make(family, name)
    if name in STRATEGIES:
        module, _, attribute = STRATEGIES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    entry = next(entry for entry in _entries() if entry.name == name)
    found = entry.load()
    if not isinstance(found, Strategy):
        allowed = "a damoos.tune.strategies.base.Strategy"
        raise InputError(f"{entry.value} is no strategy", field=GROUP, value=type(found).__name__, allowed=allowed)
    return found


def _entries() -> metadata.EntryPoints:
    return metadata.entry_points(group=GROUP)
