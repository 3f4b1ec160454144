"""Finds DAMON/DAMOS schemes for a workload."""

__version__ = "0.1.0"
