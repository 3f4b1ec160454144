"""Gymnasium environments. Importing this registers them, for `gymnasium.make("damoos/OneShot-v0", workload=…)`."""

from .register import ENVIRONMENTS, register

__all__ = ["ENVIRONMENTS", "register"]

register()
