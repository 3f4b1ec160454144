"""Comparing strategies: tasks, a protocol that is the same for all, figures."""
